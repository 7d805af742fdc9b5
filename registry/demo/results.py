"""What a demo found out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from registry.demo.congestion import Congestion
from registry.demo.forensics import Finding
from registry.demo.privacy import Privacy, PrivacyCost
from registry.demo.transfer import Excluded, Ranked, Savings


@dataclass(frozen=True, slots=True)
class Sealed:
    """One twin that was trained and registered; `is_verified` once it was retrieved and compared."""

    model: str
    number: int
    version_id: str
    size: int
    sha256: str
    seal_s: float
    error_db: float
    airtime_s: float
    retransmissions: int
    absences: int
    is_verified: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The twins that suit a new cell, nearest first, and those that do not."""

    ranked: tuple[Ranked, ...]
    excluded: tuple[Excluded, ...]

    @property
    def chosen(self) -> Ranked:
        """The nearest one."""
        return self.ranked[0]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything that the demo prints."""

    sealed: tuple[Sealed, ...]
    choice: Choice
    savings: Savings
    privacy: Privacy | None
    privacy_cost: PrivacyCost | None
    finding: Finding
    home: Path | None
    market: Congestion | None = None

    def document(self) -> Mapping[str, object]:
        """The findings as one JSON document, for `--json`."""
        return {**asdict(self), "home": str(self.home) if self.home else None, "commands": self.commands}

    @property
    def commands(self) -> tuple[str, ...]:
        """Four commands with which the reader continues where the demo stopped."""
        at = f" --home {self.home}" if self.home else ""
        newest = self.sealed[-1].model
        return (
            f"twinledger up{at}",
            f"twinledger lineage{at} {newest}",
            f"twinledger retrieve{at} {newest} -o twin",
            f"twinledger audit prove{at} {self.finding.fetched[-1].event}",
        )
