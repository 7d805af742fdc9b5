"""The auditor's routes, and the logs as C2SP tlog-tiles."""

import base64
import json
from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from registry.api.exchange import (
    answer,
    caller_of,
    fields_of,
    in_thread,
    json_body,
    once,
    read_shape,
    service_of,
)
from registry.api.pages import PAGED, check_parameters, integer, page, page_size
from registry.api.routes import DirectRoute, asks
from registry.audit.rows import Filter
from registry.core.refs import parse_reference
from registry.errors import Malformed, NotFound
from registry.service.audits import Audits, row_json
from registry.wire_audit import FilterBody

router = APIRouter(tags=["audit"], route_class=DirectRoute)
_FILTERS = ("log", "actor", "model", "version", "kind", "cell", "since", "until")
# A full tile never changes; a partial one may go once it is full, and a checkpoint is a second old at most.
_FOREVER = "public, max-age=31536000, immutable"
_FRESH = "no-cache"


def audits_of(request: Request) -> Audits:
    """The audits of this gateway."""
    return service_of(request).audits


def filter_of(request: Request, *also: str) -> Filter:
    """The filters in the query; `also` are its other parameters."""
    check_parameters(request, *_FILTERS, *also)
    query = request.query_params
    return Filter(
        log=query.get("log"),
        actor=query.get("actor"),
        model=query.get("model"),
        version=query.get("version"),
        kind=query.get("kind"),
        cell=query.get("cell"),
        since=_time(request, "since"),
        until=_time(request, "until"),
    )


@router.get("/v1/audit/events", openapi_extra=asks(*_FILTERS, *PAGED))
async def list_events(request: Request) -> Response:
    """Events of both logs that fit every filter; `twinledger-key` says on which key they are proved."""
    await caller_of(request, "audit")
    asked = filter_of(request, *PAGED)
    limit = page_size(integer(request, "limit", 100))
    cursor = request.query_params.get("cursor")
    found = await in_thread(lambda: audits_of(request).events(asked, cursor=cursor, limit=limit))
    items = [row_json(row) for row in found.rows]
    response = answer({"items": items, "next": found.next})
    if found.key is not None:
        response.headers["twinledger-key"] = found.key
    return response


@router.get("/v1/audit/events/{event}/proof")
async def prove_event(request: Request, event: str) -> Response:
    """The C2SP `.tlog-proof` of one event, `log:index`."""
    await caller_of(request, "audit")
    return Response(await in_thread(audits_of(request).proof, event), media_type="text/plain; charset=utf-8")


@router.get("/v1/audit/checkpoints", openapi_extra=asks(*PAGED))
async def list_checkpoints(request: Request, log: str = "chain") -> Response:
    """Kept checkpoints of a log with more entries than `cursor`."""
    await caller_of(request, "audit")
    check_parameters(request, "log", *PAGED)
    after, limit = integer(request, "cursor", 0) - 1, page_size(integer(request, "limit", 100))
    items = await in_thread(audits_of(request).checkpoints, log, after, limit)
    following = str(int(items[-1].split("\n")[1]) + 1) if len(items) == limit else None
    return answer({"items": items, "next": following})


@router.get("/v1/audit/consistency", openapi_extra=asks("from", "to"))
async def consistency(request: Request, log: str = "chain") -> Response:
    """The proof that a log only grew between two sizes."""
    await caller_of(request, "audit")
    check_parameters(request, "log", "from", "to")
    old, new = integer(request, "from", 0), integer(request, "to", 0)
    return answer(
        {
            "log": log,
            "from": old,
            "to": new,
            "proof": await in_thread(audits_of(request).consistency, log, old, new),
        }
    )


@router.get("/v1/audit/complete", openapi_extra=asks(*PAGED))
async def complete(request: Request, key: str, log: str = "chain") -> Response:
    """One page of everything that concerns a key, with the proof that nothing is missing."""
    await caller_of(request, "audit")
    check_parameters(request, "key", "log", *PAGED)
    first, limit = integer(request, "cursor", 0), page_size(integer(request, "limit", 100))
    return answer(await in_thread(audits_of(request).complete, log, key, first, limit))


@router.get("/v1/audit/timeline", openapi_extra=asks(*_FILTERS, *PAGED))
async def show_timeline(request: Request) -> Response:
    """What happened, in one order over both logs."""
    await caller_of(request, "audit")
    asked = filter_of(request, *PAGED)
    moments = await in_thread(audits_of(request).timeline, asked)
    taken, following = page(request, moments, lambda moment: moment.name)
    return answer({"items": [asdict(moment) for moment in taken], "next": following})


