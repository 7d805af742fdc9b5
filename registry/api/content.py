"""Content by CID: streamed in, streamed out, with ranges; and the trustless gateway `/ipfs`."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from registry.api.exchange import answer, caller_of, caller_with, in_thread, problem_response, service_of
from registry.api.streams import WatchedResponse, gathered, receive, send
from registry.core.cid import Cid
from registry.core.ids import hex32
from registry.errors import Malformed
from registry.service import Asker
from registry.service.journal import Retrieval
from registry.wire import CarAnswer, UploadAnswer

router = APIRouter(tags=["content"])
CAR = "application/vnd.ipld.car"
RAW = "application/vnd.ipld.raw"
MAX_CIDS = 400
# No file is longer than 19 digits can say; a longer number is no range, and is ignored.
_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{0,19})")
_SUFFIX = re.compile(r"bytes=-([0-9]{1,19})")


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
    service = service_of(request)
    running = hashlib.sha256()

    def hashed(body: Iterator[bytes]) -> Iterator[bytes]:
        for piece in body:
            running.update(piece)
            yield piece

    # A signed stream can only be verified at its end; until then it counts as nobody's.
    signed = "authorization" in request.headers
    if not signed:
        await caller_of(request, "content")
    if request.headers.get("content-type", "").split(";")[0].strip() == CAR:
        result = await receive(request, lambda body: service.content.put_car(hashed(body), caller=None))
        value: CarAnswer | UploadAnswer = CarAnswer(
            roots=[str(root) for root in result.roots], blocks=result.blocks
        )
    else:
        stored = await receive(request, lambda body: service.content.put(hashed(body), caller=None))
        value = UploadAnswer(cid=str(stored.cid), sha256=hex32(stored.sha256), size=stored.size)
    if signed:
        await caller_with(request, "content", running.digest())
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
    caller = await caller_of(request, "content")
    wanted = Cid.parse(cid)
    return await content_response(request, wanted, lambda size: _fetched(request, wanted, caller, size))


@router.get("/ipfs/{cid}", response_class=StreamingResponse)
@router.head("/ipfs/{cid}", response_class=Response)
async def get_ipfs(request: Request, cid: str, format: str | None = None) -> Response:
    """The trustless gateway: one block (`raw`), a whole DAG (`car`), or the file."""
    caller = await caller_of(request, "content")
    service = service_of(request)
    wanted = Cid.parse(cid)
    accepted = request.headers.get("accept", "")
    shape = format or ("raw" if RAW in accepted else "car" if CAR in accepted else "file")
    headers = {"etag": f'"{wanted}.{shape}"', "x-ipfs-path": f"/ipfs/{wanted}"}
    if shape == "raw":
        block = await in_thread(service.store.block, wanted)
        headers["content-length"] = str(len(block))
        if request.method == "HEAD":
            return Response(b"", media_type=RAW, headers=headers)
        retrieval = await in_thread(service.fetched, wanted, caller, len(block))
        return promised(Response(block, media_type=RAW, headers=headers), retrieval)
    if shape == "car":
        await in_thread(service.content.stat, wanted)
        if request.method == "HEAD":
            return Response(b"", media_type=f"{CAR}; version=1", headers=headers)
        retrieval = await in_thread(service.replicated, wanted, caller)
        pieces = service.store.export(wanted)
        watched = _watched(request, pieces, retrieval, media_type=f"{CAR}; version=1", headers=headers)
        return promised(watched, retrieval)
    if shape == "file":
        return await content_response(request, wanted, lambda size: _fetched(request, wanted, caller, size))
    raise Malformed(f"format is {shape!r}, not raw or car")


async def _fetched(request: Request, cid: Cid, caller: Asker, size: int) -> Retrieval:
    return await in_thread(service_of(request).fetched, cid, caller, size)


def promised(response: Response, retrieval: Retrieval) -> Response:
    """The response with a header for each promise: one line, unless several models name the same bytes."""
    for promise in retrieval.promises:
        response.headers.append("twinledger-promise", promise.model_dump_json())
    return response


def _watched(
    request: Request, pieces: Iterator[bytes], retrieval: Retrieval, **options: Any
) -> WatchedResponse:
    async def broke_off(outcome: str, sent: int) -> None:
        await in_thread(service_of(request).broke_off, retrieval, outcome, sent)

    return WatchedResponse(pieces, broke_off, **options)


async def content_response(
    request: Request, cid: Cid, written_down: Callable[[int], Awaitable[Retrieval]]
) -> Response:
    """The answer to a GET or HEAD of a file, with Range.

    `written_down` logs that so many bytes are about to be sent, with the gateway's promises. It is asked
    before the first byte, and not at all where none is sent. An answer that breaks off is logged again.
    """
    service = service_of(request)
    size = await in_thread(service.content.file_size, cid)
    headers = {"accept-ranges": "bytes", "etag": f'"{cid}"'}
    first, last, status = _range(request.headers.get("range"), size)
    if status == 416:
        return _no_such_range(size)
    if status == 206:
        headers["content-range"] = f"bytes {first}-{last}/{size}"
    length = last - first + 1
    headers["content-length"] = str(length)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    retrieval = await written_down(length)
    pieces = service.content.get(cid, offset=first, length=length)
    watched = _watched(
        request, pieces, retrieval, status_code=status, headers=headers, media_type="application/octet-stream"
    )
    return promised(watched, retrieval)


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
