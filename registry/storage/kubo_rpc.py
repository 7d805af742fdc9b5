"""The RPC of a Kubo daemon through ipfshttpclient, with the traps of both kept in this module.

- `ipfshttpclient.Client` is used and never `connect()`, which refuses every daemon younger than 2021; our own
  window is checked instead.
- Blocks are imported as a CAR that was made here, so no default of the daemon decides a CID.
- Kubo reports a failure in mid-stream in an HTTP trailer that requests drops: every answer is counted, and
  its bytes are hashed by the caller.
- A session is not thread-safe: each call has a client of its own while it runs.
- A block that is not held must not be searched for in the network: everything here is asked offline.
"""

import io
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.core.cid import Cid
from registry.errors import Malformed, NotFound, StoreUnavailable, VerificationFailed
from registry.storage.reader import MAX_BLOCK

if TYPE_CHECKING:
    from ipfshttpclient import Client

# Set before the import: ipfshttpclient's own adapter warns on every session that urllib3 3 will break it.
_PLAIN_REQUESTS = ("PY_IPFS_HTTP_CLIENT_PATCH_REQUESTS", "no")
OLDEST, FIRST_UNTESTED = (0, 39), (0, 45)
_UPLOAD_CHUNK = 1 << 18  # the default of 8 KiB halves the speed
_CONNECT_TIMEOUT_S = 5.0
_MISSING = ("could not find", "not found locally", "block was not found")


@dataclass(frozen=True, slots=True)
class NamedPin:
    """A pin of the daemon and its name."""

    cid: str
    name: str


