"""Accounts, members, cells and council proposals."""

from fastapi import APIRouter, Request, Response

from registry.api.exchange import answer, caller_of, in_thread, service_of
from registry.api.pages import PAGED, integer, page, page_size
from registry.api.routes import DirectRoute, asks
from registry.api.shapes import account_answer, cell_answer, member_answer
from registry.api.versions import relay
from registry.core.ids import to_address
from registry.wire import TransactionAnswer
from registry.wire_members import AccountBody

router = APIRouter(tags=["members"], route_class=DirectRoute)


@router.get("/v1/accounts/{address}", response_model=AccountBody)
async def show_account(request: Request, address: str) -> Response:
    """Nonce, fee policy, escrow, reservation, roles and namespace of an address."""
    await caller_of(request, "accounts")
    return answer(account_answer(await in_thread(service_of(request).accounts.show, to_address(address))))


@router.get("/v1/members", openapi_extra=asks(*PAGED))
async def list_members(request: Request) -> Response:
    """Every address ever admitted."""
    await caller_of(request, "members")
    rows = await in_thread(service_of(request).index.members)
    taken, following = page(request, rows, lambda row: row.address)
    return answer({"items": [member_answer(row) for row in taken], "next": following})


@router.post("/v1/members", status_code=202, response_model=TransactionAnswer)
async def change_members(request: Request) -> Response:
    """Relay a signed transaction to the Consortium: admit, remove, register a key."""
    return await relay(request, "Consortium")


@router.get("/v1/cells", openapi_extra=asks(*PAGED))
async def list_cells(request: Request) -> Response:
    """Every cell and the gateway that may attest to it."""
    await caller_of(request, "members")
    rows = await in_thread(service_of(request).index.cells)
    taken, following = page(request, [cell_answer(row) for row in rows], lambda cell: cell.cell)
    return answer({"items": taken, "next": following})


@router.post("/v1/cells", status_code=202, response_model=TransactionAnswer)
async def add_cell(request: Request) -> Response:
    """Relay a signed `addCell`."""
    return await relay(request, "Consortium")


@router.get("/v1/proposals", openapi_extra=asks(*PAGED))
async def list_proposals(request: Request) -> Response:
    """Every council proposal, newest first, with what it would call."""
    await caller_of(request, "members")
    limit = page_size(integer(request, "limit", 100))
    before = integer(request, "cursor", 0) or None
    items = await in_thread(lambda: service_of(request).council.proposals(before=before, limit=limit))
    return answer({"items": items, "next": str(items[-1].id) if items and items[-1].id > 1 else None})


@router.post("/v1/proposals", status_code=202, response_model=TransactionAnswer)
async def change_proposals(request: Request) -> Response:
    """Relay a signed `propose`, `approve` or `execute`."""
    return await relay(request, "Consortium")
