"""A history as a tape: what is sent at which time, and what the contracts must answer afterwards.

A tape knows the contracts' addresses and the signers' keys before anything runs, so one tape can be played on
py-evm (embedded.py) and, thousands of them in one process, in forge (forge.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from pychain import CHAIN_ID, COUNCIL, Actor

from registry.chain.encoding import encode_call, encode_constructor
from registry.core.ids import Address, address_bytes, keccak, to_address
from registry.core.rlp import encode

NOBODY = "0x" + "0" * 40


class Kind(IntEnum):
    """What a step does."""

    CREATE = 0
    SEND = 1
    REFUSED = 2  # `expected` is the selector of the error it must end with
    READ = 3  # `expected` is what stands at `offset` of the answer
    HELD = 4  # `expected` is the balance of `to`


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction, or one look."""

    kind: Kind
    at: int
    sender: Actor
    to: bytes
    value: int
    payload: bytes
    expected: bytes = b""
    offset: int = 0
    what: str = ""

    def packed(self) -> bytes:
        """As contracts/replay/Replay.t.sol reads it."""
        head = bytes((self.kind,)) + self.at.to_bytes(8) + sender_bytes(self.sender) + self.to
        return b"".join(
            (
                *(head, self.value.to_bytes(32), self.offset.to_bytes(2)),
                *(len(self.payload).to_bytes(4), len(self.expected).to_bytes(4)),
                *(self.payload, self.expected),
            )
        )


class Tape:
    """Written front to back; `at` is the time of the next step."""

    chain_id = CHAIN_ID

    def __init__(self, at: int = 1_900_000_000) -> None:
        self.at = at
        self.steps: list[Step] = []
        self.address: dict[str, Address] = {}
        self.founded = 0  # how many steps come before the first that is this history's own

    def create(self, name: str, *args: object) -> None:
        """The council deploys a contract from its committed artifact."""
        address = created(len(self.address))
        self._add(Kind.CREATE, COUNCIL, address, encode_constructor(name, args), f"create {name}")
        self.address[name] = to_address("0x" + address.hex())

    def send(self, who: Actor, contract: str, function: str, *args: object, value: int = 0) -> None:
        """A transaction that goes through."""
        self.send_raw(who, contract, encode_call(contract, function, args), value, what=function)

    def send_raw(self, who: Actor, contract: str, payload: bytes, value: int = 0, *, what: str) -> None:
        """The same with calldata that is encoded already."""
        self._add(Kind.SEND, who, self._raw(contract), payload, f"{who.name}: {what}", value)

    def refused(self, error: str, who: Actor, contract: str, function: str, *args: object) -> None:
        """A transaction that ends with this error, written as its signature."""
        payload = encode_call(contract, function, args)
        what = f"{who.name}: {function} ends with {error}"
        self._add(Kind.REFUSED, who, self._raw(contract), payload, what, expected=keccak(error.encode())[:4])

    def read(self, contract: str, function: str, args: Sequence[object], *words: int, first: int = 0) -> None:
        """A view whose answer holds these words from its word `first` on."""
        payload = _view(contract, function, tuple(args))
        expected = b"".join(word.to_bytes(32) for word in words)
        what = f"{function}{tuple(args)} is {words}"
        self._add(
            Kind.READ, COUNCIL, self._raw(contract), payload, what, expected=expected, offset=32 * first
        )

    def holds(self, contract: str, wei: int) -> None:
        """The coin that a contract has."""
        self._add(
            Kind.HELD, COUNCIL, self._raw(contract), b"", f"{contract} holds", expected=wei.to_bytes(32)
        )

    def council(self, contract: str, function: str, *args: object) -> None:
        """A council of one decides and the call runs."""
        call = encode_call(contract, function, args)
        self.send(COUNCIL, "Consortium", "propose", self.address[contract], call, "because")

    def packed(self) -> bytes:
        """The whole tape for forge."""
        return b"".join(step.packed() for step in self.steps)

    def _raw(self, contract: str) -> bytes:
        return address_bytes(self.address[contract])

    def _add(
        self,
        kind: Kind,
        who: Actor,
        to: bytes,
        payload: bytes,
        what: str,
        value: int = 0,
        *,
        expected: bytes = b"",
        offset: int = 0,
    ) -> None:
        self.steps.append(Step(kind, self.at, who, to, value, payload, expected, offset, what))


@cache
def created(nonce: int) -> bytes:
    """The address of what the council creates in its transaction of this number."""
    number = b"" if nonce == 0 else bytes((nonce,))
    return keccak(encode([sender_bytes(COUNCIL), number]))[12:]


@cache
def sender_bytes(who: Actor) -> bytes:
    """The address of an actor; deriving it from the key takes longer than anything else here."""
    return address_bytes(who.address)


@cache
def _view(contract: str, function: str, args: tuple[object, ...]) -> bytes:
    return encode_call(contract, function, args)