class Daemon:
    """One Kubo daemon; every failure is NotFound, VerificationFailed or StoreUnavailable."""

    def __init__(self, api: str, token_file: Path | None, timeout_s: float) -> None:
        self.api = api
        self._timeout = (_CONNECT_TIMEOUT_S, timeout_s)
        self._headers = {"Authorization": f"Bearer {_token(token_file)}"} if token_file else {}
        self._lock = threading.Lock()
        self._idle: list[Client] = []
        self._is_checked = False

    def version(self) -> str:
        """The daemon's version; StoreUnavailable when it is outside our window."""
        text: str = self._ask(lambda c: str(c.version()["Version"]))
        digits = tuple(int(part) for part in text.split("-")[0].split(".")[:2] if part.isdigit())
        if not OLDEST <= digits < FIRST_UNTESTED:
            raise StoreUnavailable(
                f"the Kubo daemon at {self.api} is version {text}; supported are 0.39 to 0.44",
                hint="run a supported version, see docs/operations.md",
            )
        self._is_checked = True
        return text

    def block(self, cid: Cid) -> bytes:
        """What the daemon says the block is: not hashed here, never longer than a block may be."""

        def get(client: "Client") -> bytes:
            stream = client.block.get(str(cid), offline=True, stream=True)
            try:
                out = bytearray()
                for chunk in stream:
                    out += chunk
                    if len(out) > MAX_BLOCK:
                        raise VerificationFailed(f"{cid} from {self.api} is longer than any block")
                return bytes(out)
            finally:
                stream.close()

        block: bytes = self._call(get)
        return block

    def cat(self, cid: Cid, offset: int, length: int | None) -> Generator[bytes, None, None]:
        """A file from an offset on, as the daemon sends it: nothing is hashed here, and it may end early.

        The connection is this answer's own: it lasts as long as whoever reads.
        """
        if not self._is_checked:
            self.version()
        client = self._connect()
        try:
            with self._errors(), client.cat(str(cid), offset, length, offline=True, stream=True) as answer:
                yield from answer
        except NotFound:
            return  # which block is not here, its own question says
        finally:
            client.close()

    def block_size(self, cid: Cid) -> int | None:
        """The length of a held block, None when it is not held."""
        try:
            size: int = self._call(lambda c: int(c.block.stat(str(cid), offline=True)["Size"]))
            return size
        except NotFound:
            return None

    def is_whole(self, cid: Cid) -> bool:
        """Whether a DAG is held to the last leaf, by the daemon's word."""
        return self.local_bytes(cid) is not None

    def local_bytes(self, cid: Cid) -> int | None:
        """The bytes of all blocks of a DAG, repeats counted, that is held to the last leaf; else None."""
        options = {"with-local": "true"}
        try:
            stat = self._call(lambda c: dict(c.files.stat(f"/ipfs/{cid}", offline=True, opts=options)))
        except NotFound:
            return None
        return int(stat["SizeLocal"]) if stat.get("Local") is True else None

    def import_car(self, path: Path, blocks: int) -> None:
        """Hand over a CAR of so many blocks; nothing is pinned by it."""
        self._import(path, blocks, pin_roots="false")

    def import_pinned(self, path: Path, blocks: int, root: Cid) -> None:
        """Hand over a CAR that holds all its root links to, pinned before a collection can come between."""
        pinned = self._import(path, blocks, pin_roots="true")
        if pinned != [(str(root), "")]:
            raise VerificationFailed(f"the Kubo daemon at {self.api} answers {pinned} for the root {root}")

    def _import(self, path: Path, blocks: int, pin_roots: str) -> list[tuple[str, str]]:
        taken, pinned = self._call(partial(_import, path=path, pin_roots=pin_roots))
        if taken != blocks:
            raise StoreUnavailable(f"the Kubo daemon at {self.api} took {taken} of {blocks} blocks")
        found: list[tuple[str, str]] = pinned
        return found

    def put_block(self, cid: Cid, block: bytes) -> None:
        """Hand over one dag-pb block, unpinned; the daemon must name it as we do."""
        options = {"cid-codec": "dag-pb", "mhtype": "sha2-256", "pin": "false"}
        key = self._call(lambda c: c.block.put(io.BytesIO(block), opts=options)["Key"])
        if key != str(cid):
            raise VerificationFailed(f"the Kubo daemon at {self.api} names {cid} {key}")

    def pin(self, cid: Cid, name: str) -> None:
        """Pin a DAG that is held whole."""
        self._pin(cid, {"name": name, "offline": "true"}, is_recursive=True)

    def fetch(self, cid: Cid, name: str) -> None:
        """Pin a DAG after fetching what is missing of it from the swarm."""
        self._pin(cid, {"name": name}, is_recursive=True)

    def pin_blocks(self, cids: Iterable[Cid], name: str) -> None:
        """Pin single blocks, whatever they link to."""
        for cid in cids:
            try:
                self._pin(cid, {"name": name, "offline": "true"}, is_recursive=False)
            except StoreUnavailable as e:
                if "already pinned recursively" not in str(e.__cause__):
                    raise

    def _pin(self, cid: Cid, options: dict[str, str], *, is_recursive: bool) -> None:
        pinned = self._call(lambda c: c.pin.add(str(cid), recursive=is_recursive, opts=dict(options))["Pins"])
        if pinned != [str(cid)]:
            raise VerificationFailed(f"the Kubo daemon at {self.api} pinned {pinned} instead of {cid}")

    def unpin(self, cid: str) -> None:
        """Remove a pin; one that is not there is fine."""
        try:
            self._call(lambda c: c.pin.rm(cid))
        except StoreUnavailable as e:
            if "not pinned" not in str(e.__cause__):
                raise

    def pins(self) -> list[NamedPin]:
        """Every pin that somebody made, recursive or of a single block."""
        found = []
        for kind in ("recursive", "direct"):
            found += self._call(partial(_pins_of, kind=kind))
        return found

    def collect_garbage(self) -> int:
        """Remove what no pin reaches; the number of blocks."""
        blocks: int = self._call(lambda c: sum("Key" in item for item in c.repo.gc(stream=True)))
        return blocks

    def repo_size(self) -> int:
        """The bytes of the daemon's repository."""
        size: int = self._call(lambda c: int(c.repo.stat(opts={"size-only": "true"})["RepoSize"]))
        return size

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            idle, self._idle = self._idle, []
        for client in idle:
            client.close()

    def _call(self, ask: Callable[["Client"], Any]) -> Any:
        if not self._is_checked:
            self.version()
        return self._ask(ask)

    def _ask(self, ask: Callable[["Client"], Any]) -> Any:
        with self._lock:
            client, is_reused = (self._idle.pop(), True) if self._idle else (self._connect(), False)
        try:
            with self._errors():
                answer = ask(client)
        except StoreUnavailable as e:
            client.close()
            if not is_reused or not _is_hang_up(e.__cause__):
                raise
            # The daemon restarted under a kept connection; every request here may be sent twice.
            self.close()
            return self._ask(ask)
        except BaseException:
            client.close()
            raise
        with self._lock:
            self._idle.append(client)
        return answer

    def _connect(self) -> "Client":
        os.environ.setdefault(*_PLAIN_REQUESTS)
        try:
            import ipfshttpclient
        except ImportError as e:
            raise StoreUnavailable(
                "the store `kubo` needs the package ipfshttpclient", hint="pip install 'twinledger[kubo]'"
            ) from e
        from multiaddr.exceptions import Error as AddressError

        try:
            return ipfshttpclient.Client(
                self.api, chunk_size=_UPLOAD_CHUNK, session=True, headers=self._headers, timeout=self._timeout
            )
        except (ipfshttpclient.exceptions.AddressError, AddressError) as e:
            raise Malformed(f"{self.api!r} is no address of a daemon, as /ip4/127.0.0.1/tcp/5001") from e

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import ipfshttpclient.exceptions as foreign
        import requests
        import urllib3

        try:
            yield
        except foreign.TimeoutError as e:
            raise StoreUnavailable(f"the Kubo daemon at {self.api} does not answer") from e
        except foreign.ErrorResponse as e:
            if any(words in str(e) for words in _MISSING):
                raise NotFound(f"the Kubo daemon at {self.api} does not hold it: {e}") from e
            raise StoreUnavailable(f"the Kubo daemon at {self.api} refused: {e}") from e
        except foreign.StatusError as e:
            raise StoreUnavailable(
                f"the Kubo daemon at {self.api} refused: {e}",
                hint="check store.token_file and the daemon's log",
            ) from e
        except (foreign.Error, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as e:
            raise StoreUnavailable(f"the Kubo daemon at {self.api} broke off: {e}") from e
        except (KeyError, TypeError, ValueError, AssertionError) as e:
            raise StoreUnavailable(f"what answers at {self.api} is no Kubo daemon: {e!r}") from e


def _import(client: "Client", path: Path, pin_roots: str) -> tuple[int, list[tuple[str, str]]]:
    # Without `stats` an import that pins nothing answers nothing, also when it was cut short.
    options = {"pin-roots": pin_roots, "stats": "true"}
    answer = list(client.dag.imprt(str(path), offline=True, opts=options, stream=True))
    roots = [item["Root"] for item in answer if "Root" in item]
    taken = sum(int(item["Stats"]["BlockCount"]) for item in answer if "Stats" in item)
    return taken, [(root["Cid"]["/"], root.get("PinErrorMsg", "")) for root in roots]


def _pins_of(client: "Client", kind: str) -> list[NamedPin]:
    keys = client.pin.ls(type=kind, opts={"names": "true"}).get("Keys", {})
    return [NamedPin(cid, str(pin.get("Name", ""))) for cid, pin in keys.items()]


def _is_hang_up(error: BaseException | None) -> bool:
    import ipfshttpclient.exceptions as foreign
    import requests

    return isinstance(error, foreign.ConnectionError | foreign.ProtocolError | requests.ConnectionError)


def _token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as e:
        raise StoreUnavailable(f"the token of the Kubo RPC cannot be read: {e}") from e
