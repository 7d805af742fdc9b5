"""What a validator states of one device's update, signed like a contribution (protocol.md 5).

Losses are in micro-units on the evaluation set that the round was begun with; `norm` is the update's L2 norm
in micro-units and `sketch` its 256-bit sign sketch (incentives/contributions.py): the integers from which
duplicates, outliers and the accuracy follow.
"""

from dataclasses import dataclass

from registry.core.ids import Address, address_bytes, keccak
from registry.core.version import Domain
from registry.errors import Malformed

_TYPE = (
    "Measurement(uint64 task,uint32 round,address device,bytes32 updateSha256,bytes32 evaluation,"
    "uint64 lossBefore,uint64 lossAfter,uint64 norm,bytes32 sketch)"
)
MEASUREMENT_TYPEHASH = keccak(_TYPE.encode())


@dataclass(frozen=True, slots=True)
class Measurement:
    """One validator's integers about one update."""

    task: int
    round: int
    device: Address
    update_sha256: bytes
    evaluation: bytes
    loss_before: int
    loss_after: int
    norm: int
    sketch: bytes

    def __post_init__(self) -> None:
        for name in ("task", "loss_before", "loss_after", "norm"):
            _check(name, getattr(self, name), 64)
        _check("round", self.round, 32)
        for name in ("update_sha256", "evaluation", "sketch"):
            if len(getattr(self, name)) != 32:
                raise Malformed(f"{name} has {len(getattr(self, name))} bytes, not 32")


def measurement_digest(domain: Domain, given: Measurement) -> bytes:
    """The 32 bytes that the validator signs."""
    words = (
        MEASUREMENT_TYPEHASH,
        _word(given.task),
        _word(given.round),
        bytes(12) + address_bytes(given.device),
        given.update_sha256,
        given.evaluation,
        _word(given.loss_before),
        _word(given.loss_after),
        _word(given.norm),
        given.sketch,
    )
    return keccak(b"\x19\x01" + domain.separator + keccak(b"".join(words)))


def _check(name: str, value: int, bits: int) -> None:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise Malformed(f"{name} is {value!r}, which is no uint{bits}")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
