"""The payout file of a settlement (interface.md 4): the record and its leaves, as their RFC 8785 bytes."""

from typing import Literal

from pydantic import Field

from incentives.contributions import Exclusion, Screened
from incentives.payouts import Payout
from incentives.settlement import Record, Settlement
from registry.core.canonical import canonical
from registry.core.ids import hex32, parse_hex32, to_address
from registry.errors import Malformed
from registry.wire import AddressText, Body, Count, Hex32, Wei
from registry.wire_rewards import (
    EntryBody,
    LeafBody,
    ScreenedBody,
    StandingBody,
    entry_body,
    entry_of,
    leaf_body,
)


class PayoutFile(Body):
    """Everything that a round's root follows from, and the root; the average, if the aggregator states it."""

    schema_: Literal["twinledger/payouts/1"] = Field(alias="schema", default="twinledger/payouts/1")
    chain_id: Count
    pool: AddressText
    task: Count
    round: Count
    evaluation: Hex32
    contributions: list[EntryBody]
    standing: list[StandingBody]
    screened: list[ScreenedBody]
    leaves: list[LeafBody]
    root: Hex32
    total: Wei
    average_sha256: Hex32 | None = None

    @property
    def record(self) -> Record:
        """The signed integers."""
        return Record(
            evaluation=parse_hex32(self.evaluation),
            entries=tuple(entry_of(body) for body in self.contributions),
            standing={to_address(s.device): (s.positive, s.negative) for s in self.standing},
        )

    @property
    def verdicts(self) -> list[Screened]:
        """What became of each contribution, as stated; Malformed for a reason that no rule has."""
        try:
            return [
                Screened(
                    to_address(s.device), s.theta_ppm, None if s.excluded is None else Exclusion(s.excluded)
                )
                for s in self.screened
            ]
        except ValueError as e:
            raise Malformed(f"the payout file leaves a device out for no known reason: {e}") from e

    @property
    def payouts(self) -> list[Payout]:
        """The leaves as stated."""
        return [leaf.payout for leaf in self.leaves]

    def encode(self) -> bytes:
        """The bytes that go into the store."""
        return canonical(self.model_dump(mode="json", by_alias=True))


def payout_file(settlement: Settlement, record: Record) -> PayoutFile:
    """The document of a settled round."""
    table = settlement.table
    return PayoutFile(
        chain_id=table.scope.chain_id,
        pool=table.scope.pool,
        task=table.scope.task,
        round=table.scope.round,
        evaluation=hex32(record.evaluation),
        contributions=[entry_body(entry) for entry in record.entries],
        standing=[
            StandingBody(device=device, positive=good, negative=bad)
            for device, (good, bad) in sorted(record.standing.items())
        ],
        screened=[
            ScreenedBody(
                device=s.device, theta_ppm=s.theta, excluded=None if s.exclusion is None else s.exclusion
            )
            for s in settlement.screened
        ],
        leaves=[leaf_body(payout) for payout in table.payouts],
        root=hex32(table.root),
        total=str(table.total),
    )
