"""Models and versions: search, show, manifest, files, lineage, and the transactions that move them."""

import math
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from registry.api.content import Asked, content_response
from registry.api.exchange import SELF_SIGNED, admission_of, answer, caller_of, in_thread, post, service_of
from registry.api.pages import PAGED, check_parameters, integer, page, page_size
from registry.api.routes import DirectRoute, asks
from registry.api.shapes import grant_answer, kin_answer, model_answer, version_answer, version_json
from registry.core.ids import hex32
from registry.core.refs import Reference, parse_reference
from registry.core.transaction import read_transaction
from registry.errors import Malformed
from registry.index import Search
from registry.index.search import parse_metric
from registry.service import Asker
from registry.service.acts import Check, expect_alias, expect_version
from registry.service.relay import CONTRACTS, PAYMENT
from registry.wire import RawTransaction, TransactionAnswer, VersionAnswer

router = APIRouter(tags=["models"], route_class=DirectRoute)
_SEARCHED = (
    *("q", "tag", "near", "carrier_hz", "scenario", "cell"),
    *("metric", "dataset", "participant", "sort"),
)
_REPEATED = ("tag", "metric")
Handler = Callable[[Request], Awaitable[Response]]


class _VersionPrefix(Convertor[str]):
    """A path segment that begins a version id; no namespace begins with 0x, so nothing is ambiguous."""

    regex = "0[xX][0-9a-fA-F]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _Namespace(_VersionPrefix):
    """A path segment that names a namespace."""

    regex = "(?!0[xX])[^/]+"


register_url_convertor("versionid", _VersionPrefix())
register_url_convertor("namespace", _Namespace())


def versioned(suffix: str, *, methods: list[str], **options: Any) -> Callable[[Handler], Handler]:
    """Mount a handler under both spellings of a reference."""

    def mount(handler: Handler) -> Handler:
        name = handler.__name__
        spellings = (("{ref:versionid}", "id"), ("{namespace:namespace}/{name}", "name"))
        for (prefix, spelling), method in product(spellings, methods):
            # An operation id names one operation: a HEAD beside a GET needs its own.
            router.add_api_route(
                f"/v1/versions/{prefix}{suffix}",
                handler,
                methods=[method],
                operation_id=f"{'head_' if method == 'HEAD' else ''}{name}_by_{spelling}",
                **options,
            )
        return handler

    return mount


def reference_of(request: Request) -> Reference:
    """The reference in the path."""
    parts = request.path_params
    return parse_reference(parts["ref"] if "ref" in parts else f"{parts['namespace']}/{parts['name']}")


# One segment that begins no version id is refused by what it lacks, not by "no such route": last.
@router.get("/v1/versions/{ref}", include_in_schema=False)
@versioned("", methods=["GET"], response_model=VersionAnswer)
async def show_version(request: Request) -> Response:
    """The version a reference means now."""
    await caller_of(request, "models")
    catalogue, reference = service_of(request).catalogue, reference_of(request)
    # Three looks into a file cost less than a turn in a thread; a server that is away must not stop the loop.
    is_at_hand = catalogue.index.is_at_hand
    row, aliases = catalogue.show(reference) if is_at_hand else await in_thread(catalogue.show, reference)
    return Response(version_json(row, aliases), media_type="application/json")


@router.get("/v1/search", openapi_extra=asks(*_SEARCHED, *PAGED))
async def search_versions(request: Request) -> Response:
    """Versions whose manifests fit every condition."""
    await caller_of(request, "models")
    found = await in_thread(service_of(request).catalogue.search, _search(request))
    items = [version_answer(row, [], manifest=row.manifest) for row in found.versions]
    return answer({"items": items, "next": found.next})


@router.get("/v1/models")
async def list_models(request: Request, cursor: str = "", limit: int = 100) -> Response:
    """Every model, by name."""
    await caller_of(request, "models")
    limit = page_size(limit)
    rows = await in_thread(lambda: service_of(request).catalogue.models(after=cursor, limit=limit + 1))
    items = [model_answer(row) for row in rows[:limit]]
    return answer({"items": items, "next": items[-1].model if len(rows) > limit else None})


@router.get("/v1/models/{namespace}/{name}", openapi_extra=asks(*PAGED))
async def show_model(request: Request, namespace: str, name: str) -> Response:
    """Every version of one model, oldest first."""
    await caller_of(request, "models")
    service = service_of(request)
    limit, after = page_size(integer(request, "limit", 100)), integer(request, "cursor", 0)
    rows = await in_thread(lambda: service.catalogue.model(namespace, name, after=after, limit=limit + 1))
    items = [
        version_answer(row, await in_thread(service.index.aliases_of, row.version_id), manifest=None)
        for row in rows[:limit]
    ]
    return answer({"items": items, "next": str(items[-1].number) if len(rows) > limit else None})


@router.post("/v1/models/{namespace}/{name}/aliases/{alias}", status_code=202)
async def set_alias(request: Request, namespace: str, name: str, alias: str) -> Response:
    """Relay a signed `setAlias` of this alias."""
    check = expect_alias(service_of(request).index, f"{namespace}/{name}", alias)
    return await relay(request, "TwinRegistry", check=check)


@router.post("/v1/transactions", status_code=202, response_model=TransactionAnswer)
async def send_transaction(request: Request) -> Response:
    """Relay any transaction to one of the contracts, or a payment."""
    return await relay(request, *CONTRACTS, PAYMENT)


