"""One gateway's home as its checks see it: what it is, and what it can be asked."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from registry.audit.logdb import LogDatabase
from registry.audit.logstore import is_grown
from registry.audit.pooled import Promised
from registry.audit.trust import parse_trust
from registry.audit.witness import OF_AN_ACCOUNT
from registry.chain.deployment import Deployment
from registry.chain.gateway import Contracts
from registry.config import Home, Postgresql, Settings
from registry.core.ids import Address, sha256
from registry.core.log import Recorded
from registry.core.note import COSIGNATURE, ED25519, NoteSigner, VerifierKey
from registry.core.version import Domain
from registry.keystore import keystore_info
from registry.pool.seals import RowSeal
from registry.wiring.copies import Copies
from registry.wiring.cosigning import witnesses_asked
from registry.wiring.logs import log_origins, log_secret
from registry.wiring.origins import GATEWAY, ended, rows_in

_RUN = 500
# What is no JSON is named where the log is checked.
_ACCEPTED = (
    "SELECT json_extract(said, '$.version'), COUNT(*) FROM (SELECT CAST(body AS TEXT) AS said FROM entries)"
    " WHERE CASE WHEN json_valid(said) THEN json_extract(said, '$.kind') END = 'submission_accepted'"
    " GROUP BY 1"
)


@dataclass(frozen=True)
class Installation:
    """A home with its settings; `contracts` is None where the running service holds the chain for itself."""

    home: Home
    settings: Settings
    deployment: Deployment
    contracts: Contracts | None
    is_held: Callable[[str], bool] | None  # the running service, asked for a CID

    @property
    def domain(self) -> Domain:
        """What is signed here."""
        return Domain(self.deployment.chain_id, self.deployment.address("TwinRegistry"))

    @cached_property
    def is_running(self) -> bool:
        """Whether a gateway is at work in this home, be its address known here or not."""
        return self.is_held is not None or is_grown(self.home.log / GATEWAY)

    @cached_property
    def gateway(self) -> Address:
        """The gateway's own account."""
        own = self.settings.gateway.key_file or self.home.keys / "gateway.json"
        return keystore_info(own).address

    @cached_property
    def secret(self) -> bytes | None:
        """The secret of the logs' key; None before the first start."""
        file = self.settings.gateway.log_key_file or self.home.keys / "log.ed25519"
        return log_secret(file) if file.exists() else None

    @property
    def origins(self) -> tuple[str, str]:
        """Of the chain log and of this gateway's own."""
        return log_origins(self.settings, self.deployment, self.gateway)

    def promised(self) -> Promised | None:
        """What the pool's promises are held against; None before the first start."""
        if self.secret is None:
            return None
        origin = self.origins[1]
        return Promised(
            NoteSigner(origin, self.secret).key,
            self._key_of,
            partial(_found, self.home.log / GATEWAY, origin),
            partial(_accepted, self.home.log),
        )

    def seal(self) -> RowSeal | None:
        """What marks this gateway's rows; None before the first start."""
        return None if self.secret is None else RowSeal(self.secret)

    def is_shared(self) -> bool:
        """Whether the pool may hold rows of another gateway, or of this one under an earlier key.

        A pool in a file is shared with nobody; one on a server may be with any gateway of this chain.
        """
        others = set(self._named)
        if isinstance(self.settings.database, Postgresql) and self.contracts is not None:
            others |= self.contracts.log_origins()
        return bool(others - set(self.origins))

    def witnesses(self) -> tuple[VerifierKey, ...]:
        """Whose co-signatures count: this gateway's own witness, those it asks and those trust.json names."""
        own, trust = self.home.keys / "witness.ed25519", self.home.trust
        held = (
            [NoteSigner(f"{OF_AN_ACCOUNT}{self.gateway}", log_secret(own), COSIGNATURE).key]
            if own.exists()
            else []
        )
        named = parse_trust(trust.read_bytes()).witnesses if trust.exists() else ()
        asked = [witness.key for witness in witnesses_asked(self.settings)]
        return tuple(dict.fromkeys((*held, *asked, *named)))

    def copies(self, secret: bytes, scratch: Path, signatures: int | None) -> Copies:
        """The other logs that lie here; `secret` is that of the logs' key."""
        chain_origin = self.origins[0]

        def keys_of(origin: str) -> list[VerifierKey]:
            known = [NoteSigner(origin, secret).key]
            if origin == chain_origin:  # whoever signs a gateway's log signs its chain log too
                known += [VerifierKey(origin, ED25519, key.public) for key in self._named.values()]
            elif (key := self._key_of(origin)) is not None:
                known.append(key)
            return known

        return Copies(self.home.log, scratch, chain_origin, keys_of, self.witnesses(), signatures)

    @cached_property
    def _named(self) -> Mapping[str, VerifierKey]:
        """The logs that trust.json names."""
        return dict(parse_trust(self.home.trust.read_bytes()).logs) if self.home.trust.exists() else {}

    def _key_of(self, origin: str) -> VerifierKey | None:
        """The key of another log: what an operator wrote down, else what its owner registered."""
        if origin in self._named or self.contracts is None:
            return self._named.get(origin)
        return self.contracts.log_key(origin)


def _accepted(folder: Path) -> Counter[str]:
    """How often this gateway's logs, those that were put aside too, say that each version was taken in."""
    counts: Counter[str] = Counter()
    for path in (folder / GATEWAY, *ended(folder)):
        counts.update(dict(rows_in(path, _ACCEPTED)))
    return counts


def _found(path: Path, origin: str, wanted: Collection[bytes]) -> dict[bytes, Recorded]:
    """The entries of a log with these digests."""
    if not path.exists():
        return {}
    database = LogDatabase(path, origin)
    try:
        found = {}
        for first in range(0, database.durable_size(), _RUN):
            for number, raw in database.bodies(first, first + _RUN):
                if (digest := sha256(raw)) in wanted:
                    found[digest] = Recorded(number, raw)
        return found
    finally:
        database.close()
