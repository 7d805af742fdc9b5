"""The home folder: what lies where in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from registry.errors import Malformed


@dataclass(frozen=True, slots=True)
class Home:
    """One installation's folder."""

    root: Path

    @property
    def client(self) -> Path:
        """`url, key, chain_id, registry` for `Client()`; mode 0600."""
        return self.root / "client.toml"

    @property
    def deployment(self) -> Path:
        """The contracts' addresses and code hashes."""
        return self.root / "deployment.json"

    @property
    def trust(self) -> Path:
        """What an offline verifier may believe."""
        return self.root / "trust.json"

    @property
    def settings(self) -> Path:
        """The settings file, unless the working folder has one."""
        return self.root / "twinledger.toml"

    @property
    def keys(self) -> Path:
        """Keystores, one file each."""
        return self.root / "keys"

    @property
    def chain(self) -> Path:
        """The embedded chain."""
        return self.root / "chain"

    @property
    def store(self) -> Path:
        """The gateway's content."""
        return self.root / "store"

    @property
    def index(self) -> Path:
        """The projection of the chain: may be deleted, is rebuilt."""
        return self.root / "index.db"

    @property
    def pool(self) -> Path:
        """Pending submissions: primary data."""
        return self.root / "pool.db"

    @property
    def log(self) -> Path:
        """The gateway log (primary data) and the chain log's tiles."""
        return self.root / "log"

    def miner_store(self, number: int) -> Path:
        """The content of the n-th miner of `twinledger up`, counted from 1."""
        return self.root / "miners" / str(number) / "store"

    def make(self) -> "Home":
        """Create the folder with its parents, readable by its owner alone."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise Malformed(
                f"the home {self.root} cannot be made: {e.strerror}", hint="choose --home DIR"
            ) from e
        return self


def resolve_home(argument: str | Path | None, environ: Mapping[str, str]) -> Home:
    """`--home`, else TWINLEDGER_HOME, else ~/.twinledger; not created."""
    chosen = argument or environ.get("TWINLEDGER_HOME") or "~/.twinledger"
    try:
        return Home(Path(chosen).expanduser().absolute())
    except RuntimeError as e:
        raise Malformed(f"{chosen} names a home that nobody has", hint="choose --home DIR") from e
