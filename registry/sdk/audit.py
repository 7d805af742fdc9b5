"""The auditor's side of the client: ask, and verify what is answered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from registry.audit.accuse import Verdict, accuse
from registry.audit.completeness import Answer, Trust, page_from_json, verify_answer
from registry.audit.forensics import Moves, Sighting, Trace, follow
from registry.audit.trust import TrustFile, parse_trust
from registry.audit.verify_case import Report, verify_case
from registry.core.checkpoint import Checkpoint
from registry.core.ids import hex32, model_id
from registry.core.log import check_key
from registry.core.note import Note
from registry.core.promise import Promise
from registry.core.refs import parse_model
from registry.errors import Malformed, NotFound, VerificationFailed
from registry.sdk.session import Session

CHAIN = "chain"
LOGS = (CHAIN, "gateway")


class Audit:
    """Forensic questions to one gateway; proofs are checked here, not believed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._http = session.http

    def events(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Events that fit: log, actor, model, version, kind, cell, since, until."""
        yield from self._http.items("/v1/audit/events", filters)

    def timeline(self, **filters: Any) -> list[dict[str, Any]]:
        """What happened to a model, a version or a member, over both logs."""
        return list(self._http.items("/v1/audit/timeline", filters))

    def trace(self, device: str, moves: Moves | None = None, **filters: Any) -> Trace:
        """A device across cells, with gaps and impossible moves marked.

        The gateway says where it was seen, each sighting an event that `prove` proves; what is impossible
        is judged here. Only the auditor knows where cells are: `Moves(parse_places(raw).distance_m)`.
        """
        found = self._http.get("/v1/audit/trace", {"device": device, **filters})
        return follow(device, [Sighting(**one) for one in found["sightings"]], moves or Moves())

    def probing(self, at_least: int = 1, **filters: Any) -> list[dict[str, Any]]:
        """Refused requests per caller."""
        return list(self._http.items("/v1/audit/probing", {"at_least": at_least, **filters}))

    def impact(self, ref: str) -> dict[str, Any]:
        """Whom a tainted version, device, update or dataset reached."""
        # A dataset may be called anything.
        return dict(self._http.get(f"/v1/audit/impact/{quote(ref, safe='/@')}"))

    def prove(self, event: str) -> bytes:
        """The C2SP `.tlog-proof` of an event, `log:index`."""
        with self._http.stream(f"/v1/audit/events/{quote(event)}/proof") as response:
            return response.read()

    def complete(self, key: str, log: str = "chain", *, trust: TrustFile | None = None) -> Answer:
        """Everything that concerns a key, verified page by page; VerificationFailed when a page lies.

        `key` is model:ns/name, version:0x…, actor:0x…, cell:ns/name or kind:NAME. The chain log knows a
        model by its id alone: which id the name has is computed here, from the proved namespaces.
        """
        answer = self._complete(key, log, trust)
        wanted = self._model_key(key, trust) if log == CHAIN and key.startswith("model:") else check_key(key)
        if answer.key != wanted:
            raise VerificationFailed(f"the gateway answered about {answer.key}, asked was {wanted}")
        return answer

    def _model_key(self, key: str, trust: TrustFile | None) -> str:
        name = key.removeprefix("model:")
        if "/" not in name:
            return check_key(key)
        namespace, name = parse_model(name)
        created = self._complete("kind:namespace_created", CHAIN, trust)
        if created.key != "kind:namespace_created":
            raise VerificationFailed(f"the gateway answered about {created.key}, asked were the namespaces")
        numbers = {e.details["name"]: e.details["namespace_id"] for e in (r.entry for r in created.entries)}
        return f"model:{hex32(model_id(int(str(numbers.get(namespace, 0))), name))}"

    def _complete(self, key: str, log: str, trust: TrustFile | None) -> Answer:
        first: int | None = 0
        pages = []
        while first is not None:
            found = self._http.get("/v1/audit/complete", {"log": log, "key": key, "cursor": first})
            pages.append(page_from_json(found))
            first = pages[-1].next
        return verify_answer(pages, self._trust(log, trust))

    def checkpoints(self, log: str = "chain") -> list[str]:
        """Kept checkpoints of a log."""
        return list(self._http.items("/v1/audit/checkpoints", {"log": log}))

    def consistency(self, log: str, old: int, new: int) -> list[str]:
        """The proof that a log only grew between two sizes."""
        found = self._http.get("/v1/audit/consistency", {"log": log, "from": old, "to": new})
        return list(found["proof"])

    def export(self, path: str | Path, **filters: Any) -> Path:
        """Write case.zip of what the filters ask for; no filter takes everything."""
        raw = self._http.post_bytes("/v1/audit/evidence", filters)
        target = Path(path)
        target.write_bytes(raw)
        return target

    def verify(self, path: str | Path, trust: str | Path | None = None) -> Report:
        """Verify an evidence file offline; without a trust file it is only consistent with itself."""
        return verify_case(Path(path), None if trust is None else read_trust(trust))

    def accuse(self, receipt: str | Path, *, trust: TrustFile | None = None) -> Verdict:
        """Whether the promise in a receipt or a retrieval was kept: the whole log is read and hashed."""
        document = json.loads(Path(receipt).read_text())
        promise = Promise.from_json(document.get("promise", document))
        name = self._log_of(promise.log)
        checkpoint = self.checkpoint(name)
        return accuse(
            promise,
            trust=self._trust(name, trust),
            checkpoint=checkpoint,
            fetch=lambda path: self._bytes(f"/log/{name}/{path}"),
        )

    def checkpoint(self, log: str = "chain") -> bytes:
        """The newest checkpoint of a log."""
        return self._bytes(f"/log/{log}/checkpoint")

    def tile(self, log: str, path: str) -> bytes:
        """A C2SP tile of a log, by its path (`tile/0/000`)."""
        return self._bytes(f"/log/{log}/{path}")

    def _log_of(self, origin: str) -> str:
        for name in LOGS:
            if _origin(self.checkpoint(name)) == origin:
                return name
        raise NotFound(f"this gateway has no log {origin}", hint="ask the gateway that gave the promise")

    def _trust(self, log: str, trust: TrustFile | None) -> Trust:
        given = trust or self._session.trust()
        if given is None:
            raise Malformed("a proof needs a trust file", hint="give --trust trust.json")
        return given.for_log(_origin(self.checkpoint(log)))

    def _bytes(self, path: str) -> bytes:
        with self._http.stream(path) as response:
            return response.read()


def read_trust(path: str | Path) -> TrustFile:
    """A trust file; NotFound when it is not there."""
    try:
        return parse_trust(Path(path).read_bytes())
    except OSError as e:
        raise NotFound(f"the trust file {path} cannot be read: {e}", hint="give --trust FILE") from e


def _origin(checkpoint: bytes) -> str:
    return Checkpoint.parse(Note.parse(checkpoint).text).origin
