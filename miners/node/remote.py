"""A gateway over HTTP as a source of work: its pending submissions, signed for, and the bytes behind them.

What comes back is believed in nothing: submissions carry their submitters' signatures, which the contract
verifies, and every block of a CAR is hashed where it is stored.
"""

import http.client
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from urllib.parse import urlencode, urlsplit

from registry.core.access import authorize, body_digest
from registry.core.cid import Cid
from registry.core.ids import VersionId, hex32
from registry.core.signing import Signer
from registry.core.version import Domain
from registry.errors import NotFound, RegistryError, Unavailable
from registry.pool import Entry
from registry.wire import SubmissionStatus, parse_body, signature_of, submission_of

_PAGE = 200
_ANEW_S = 15.0
_SETTLED = 50_000
_PIECE = 1 << 18
_ANSWER_S = 30.0


class HttpSource:
    """One gateway, asked with the miner's signature; of its queue a copy is kept, read forward.

    A page is asked for again until it was full and others follow it. Now and then all is read anew: what
    the gateway itself ended is seen then, and until then the contract would refuse it.
    """

    def __init__(
        self,
        url: str,
        signer: Signer,
        domain: Domain,
        *,
        pin_timeout_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self._parts = urlsplit(self.url)
        self._signer = signer
        self._domain = domain
        self._pin_timeout_s = pin_timeout_s
        self._patience_s = min(pin_timeout_s, _ANSWER_S)
        self._clock = clock
        # By version id, with the signature, both as they are written on the wire.
        self._copy: dict[str, tuple[str, Entry]] = {}
        self._cursor = "0"
        self._read_since = clock()
        self._settled: dict[str, None] = {}

    def pending(self, limit: int) -> Sequence[Entry]:
        """Pending submissions in order of arrival, at most `limit`."""
        if self._clock() - self._read_since > _ANEW_S:
            self._copy, self._cursor, self._read_since = {}, "0", self._clock()
        while len(self._copy) < limit:
            query = urlencode({"state": "pending", "cursor": self._cursor, "limit": _PAGE})
            items, following = self._page(f"/v1/submissions?{query}")
            for signature, entry in filter(None, map(_read, filter(self._is_news, items))):
                version_id = hex32(entry.version_id)
                if version_id not in self._settled:
                    self._copy[version_id] = signature, entry
            if following is None:
                break
            self._cursor = following
        return [entry for _signature, entry in islice(self._copy.values(), limit)]

    def _is_news(self, item: object) -> bool:
        """A page is asked for again until it is full: what was read or is settled is not read again."""
        match item:
            case {"version_id": str(version_id), "signature": str(signature)}:
                known = self._copy.get(version_id)
                is_known = known is not None and known[0] == signature
                return not is_known and version_id not in self._settled
        return True  # whoever reads it says what is wrong with it

    def forget(self, version_ids: Collection[VersionId]) -> None:
        """Drop what is sealed: this gateway may learn it later than the miner, and is not asked again."""
        settled = [hex32(version_id) for version_id in version_ids]
        self._settled.update(dict.fromkeys(settled))
        for version_id in settled:
            self._copy.pop(version_id, None)
        while len(self._settled) > _SETTLED:
            del self._settled[next(iter(self._settled))]

    def restart(self) -> None:
        """The chain changed: what was settled may be work again."""
        self._settled, self._copy, self._cursor = {}, {}, "0"

    def car(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """The whole DAGs as one CAR; Unavailable when that takes longer than one item may."""
        until = time.monotonic() + self._pin_timeout_s
        (first, *others) = cids
        many = f"/v1/content?{urlencode([('cid', str(cid)) for cid in cids])}"
        with self._get(many if others else f"/ipfs/{first}?format=car") as response:
            while piece := response.read(_PIECE):
                yield piece
                if time.monotonic() > until:
                    raise Unavailable(f"{self.url} did not give {first} within {self._pin_timeout_s} s")

    def wait(self, timeout_s: float) -> None:
        """A gateway elsewhere is simply asked again later."""
        time.sleep(timeout_s)

    def _page(self, target: str) -> tuple[list[object], str | None]:
        with self._get(target) as response:
            body = response.read()
        try:
            page = json.loads(body)
            return list(page["items"]), page["next"]
        except (ValueError, KeyError, TypeError) as e:
            raise Unavailable(f"{self.url} answered {target} with no page of a list") from e

    @contextmanager
    def _get(self, target: str) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=self._patience_s)
        try:
            connection.request("GET", target, headers={"authorization": self._signed(target)})
            response = connection.getresponse()
            if response.status == 404:
                raise NotFound(f"{self.url} does not hold {target}")
            if response.status != 200:
                raise Unavailable(f"{self.url} answered {target} with {response.status}{_why(response)}")
            yield response
        except TimeoutError as e:
            raise Unavailable(f"{self.url} did not give {target} within {self._patience_s} s") from e
        except (OSError, http.client.HTTPException) as e:
            raise Unavailable(f"{self.url} does not answer: {e}", hint="check miner.gateways") from e
        finally:
            connection.close()

    def _signed(self, target: str) -> str:
        return authorize(
            self._signer,
            self._domain,
            method="GET",
            target=target,
            body_sha256=body_digest("GET", target, b""),
            created=int(time.time()),
            nonce=secrets.token_bytes(32),
            cell="",
        )


def _read(item: object) -> tuple[str, Entry] | None:
    """The signature and the entry of a list item; None where we are not shown what was signed."""
    status = parse_body(SubmissionStatus, item)
    if status.submission is None or status.signature is None:
        return None
    submission = submission_of(status.submission)
    return status.signature, Entry(
        submission=submission,
        signature=signature_of(status.signature),
        model=status.model or "",
        reserved=submission.reserve,
        received=status.received or 0,
    )


def _why(response: http.client.HTTPResponse) -> str:
    try:
        return f": {json.loads(response.read(1 << 16))['detail']}"
    except (ValueError, KeyError, TypeError):
        return ""


class Sources:
    """Several gateways as one: what any of them holds is work, and any of them may give the bytes."""

    def __init__(self, sources: Sequence[HttpSource]) -> None:
        self._sources = tuple(sources)

    def pending(self, limit: int) -> Sequence[Entry]:
        """Pending submissions of all gateways, each once; Unavailable only when no gateway answers."""
        found: dict[bytes, Entry] = {}
        failures: list[RegistryError] = []
        for source in self._sources:
            try:
                for entry in source.pending(limit):
                    known = found.get(entry.version_id)
                    if known is None or entry.submission.issued_at > known.submission.issued_at:
                        found[entry.version_id] = entry
            except RegistryError as e:
                failures.append(e)
        if len(failures) == len(self._sources):
            raise failures[0]
        return sorted(found.values(), key=lambda entry: entry.received)[:limit]

    def forget(self, version_ids: Collection[VersionId]) -> None:
        """These are settled on chain."""
        for source in self._sources:
            source.forget(version_ids)

    def restart(self) -> None:
        """The chain changed: what was settled may be work again."""
        for source in self._sources:
            source.restart()

    def car(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """The whole DAGs from the first gateway that begins to give them."""
        failures: list[RegistryError] = []
        for source in self._sources:
            pieces = source.car(cids)
            try:
                first = next(pieces)
            except StopIteration:
                continue
            except RegistryError as e:
                failures.append(e)
                continue
            yield first
            yield from pieces
            return
        raise failures[0] if failures else NotFound(f"no gateway holds {cids[0]}")

    def wait(self, timeout_s: float) -> None:
        """Gateways elsewhere are simply asked again later."""
        time.sleep(timeout_s)
