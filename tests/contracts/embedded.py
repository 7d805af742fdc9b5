"""Plays a tape on the embedded chain: signed transactions, blocks on disk, the clock of the tape."""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory, mkdtemp

from pychain import COUNCIL, EVE, RICH
from tape import Kind, Step, Tape, sender_bytes

from registry.chain.base import FeePolicy, Reverted
from registry.chain.blocks import Genesis
from registry.chain.embedded import EmbeddedChain
from registry.chain.signed import Draft, sign_draft
from registry.core.ids import keccak, to_address

_GAS = 60_000_000
_SENT = (Kind.CREATE, Kind.SEND)


class Differs(AssertionError):
    """A step that went another way than the tape says."""


_FOUNDED: dict[bytes, Path] = {}


def play(tape: Tape) -> None:
    """Every step in order; Differs at the first that is not as written.

    What comes before a history's own steps is played once, and copied for the next tape that begins so.
    """
    founding, own = tape.steps[: tape.founded], tape.steps[tape.founded :]
    key = keccak(b"".join(step.packed() for step in founding))
    if key not in _FOUNDED:
        _FOUNDED[key] = Path(mkdtemp(prefix="founded-"))
        atexit.register(rmtree, _FOUNDED[key], ignore_errors=True)
        _Player(_FOUNDED[key], tape.chain_id, founding, {}).play()
    nonces = Counter(step.sender.secret for step in founding if step.kind in _SENT)
    with TemporaryDirectory(prefix="tape-") as folder:
        copytree(_FOUNDED[key], folder, dirs_exist_ok=True)
        _Player(Path(folder), tape.chain_id, own, nonces).play()


class _Player:
    """One chain for some steps; transactions of one time share blocks as far as their order allows."""

    def __init__(
        self, folder: Path, chain_id: int, steps: Sequence[Step], nonces: Mapping[bytes, int]
    ) -> None:
        self._steps, self._nonces = steps, dict(nonces)
        self._now = float(steps[0].at - 1)
        rich = tuple((who.address, RICH) for who in (COUNCIL, EVE))
        self._link = EmbeddedChain(folder, Genesis(chain_id, rich), clock=lambda: self._now)
        self._sent: list[tuple[Step, bytes]] = []

    def play(self) -> None:
        try:
            for step in self._steps:
                self._take(step)
            self._settle()
        finally:
            self._link.close()

    def _take(self, step: Step) -> None:
        if step.kind in _SENT:
            self._send(step)
            return
        self._settle()
        self._now = max(self._now, float(step.at))
        found = self._look(step)
        if found != step.expected:
            raise Differs(f"{step.what}: 0x{found.hex()} instead of 0x{step.expected.hex()}")

    def _look(self, step: Step) -> bytes:
        to = to_address("0x" + step.to.hex())
        if step.kind is Kind.HELD:
            return self._link.balance(to).to_bytes(32)
        sender = to_address("0x" + sender_bytes(step.sender).hex())
        try:
            answer = self._link.call(to, step.payload, sender)
        except Reverted as e:
            return e.data[: len(step.expected)]
        return b"" if step.kind is Kind.REFUSED else answer[step.offset : step.offset + len(step.expected)]

    def _send(self, step: Step) -> None:
        if self._now < step.at:
            self._settle()
            self._now = float(step.at)
        secret = step.sender.secret
        nonce = self._nonces.get(secret, 0)
        self._nonces[secret] = nonce + 1
        to = None if step.kind is Kind.CREATE else to_address("0x" + step.to.hex())
        draft = Draft(self._link.chain_id, nonce, FeePolicy(0, None), _GAS, to, step.value, step.payload)
        self._sent.append((step, self._link.send(sign_draft(draft, step.sender.signer))))

    def _settle(self) -> None:
        """Wait until all that was sent is mined, and went through."""
        for step, tx_hash in self._sent:
            while (receipt := self._link.receipt(tx_hash)) is None:
                self._link.wait_head(self._link.head().number, 1)
            if not receipt.succeeded:
                raise Differs(f"{step.what}: ended with 0x{self._link.failure(tx_hash).hex()}")
            if step.kind is Kind.CREATE and not self._link.code(to_address("0x" + step.to.hex())):
                raise Differs(f"{step.what}: nothing is at 0x{step.to.hex()}")
        self._sent.clear()
