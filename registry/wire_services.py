"""The rule of an award, published before the first offer: its sha-256 is the job that offers are made for."""

from typing import Literal

from pydantic import Field

from registry.core.canonical import canonical
from registry.core.ids import sha256
from registry.wire import AddressText, Body, Count, Wei


class WorthBody(Body):
    """What the job is worth to its requester when this provider does it."""

    provider: AddressText
    value: Wei


class JobBody(Body):
    """Everything that a second-score award is a function of, but the prices."""

    schema_: Literal["twinledger/job/1"] = Field(alias="schema", default="twinledger/job/1")
    requester: AddressText
    kind: Literal["aggregation", "hosting"]
    wanted: str = Field(min_length=1, max_length=4096)
    values: list[WorthBody] = Field(max_length=1024)
    reserve: Wei = "0"
    minimum_bond: Wei = "0"
    bonus: Wei = "0"
    epochs: Count = 1
    attestor: AddressText
    deadline: Count

    def encode(self) -> bytes:
        """The bytes whose sha-256 is the job."""
        return canonical(self.model_dump(mode="json", by_alias=True))

    @property
    def job(self) -> bytes:
        """The 32 bytes that an offer names."""
        return sha256(self.encode())
