"""Content by CID: streamed in, streamed out, with ranges; and the trustless gateway `/ipfs`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from registry.api.exchange import (
    admission_of,
    answer,
    caller_of,
    caller_with,
    in_thread,
    problem_response,
    service_of,
)
from registry.api.routes import DirectRoute
from registry.api.streams import PIECE, BrokeOff, WatchedResponse, WholeResponse, gathered, receive, send
from registry.core.cid import Cid
from registry.core.ids import hex32
from registry.errors import Malformed
from registry.service import Asker, Service
from registry.service.journal import Retrieval
from registry.storage.car import write_car
from registry.wire import CarAnswer, UploadAnswer

router = APIRouter(tags=["content"], route_class=DirectRoute)
CAR = "application/vnd.ipld.car"
RAW = "application/vnd.ipld.raw"
MAX_CIDS = 400
# No file is longer than 19 digits can say; a longer number is no range, and is ignored.
_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{0,19})")
_SUFFIX = re.compile(r"bytes=-([0-9]{1,19})")
_UNWRITTEN = Retrieval()
# Bytes under a hash never change, but who reads them from a cache in between is not written down here: only
# the reader's own may keep them, and asks again by their ETag.
_KEPT = {"cache-control": "private, no-cache", "vary": "accept"}


@router.put("/v1/content/{cid}", response_model=UploadAnswer)
async def put_content(request: Request, cid: str) -> Response:
    """Stream in the raw bytes of one file whose CID is known; 422 when they are another file's."""
    expected = Cid.parse(cid)
    caller = await caller_of(request, "content")
    service = service_of(request)
    stored = await receive(
        request, lambda body: service.content.put(body, caller=caller.address, expected=expected)
    )
    return answer(UploadAnswer(cid=str(stored.cid), sha256=hex32(stored.sha256), size=stored.size))


@router.put("/v1/content", response_model=None)
async def put_unnamed(request: Request) -> Response:
    """Stream in a file whose CID the client cannot compute, or a CAR of many blocks."""
    content = service_of(request).content
    # A signed stream can only be verified at its end; until then it counts as nobody's.
    signed = "authorization" in request.headers
    if not signed:
        await caller_of(request, "content")
    if request.headers.get("content-type", "").split(";")[0].strip() == CAR:
        taken = await receive(request, lambda body: content.put_car(body, caller=None))
        digest, roots = taken.sha256, [str(root) for root in taken.roots]
        value: CarAnswer | UploadAnswer = CarAnswer(roots=roots, blocks=taken.blocks)
    else:
        stored = await receive(request, lambda body: content.put(body, caller=None))
        digest = stored.sha256
        value = UploadAnswer(cid=str(stored.cid), sha256=hex32(stored.sha256), size=stored.size)
    if signed:
        await caller_with(request, "content", digest)
    return answer(value)


@router.get("/v1/content", response_class=StreamingResponse)
async def get_many(request: Request, cid: Annotated[list[str] | None, Query()] = None) -> Response:
    """Many DAGs as one CAR, for miners and gateways: `?cid=…&cid=…`; 404 unless all are held."""
    caller = await caller_of(request, "content")
    service = service_of(request)
    cids = [Cid.parse(text) for text in cid or ()]
    if not 0 < len(cids) <= MAX_CIDS:
        raise Malformed(f"give 1 to {MAX_CIDS} cid parameters, got {len(cids)}")
    pieces = await in_thread(service.copies, cids, caller)
    return StreamingResponse(send(gathered(pieces)), media_type=f"{CAR}; version=1")


@router.get("/v1/content/{cid}", response_class=StreamingResponse)
@router.head("/v1/content/{cid}", response_class=Response)
async def get_content(request: Request, cid: str) -> Response:
    """Stream out a file or a range of it; every block is hashed again on the way."""
    admission = await admission_of(request, "content")

    def find() -> Asked:
        caller = admission.enter()
        return _by_cid(service_of(request), Cid.parse(cid), caller)

    return await content_response(request, find)


@router.get("/ipfs/{cid}", response_class=StreamingResponse)
@router.head("/ipfs/{cid}", response_class=Response)
async def get_ipfs(
    request: Request,
    cid: str,
    format: str | None = None,
    scope: Annotated[str, Query(alias="dag-scope")] = "all",
    entity_bytes: Annotated[str | None, Query(alias="entity-bytes")] = None,
) -> Response:
    """The trustless gateway: one block (`raw`), a DAG or its `dag-scope` (`car`), or the file."""
    caller = await caller_of(request, "content")
    service = service_of(request)
    wanted = Cid.parse(cid)
    accepted = request.headers.get("accept", "")
    shape = format or ("raw" if RAW in accepted else "car" if CAR in accepted else "file")
    headers = {"etag": f'"{wanted}.{shape}"', "x-ipfs-path": f"/ipfs/{wanted}", **_KEPT}
    asked = _by_cid(service, wanted, caller)
    if shape == "raw":
        block = await in_thread(service.store.block, wanted)
        return await _block(request, block, block, RAW, headers, asked)
    if shape == "car":
        if entity_bytes not in (None, "0:*"):
            raise Malformed(
                f"a CAR of the bytes {entity_bytes!r} is not made",
                hint="ask for the whole, or for a Range of GET /v1/content/{cid}",
            )
        if (root := await in_thread(service.content.lone_block, wanted, scope)) is not None:
            headers |= {"etag": f'"{wanted}.car.{scope}"'}
            archive = b"".join(write_car((wanted,), [(wanted, root)]))
            return await _block(request, root, archive, f"{CAR}; version=1", headers, asked)
        await in_thread(service.content.stat, wanted)
        if _names(request.headers.get("if-none-match", ""), headers["etag"]):
            return Response(status_code=304, headers=headers)
        if request.method == "HEAD":
            return Response(b"", media_type=f"{CAR}; version=1", headers=headers)
        retrieval = await in_thread(service.replicated, wanted, caller)
        pieces = service.store.export(wanted)
        broke_off = _telling(request, retrieval)
        watched = WatchedResponse(pieces, broke_off, media_type=f"{CAR}; version=1", headers=headers)
        return promised(watched, retrieval)
    if shape == "file":
        response = await content_response(request, lambda: asked)
        response.headers.update(_KEPT)
        return response
    raise Malformed(f"format is {shape!r}, not raw or car")


