"""JSON shapes of the fee market: epochs, miners, statements. Wei are decimal strings, debits negative."""

from typing import Annotated, Any

from pydantic import Field

from registry.wire import AddressText, Body, Hex32, Wei

Signed = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]{0,38})$")]


class RateBody(Body):
    """Wei per byte of one class: `price` = fee `rho` + waiting tax `tax`."""

    rho: Wei
    tax: Wei
    price: Wei


class MenuBody(Body):
    """The prices of one epoch."""

    standard: RateBody
    priority: RateBody


class ClosingBody(Body):
    """What closing an epoch measured and froze; rates in wei per byte."""

    block: int
    time: int
    tx_hash: Hex32
    est_h: Wei
    est_l: Wei
    tau_h: Wei
    tau_l: Wei
    taxes: Wei
    outside: Wei
    carry: Wei
    accounts: int


class RebatesBody(Body):
    """The rebates of an epoch once the last page is paid, and what the floors left over."""

    paid: Wei
    carry: Wei


class EpochBody(Body):
    """One epoch, or a run of idle epochs that were closed in one call (`first` to `last`)."""

    first: int
    last: int
    state: str
    first_slot: int
    last_slot: int
    menu: MenuBody | None
    items: int
    bytes_h: int
    bytes_l: int
    fees: Wei
    tax: Wei
    closing: ClosingBody | None
    rebates: RebatesBody | None


class MarketEventBody(Body):
    """One chain event: integers from 2^53 on are decimal strings, bytes hex."""

    block: int
    log_index: int
    time: int
    tx_hash: Hex32
    contract: str
    name: str
    args: dict[str, Any]


class EpochParams(Body):
    """The market's constructor values."""

    slots_per_epoch: int
    slot_s: int
    eta: int
    run_cap: int
    eps: int
    g_h: int
    g_l: int
    tau0_h: int
    tau0_l: int
    slot_bytes: int
    turn_slots: int
    grace_slots: int
    post_slots: int
    max_item_bytes: int


class EpochDetail(EpochBody):
    """An epoch with every input to recompute it: the events that fell into it, in chain order."""

    params: EpochParams
    events: list[MarketEventBody]


class MinerBody(Body):
    """One miner; `held` is earned and neither collected nor forfeited, `stored_bytes` within retention."""

    address: AddressText
    enrolled: bool
    price: Wei
    sealed: int
    sealed_bytes: int
    stored_bytes: int
    audited: int
    failed: int
    absent: int
    earned: Wei
    collected: Wei
    forfeited: Wei
    held: Wei
    bond: Wei


class EntryBody(Body):
    """One debit or credit of an escrow, with the balance after it.

    `reason` is deposit, withdrawal, fee, waiting_tax, rebate or storage; `subject` the payer of a deposit or
    the version that was sealed.
    """

    block: int
    log_index: int
    time: int
    tx_hash: Hex32
    reason: str
    amount: Signed
    balance: Wei
    epoch: int | None
    subject: str | None
