"""JSON shapes of updates on their way: what a device hands over, and what opens it in a challenge."""

from typing import Annotated, Literal

from pydantic import Field

from registry.core.cid import Cid
from registry.core.ids import hex32, parse_hex32, to_address
from registry.core.sealed_update import Handover
from registry.wire import AddressText, Body, Count, Hex32, Signature

CidText = Annotated[str, Field(max_length=64)]


class HandoverBody(Body):
    """The EIP-712 struct `Handover`: `sealed` is the CID of the encrypted update."""

    task: Count
    round: Count
    device: AddressText
    update_sha256: Hex32
    sealed: CidText


class SignedHandover(Body):
    """A handover with its device's signature."""

    handover: HandoverBody
    signature: Signature


class OpeningBody(Body):
    """The key of one sealed update; whoever has it can check that the update is what was committed to."""

    device: AddressText
    sealed: CidText
    secret: Hex32


class OpeningsBody(Body):
    """The keys of a challenged round, from one who could open its updates."""

    schema_: Literal["twinledger/openings/1"] = Field(alias="schema", default="twinledger/openings/1")
    task: Count
    round: Count
    openings: list[OpeningBody]


def handover_of(body: HandoverBody) -> Handover:
    """The struct."""
    return Handover(
        body.task,
        body.round,
        to_address(body.device),
        parse_hex32(body.update_sha256),
        Cid.parse(body.sealed),
    )


def handover_body(given: Handover) -> HandoverBody:
    """The wire form."""
    return HandoverBody(
        task=given.task,
        round=given.round,
        device=given.device,
        update_sha256=hex32(given.update_sha256),
        sealed=str(given.sealed),
    )