async def _block(
    request: Request, block: bytes, body: bytes, media_type: str, headers: dict[str, str], asked: "Asked"
) -> Response:
    """One block, as it is or in a body of its own."""
    if _names(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    headers |= {"content-length": str(len(body))}
    if request.method == "HEAD":
        return Response(b"", media_type=media_type, headers=headers)
    retrieval = await in_thread(asked.written_down, len(block))
    return promised(Response(body, media_type=media_type, headers=headers), retrieval)


@dataclass(frozen=True, slots=True)
class Asked:
    """A file that is asked for; `written_down` logs that so many bytes of it are about to be sent."""

    cid: Cid
    written_down: Callable[[int], Retrieval]


@dataclass(frozen=True, slots=True)
class _Opened:
    """What of a file is sent: the length of all of it, the range's place, and the promises given for it.

    `body` is the range itself where it is short: it needs no second turn in a thread.
    """

    cid: Cid
    size: int
    first: int
    last: int
    status: int
    retrieval: Retrieval = _UNWRITTEN
    body: bytes | None = None

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def _by_cid(service: Service, cid: Cid, caller: Asker) -> Asked:
    return Asked(cid, lambda size: service.fetched(cid, caller, size))


def promised(response: Response, retrieval: Retrieval) -> Response:
    """The response with a header for each promise: one line, unless several models name the same bytes."""
    for promise in retrieval.promises:
        response.headers.append("twinledger-promise", promise.model_dump_json())
    return response


def _telling(request: Request, retrieval: Retrieval) -> BrokeOff:
    async def broke_off(outcome: str, sent: int) -> None:
        await in_thread(service_of(request).broke_off, retrieval, outcome, sent)

    return broke_off


async def content_response(request: Request, find: Callable[[], Asked]) -> Response:
    """The answer to a GET or HEAD of a file, with Range.

    What is about to be sent is written down before the first byte, and not at all where none is sent. An
    answer that breaks off is logged again.
    """
    found = await in_thread(_open, service_of(request), request, find)
    if found.status == 416:
        return _no_such_range(found.size)
    if found.status == 304:
        return Response(status_code=304, headers={"etag": _etag(found.cid)})
    headers = {
        "accept-ranges": "bytes",
        "etag": _etag(found.cid),
        "content-length": str(found.length),
        "content-type": "application/octet-stream",
    }
    if found.status == 206:
        headers["content-range"] = f"bytes {found.first}-{found.last}/{found.size}"
    if request.method == "HEAD":
        return Response(status_code=found.status, headers=headers)
    broke_off = _telling(request, found.retrieval)
    response: Response
    if found.body is not None:
        response = WholeResponse(found.body, broke_off, status_code=found.status, headers=headers)
    else:
        pieces = service_of(request).content.get(found.cid, offset=found.first, length=found.length)
        response = WatchedResponse(pieces, broke_off, status_code=found.status, headers=headers)
    return promised(response, found.retrieval)


def _open(service: Service, request: Request, find: Callable[[], Asked]) -> _Opened:
    asked = find()
    size = service.content.file_size(asked.cid)
    sent = request.headers
    if _names(sent.get("if-none-match", ""), _etag(asked.cid)):
        return _Opened(asked.cid, size, 0, -1, 304)
    # A range of other bytes than the reader holds would be joined to them: then it gets the whole.
    is_same = sent.get("if-range", _etag(asked.cid)) == _etag(asked.cid)
    opened = _Opened(asked.cid, size, *_range(sent.get("range") if is_same else None, size))
    if opened.status == 416 or request.method == "HEAD":
        return opened
    body = None
    if opened.length <= PIECE:
        # Read before it is written down: what cannot be read is refused, and was not retrieved.
        body = b"".join(service.content.get(asked.cid, offset=opened.first, length=opened.length))
    return replace(opened, retrieval=asked.written_down(opened.length), body=body)


def _etag(cid: Cid) -> str:
    return f'"{cid}"'


def _names(condition: str, etag: str) -> bool:
    """Whether an If-None-Match names these bytes; a proxy that compressed them made the tag a weak one."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return "*" in tags or etag in tags


def _no_such_range(size: int) -> Response:
    refused = Malformed(f"the range begins after the last of {size} bytes")
    return problem_response(refused, status=416, headers={"content-range": f"bytes */{size}"})


def _range(header: str | None, size: int) -> tuple[int, int, int]:
    """First and last byte and the status; a header that is no single range from the front is ignored."""
    whole = (0, size - 1, 200)
    if header is None:
        return whole
    suffix = _SUFFIX.fullmatch(header)
    if suffix is not None:
        wanted = int(suffix[1])
        return (max(0, size - wanted), size - 1, 206) if wanted and size else (0, 0, 416)
    match = _RANGE.fullmatch(header)
    if match is None:
        return whole
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if first >= size or last < first:
        return 0, 0, 416
    return first, last, 206
