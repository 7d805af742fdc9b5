"""The fee market: epochs, miners, account statements."""

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from registry.api.exchange import Number, answer, caller_of, in_thread, service_of
from registry.api.pages import PAGED, page, page_size
from registry.api.routes import DirectRoute, asks
from registry.chain.gateway import FeeParams
from registry.core.ids import read_count, to_address
from registry.index.accounts import EntryRow
from registry.index.epochs import Happening
from registry.service.fees import EpochView
from registry.service.miners import MinerView
from registry.wire_fees import (
    ClosingBody,
    EntryBody,
    EpochBody,
    EpochDetail,
    EpochParams,
    MarketEventBody,
    MenuBody,
    MinerBody,
    RateBody,
    RebatesBody,
)

router = APIRouter(tags=["fees"], route_class=DirectRoute)


@router.get("/v1/fees/epochs")
async def list_epochs(request: Request, cursor: str | None = None, limit: int = 100) -> Response:
    """Closed epochs, oldest first; a run of idle ones is one item."""
    await caller_of(request, "fees")
    after, fees = -1 if cursor is None else read_count(cursor, "cursor"), service_of(request).fees
    found = await in_thread(lambda: fees.epochs(after=after, limit=page_size(limit)))
    items = [_epoch(view, fees.params) for view in found.items]
    return answer({"items": items, "next": None if found.next is None else str(found.next)})


@router.get("/v1/fees/epochs/{number}", response_model=EpochDetail)
async def show_epoch(request: Request, number: Number) -> Response:
    """One epoch with every event that it follows from; the open one as far as it has come."""
    await caller_of(request, "fees")
    fees = service_of(request).fees
    view, events = await in_thread(fees.epoch, number)
    return answer(
        EpochDetail(
            **_epoch(view, fees.params).model_dump(),
            params=EpochParams(**asdict(fees.params)),
            events=[_event(event) for event in events],
        )
    )


@router.get("/v1/miners", openapi_extra=asks(*PAGED))
async def list_miners(request: Request) -> Response:
    """Every miner: sealed, stored, audited, earned, held."""
    await caller_of(request, "fees")
    views = await in_thread(service_of(request).miners.all)
    taken, following = page(request, views, lambda view: view.address)
    return answer({"items": [_miner(view) for view in taken], "next": following})


@router.get("/v1/miners/{address}", response_model=MinerBody)
async def show_miner(request: Request, address: str) -> Response:
    """One miner."""
    await caller_of(request, "fees")
    return answer(_miner(await in_thread(service_of(request).miners.show, to_address(address))))


@router.get("/v1/accounts/{address}/statement")
async def show_statement(
    request: Request, address: str, cursor: str | None = None, limit: int = 100
) -> Response:
    """Every debit and credit of an escrow, oldest first; they sum to the balance."""
    await caller_of(request, "accounts")
    account, statements = to_address(address), service_of(request).statements
    found = await in_thread(lambda: statements.of(account, cursor=cursor, limit=page_size(limit)))
    return answer({"items": [_entry(row) for row in found.items], "next": found.next})


def _epoch(view: EpochView, params: FeeParams) -> EpochBody:
    slots = params.slots_per_epoch
    return EpochBody(
        first=view.first,
        last=view.last,
        state=view.state,
        first_slot=view.first * slots,
        last_slot=(view.last + 1) * slots - 1,
        menu=None if view.menu is None else _menu(view.menu),
        items=view.accepted,
        bytes_h=view.bytes_h,
        bytes_l=view.bytes_l,
        fees=str(view.fees),
        tax=str(view.charged),
        closing=None if view.closing is None else _closing(view.closing),
        rebates=None
        if view.completed is None
        else RebatesBody(paid=str(view.completed.args["paid"]), carry=str(view.completed.args["carry"])),
    )


def _menu(event: Happening) -> MenuBody:
    def rate(letter: str) -> RateBody:
        rho, tax = int(event.args[f"rho{letter}"]), int(event.args[f"tax{letter}"])
        return RateBody(rho=str(rho), tax=str(tax), price=str(rho + tax))

    return MenuBody(standard=rate("L"), priority=rate("H"))


def _closing(event: Happening) -> ClosingBody:
    # An idle run estimates nothing and shares nothing: its event has taus only.
    args = {"estH": 0, "estL": 0, "taxes": 0, "outside": 0, "carry": 0, "accounts": 0, **event.args}
    return ClosingBody(
        block=event.block,
        time=event.time,
        tx_hash=event.tx_hash,
        est_h=str(args["estH"]),
        est_l=str(args["estL"]),
        tau_h=str(args["tauH"]),
        tau_l=str(args["tauL"]),
        taxes=str(args["taxes"]),
        outside=str(args["outside"]),
        carry=str(args["carry"]),
        accounts=int(args["accounts"]),
    )


def _event(event: Happening) -> MarketEventBody:
    return MarketEventBody(
        block=event.block,
        log_index=event.log_index,
        time=event.time,
        tx_hash=event.tx_hash,
        contract=event.contract,
        name=event.name,
        args=event.args,
    )


def _miner(view: MinerView) -> MinerBody:
    return MinerBody(
        address=view.address,
        enrolled=view.is_enrolled,
        price=str(view.price),
        sealed=view.sealed,
        sealed_bytes=view.sealed_bytes,
        stored_bytes=view.stored_bytes,
        audited=view.audited,
        failed=view.failed,
        absent=view.absent,
        earned=str(view.earned),
        collected=str(view.collected),
        forfeited=str(view.forfeited),
        held=str(view.held),
        bond=str(view.bond),
    )


def _entry(row: EntryRow) -> EntryBody:
    block, log_index, _part = row.place
    return EntryBody(
        block=block,
        log_index=log_index,
        time=row.time,
        tx_hash=row.tx_hash,
        reason=row.reason,
        amount=str(row.amount),
        balance=str(row.balance),
        epoch=row.epoch,
        subject=row.subject,
    )