@router.get("/v1/audit/trace", openapi_extra=asks(*_FILTERS))
async def show_trace(request: Request, device: str) -> Response:
    """A device or member across cells, with gaps and impossible moves marked."""
    await caller_of(request, "audit")
    asked = filter_of(request, "device")
    return answer(asdict(await in_thread(audits_of(request).trace, device, asked)))


@router.get("/v1/audit/probing", openapi_extra=asks(*_FILTERS, "at_least", *PAGED))
async def show_probing(request: Request) -> Response:
    """Refused requests per caller."""
    await caller_of(request, "audit")
    asked, least = filter_of(request, "at_least", *PAGED), integer(request, "at_least", 1)
    found = await in_thread(audits_of(request).probing, asked, least)
    taken, following = page(request, found, lambda one: one.who)
    return answer({"items": [asdict(one) for one in taken], "next": following})


@router.get("/v1/audit/impact/{ref:path}")
async def show_impact(request: Request, ref: str) -> Response:
    """Whom a tainted version, device, update or dataset reached."""
    await caller_of(request, "audit")
    check_parameters(request)
    audits, service = audits_of(request), service_of(request)

    def asked() -> Response:
        tainted = audits.tainted_by(ref) or [service.catalogue.resolve(parse_reference(ref)).version_id]
        found = audits.impact(tainted)
        return answer({**fields_of(found), "people": found.people})

    # Written there too: ten thousand deliveries would keep everybody else waiting.
    return await in_thread(asked)


@router.post("/v1/audit/evidence", response_class=Response, openapi_extra=asks(*_FILTERS))
async def export_evidence(request: Request) -> Response:
    """case.zip of what the filters ask for, in the body or in the query; no filter takes everything."""
    body = await json_body(request)
    caller = await caller_of(request, "audit", body)
    asked, queried = Filter(**read_shape(FilterBody, body or b"{}").model_dump()), filter_of(request)
    if Filter() not in (asked, queried):
        raise Malformed("filters are in the body and in the query", hint="put all of them into the body")
    asked = queried if asked == Filter() else asked
    if "idempotency-key" not in request.headers:
        raw = await in_thread(audits_of(request).evidence, asked)
        return Response(raw, media_type="application/zip")

    def act() -> tuple[int, object]:
        return 200, base64.b64encode(audits_of(request).evidence(asked)).decode()

    kept = await once(request, caller, body + request.url.query.encode(), act)
    return Response(base64.b64decode(json.loads(bytes(kept.body))), media_type="application/zip")


@router.get("/log/{name}/checkpoint", response_class=Response)
@router.head("/log/{name}/checkpoint", response_class=Response)
async def checkpoint(request: Request, name: str) -> Response:
    """The newest checkpoint as a signed note."""
    await caller_of(request, "log")
    raw = await in_thread(audits_of(request).log(name).checkpoint)
    return Response(raw, media_type="text/plain; charset=utf-8", headers={"cache-control": _FRESH})


@router.get("/log/{name}/tile/{path:path}", response_class=Response)
@router.head("/log/{name}/tile/{path:path}", response_class=Response)
async def tile(request: Request, name: str, path: str) -> Response:
    """A C2SP tile or entry bundle."""
    await caller_of(request, "log")
    raw = await in_thread(audits_of(request).log(name).tile, f"tile/{path}")
    kept = _FRESH if ".p/" in path else _FOREVER
    return Response(raw, media_type="application/octet-stream", headers={"cache-control": kept})


@router.post("/log/witness/add-checkpoint", response_class=Response)
async def add_checkpoint(request: Request) -> Response:
    """C2SP add-checkpoint: a co-signature, once tree and map were rebuilt from the log's own entries."""
    body = await json_body(request)
    found = await in_thread(service_of(request).witness.add_checkpoint, body)
    # Given as a header it stays as it is: C2SP compares the type of a 409 as a whole, without a charset.
    return Response(found.body, status_code=found.status, headers={"content-type": found.content_type})


@router.get("/log/witness/{origin_hash}/checkpoint", response_class=Response)
@router.head("/log/witness/{origin_hash}/checkpoint", response_class=Response)
async def witnessed(request: Request, origin_hash: str) -> Response:
    """The newest checkpoint that this witness co-signed, by the sha-256 of the log's origin."""
    found = await in_thread(service_of(request).witness.checkpoint, origin_hash)
    if found is None:
        raise NotFound(f"this witness has seen no log with origin hash {origin_hash}")
    return Response(found, media_type="text/plain; charset=utf-8")


def _time(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    return None if text is None else integer(request, name, 0)
