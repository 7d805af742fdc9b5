"""One way in and out for every route: who asks, the body, the answer, and errors as RFC 9457 problems.

A route is `async def`; what blocks runs in a worker thread. A POST with an Idempotency-Key is answered
from the kept answer when it comes again.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Path, Request, Response
from pydantic import BaseModel

from registry.api.threads import asking_as, in_thread
from registry.core.access import (
    Authorization,
    body_digest,
    claimed_by,
    read_authorization,
    verify_authorization,
)
from registry.core.canonical import strict_json
from registry.core.ids import Address, sha256
from registry.errors import Malformed, NotAuthorized, RegistryError, TooLarge, Unauthenticated
from registry.pool import Answered
from registry.service import Asker, Service
from registry.wire import Body, parse_body

SELF_SIGNED = "self-signed"
# A number in a path: what lies beyond is no number of anything here.
Number = Annotated[int, Path(ge=0, lt=1 << 63)]
PROBLEM = "application/problem+json"
Shape = TypeVar("Shape", bound=Body)


def service_of(request: Request) -> Service:
    """The service behind this application."""
    service: Service = request.app.state.service
    return service


def target_of(request: Request) -> str:
    """The request target exactly as it was sent, with its query."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope.get("query_string", b"")
    return (raw.split(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")


async def caller_of(request: Request, group: str, body: bytes = b"") -> Asker:
    """Verify who asks, and that this group of routes is open to them."""
    return await _entered(await admission_of(request, group, body))


async def caller_with(request: Request, group: str, digest: bytes) -> Asker:
    """The same for a body that was hashed while it streamed."""
    return await _entered(await _admission(request, group, digest))


async def admission_of(request: Request, group: str, body: bytes = b"") -> "Admission":
    """The same up to what must be written down, for work that begins with it in its own turn of a thread."""
    signed = "authorization" in request.headers
    digest = body_digest(request.method, target_of(request), body) if signed else b""
    return await _admission(request, group, digest)


@dataclass(frozen=True, slots=True)
class Admission:
    """Who asks, and by which signature; whether its nonce is new is not known before `enter`."""

    request: Request
    asker: Asker
    signed: Authorization | None
    may_ask: bool

    @property
    def is_quick(self) -> bool:
        """Whether `enter` takes less time than a turn of a thread."""
        return self.signed is None or service_of(self.request).nonces.is_at_hand(self.signed.created)

    def enter(self) -> Asker:
        """Take the nonce before anything is done for the request; NotAuthorized for a stranger."""
        if self.signed is None:
            return self.asker
        address, now = self.signed.address, int(time.time())
        service_of(self.request).nonces.take(address, self.signed.nonce, self.signed.created, now)
        self.request.state.asker = self.asker
        if not self.may_ask:
            raise NotAuthorized(
                f"{address} is no member",
                hint=f"ask the council: twinledger member add {address} --namespace NS --role submitter",
            )
        return self.asker


async def _entered(admission: Admission) -> Asker:
    return admission.enter() if admission.is_quick else await in_thread(admission.enter)


async def _admission(request: Request, group: str, digest: bytes) -> Admission:
    header = request.headers.get("authorization")
    network = request.client.host if request.client else ""
    if header is None:
        _require_open(request, group)
        return Admission(request, Asker(None, None, "", network), None, may_ask=True)
    service = service_of(request)
    signed = read_authorization(header)
    # Here and not in a thread, as is the look at the member below: a turn there costs more than they do.
    address = verify_authorization(
        signed,
        service.contracts.domain,
        method=request.method,
        target=target_of(request),
        body_sha256=digest,
        now=int(time.time()),
    )
    request.app.state.buckets.take(address)
    find = service.index.member
    member = find(address) if service.index.is_at_hand else await in_thread(find, address)
    is_member = member is not None and bool(member.roles)
    if is_member:
        asking_as(address)
    asker = Asker(address, None, signed.cell, network)
    return Admission(request, asker, signed, is_member or _is_open(request, group))


def asker_of(request: Request) -> Asker:
    """Who was refused: the signer if the signature verified, else nobody, with the address claimed."""
    verified: Asker | None = getattr(request.state, "asker", None)
    if verified is not None:
        return verified
    network = request.client.host if request.client else ""
    return Asker(None, claimed_by(request.headers.get("authorization", "")), "", network)


def _is_open(request: Request, group: str) -> bool:
    # What carries its own signature needs no group: the contract and admission judge the signer.
    return group == SELF_SIGNED or request.app.state.settings.is_open(group)


def _require_open(request: Request, group: str) -> None:
    if not _is_open(request, group):
        raise Unauthenticated(f"{request.method} {request.url.path} is for members: sign the request")


async def json_body(request: Request) -> bytes:
    """The whole body, refused while it arrives when it is over the limit."""
    limit = request.app.state.settings.limits.body_bytes
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > limit:
            raise TooLarge(f"the body is over {limit} bytes")
    return bytes(received)


def read_json(body: bytes) -> Any:
    """Strict JSON: a duplicate key or a NaN is Malformed."""
    return strict_json(body)


def read_shape(shape: type[Shape], body: bytes) -> Shape:
    """The body as `shape`."""
    return parse_body(shape, read_json(body))


def answer(value: object, status: int = 200) -> Response:
    """A JSON response; pydantic shapes by their aliases, dataclasses by their fields."""
    return Response(to_json(value), status_code=status, media_type="application/json")


def to_json(value: object) -> bytes:
    """The JSON of shapes, dataclasses, lists of them and plain values."""
    if isinstance(value, BaseModel):
        return value.model_dump_json(by_alias=True).encode()
    return json.dumps(value, separators=(",", ":"), default=_shape_json).encode()


def _shape_json(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if is_dataclass(value):
        return fields_of(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def fields_of(value: Any) -> dict[str, Any]:
    """A dataclass as an object; what its fields hold is not copied, as `asdict` would."""
    return {one.name: getattr(value, one.name) for one in fields(value)}


async def post(
    request: Request,
    group: str,
    shape: type[Shape],
    act: Callable[[Shape, Asker], object],
    *,
    status: int = 200,
    signer: Callable[[Shape], Address] | None = None,
) -> Response:
    """A POST of one shape: authenticated, idempotent under its key, run in a worker thread.

    `signer` reads who signed the body, where the body is what is signed.
    """
    body = await json_body(request)
    caller = await caller_of(request, group, body)
    read = read_shape(shape, body)
    actor = None if signer is None else lambda: signer(read)
    return await once(request, caller, body, lambda: (status, act(read, caller)), actor)


async def once(
    request: Request,
    caller: Asker,
    body: bytes,
    act: Callable[[], tuple[int, object]],
    signer: Callable[[], Address] | None = None,
) -> Response:
    """Run `act`, or answer what it answered when this Idempotency-Key came before."""
    key = request.headers.get("idempotency-key")
    if key is None:
        status, value = await in_thread(act)
        return answer(value, status)
    if not 0 < len(key) <= 255:
        raise Malformed(f"an Idempotency-Key has 1 to 255 characters, got {len(key)}")
    return await in_thread(_once, request, caller, body, act, signer, key)


def _once(
    request: Request,
    caller: Asker,
    body: bytes,
    act: Callable[[], tuple[int, object]],
    signer: Callable[[], Address] | None,
    key: str,
) -> Response:
    requests = service_of(request).requests
    # Keys are scoped to their actor: of a body that is itself signed, that is who signed it.
    actor = caller.address or (signer() if signer is not None else "anonymous")
    route, digest = request.url.path, sha256(body)
    kept = requests.answered(actor, route, key, digest)
    if kept is None:
        status, value = act()
        kept = Answered(status, to_json(value).decode())
        requests.keep(actor, route, key, digest, kept, int(time.time()))
    return Response(kept.body, status_code=kept.status, media_type="application/json")


def problem_of(error: RegistryError) -> dict[str, object]:
    """The RFC 9457 problem of an error."""
    return {
        "type": f"urn:twinledger:error:{error.code}",
        "title": (type(error).__doc__ or error.code).split("\n")[0],
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "retryable": error.retryable,
    }


def problem_response(
    error: RegistryError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as a response, with Retry-After where a retry helps.

    `status` is for what HTTP itself defines and the tree has no class for: 405 and 416.
    """
    sent = dict(headers or {})
    if error.retryable or error.status == 429:
        sent["retry-after"] = str(error.values.get("retry_after_s", 1))
    code = error.status if status is None else status
    document = json.dumps(problem_of(error) | {"status": code})
    return Response(document, status_code=code, media_type=PROBLEM, headers=sent)


__all__ = [
    "Number",
    "admission_of",
    "answer",
    "caller_of",
    "caller_with",
    "in_thread",
    "json_body",
    "once",
    "post",
    "problem_of",
    "problem_response",
    "read_json",
    "read_shape",
    "service_of",
]