@versioned("/manifest", methods=["GET"])
async def show_manifest(request: Request) -> Response:
    """The exact manifest bytes."""
    await caller_of(request, "models")
    service = service_of(request)
    row = await in_thread(service.catalogue.resolve, reference_of(request))
    manifest = await in_thread(service.catalogue.manifest, row)
    return Response(manifest.bytes, media_type="application/json")


@versioned("/files/{path:path}", methods=["GET", "HEAD"])
async def get_file(request: Request) -> Response:
    """One file of a version, streamed and verified."""
    admission = await admission_of(request, "models")
    service = service_of(request)

    def find() -> Asked:
        caller = admission.enter()
        row = service.catalogue.resolve(reference_of(request))
        entry = service.catalogue.file(row, request.path_params["path"])
        return Asked(entry.cid, lambda size: service.retrieved(row, entry, caller, size))

    return await content_response(request, find)


@versioned("/lineage", methods=["GET"], openapi_extra=asks("direction", "depth", *PAGED))
async def show_lineage(request: Request) -> Response:
    """Ancestors, descendants, or both."""
    await caller_of(request, "models")
    catalogue = service_of(request).catalogue
    direction = request.query_params.get("direction", "both")
    if direction not in ("up", "down", "both"):
        raise Malformed(f"direction is {direction!r}, not up, down or both")
    depth = integer(request, "depth", 100)
    row = await in_thread(catalogue.resolve, reference_of(request))
    kin = await in_thread(catalogue.lineage, row, direction, depth)
    taken, following = page(request, [kin_answer(near) for near in kin], lambda near: near.version_id)
    return answer({"items": taken, "next": following})


@versioned("/status", methods=["POST"], status_code=202, response_model=TransactionAnswer)
async def set_status(request: Request) -> Response:
    """Relay a signed `setStatus` of this version, or the council's call that leads to one."""
    row = await in_thread(service_of(request).catalogue.resolve, reference_of(request))
    check = expect_version("setStatus", row.version_id)
    return await relay(request, "TwinRegistry", "Consortium", check=check)


@versioned("/grants", methods=["GET"], openapi_extra=asks(*PAGED))
async def list_grants(request: Request) -> Response:
    """Who is meant to read a private version, each with its wrapped key; nobody where it is public."""
    await caller_of(request, "members")
    catalogue = service_of(request).catalogue
    row = await in_thread(catalogue.resolve, reference_of(request))
    found = await in_thread(catalogue.grants, row)
    taken, following = page(request, found, lambda grant: grant.reader)
    return answer({"items": [grant_answer(row, grant) for grant in taken], "next": following})


@versioned("/grants", methods=["POST"], status_code=202, response_model=TransactionAnswer)
async def change_grants(request: Request) -> Response:
    """Relay a signed `grant` or `ungrant`."""
    return await relay(request, "Consortium")


async def relay(request: Request, *contracts: str, check: Check | None = None) -> Response:
    """Relay one signed transaction to one of these contracts; 202 with its hash."""
    service = service_of(request)

    def act(body: RawTransaction, caller: Asker) -> TransactionAnswer:
        raw = _raw(body)
        tx_hash = service.relay.send(raw, to=contracts, check=check)
        service.relayed(tx_hash, read_transaction(raw)[1], caller.network, request.url.path)
        return TransactionAnswer(tx_hash=hex32(tx_hash))

    return await post(
        request,
        SELF_SIGNED,
        RawTransaction,
        act,
        status=202,
        signer=lambda body: read_transaction(_raw(body))[1],
    )


def _raw(body: RawTransaction) -> bytes:
    return bytes.fromhex(body.raw_transaction[2:])


def _search(request: Request) -> Search:
    query = request.query_params
    check_parameters(request, *_SEARCHED, *PAGED, repeated=_REPEATED)
    return Search(
        text=query.get("q"),
        tags=tuple(query.getlist("tag")),
        near=_place(query["near"]) if "near" in query else None,
        carrier_hz=_range(query["carrier_hz"]) if "carrier_hz" in query else None,
        scenario=query.get("scenario"),
        cell=query.get("cell"),
        metrics=tuple(map(parse_metric, query.getlist("metric"))),
        dataset=query.get("dataset"),
        participant=query.get("participant"),
        sort=query.get("sort"),
        cursor=query.get("cursor"),
        limit=page_size(integer(request, "limit", 100)),
    )


def _place(text: str) -> tuple[float, float]:
    latitude, longitude = _pair(text, ",", "near", "LAT,LON")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise Malformed(f"near is {text!r}, and no place lies there: LAT is -90 to 90, LON -180 to 180")
    return latitude, longitude


def _range(text: str) -> tuple[float, float]:
    low, high = _pair(text, "..", "carrier_hz", "LO..HI")
    if low > high:
        raise Malformed(f"carrier_hz is {text!r}, a range that ends before it starts")
    return low, high


def _pair(text: str, separator: str, name: str, form: str) -> tuple[float, float]:
    first, found, second = text.partition(separator)
    try:
        pair = float(first), float(second)
    except ValueError as e:
        raise Malformed(f"{name} is {text!r}, not of the form {form}") from e
    if not found or not all(map(math.isfinite, pair)):
        raise Malformed(f"{name} is {text!r}, not of the form {form}")
    return pair
