"""Sends one address's transactions: nonces, signatures, waiting, and what to do when something goes missing.

The chain is the only memory: a nonce is asked for each time, so a restart or a second sender of the same
key does no harm. A transaction is resent until it is mined, which is safe because it is the same bytes; it
is signed anew only when its nonce was spent by another one, which proves that it can never be mined itself.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from registry.chain.base import ChainLink, FeePolicy, Receipt, Reverted
from registry.chain.reverts import decode_revert
from registry.chain.signed import Draft, sign_draft
from registry.core.ids import Address, keccak
from registry.core.signing import Signer
from registry.errors import ChainUnavailable, Conflict, RegistryError

_RESEND_AFTER_S = 3.0
# A node may count a mined transaction before it gives its receipt: so long a missing receipt proves nothing.
_SETTLING_S = 1.0
_SETTLING_LOOK_S = 0.05
_MOST_COLLISIONS = 20


@dataclass(frozen=True, slots=True)
class _HandedIn:
    """A transaction under way; more than one hash when its price had to be raised."""

    draft: Draft
    raw: bytes
    hashes: tuple[bytes, ...]


class Sender:
    """Signs and sends for one signer; any number of threads may share one."""

    def __init__(
        self, link: ChainLink, signer: Signer, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link = link
        self._signer = signer
        self._clock = clock
        self._lock = threading.Lock()
        self._unmined: dict[int, bytes] = {}

    @property
    def address(self) -> Address:
        """Whose transactions these are."""
        return self._signer.address

    def send(
        self,
        to: Address | None,
        data: bytes,
        value: int = 0,
        *,
        gas: int | None = None,
        timeout_s: float = 60.0,
    ) -> Receipt:
        """Send and wait until it is mined; a refusal by the contract is raised as its class of errors.py.

        Without `gas` the call is tried first, so what cannot succeed is refused without a transaction. After
        `timeout_s` ChainUnavailable says so; the transaction may still be mined, and sending on is safe.
        """
        limit = self._estimate(to, data, value) if gas is None else gas
        # Two senders that do the same thing at the same nonce must not sign one and the same transaction.
        limit += secrets.randbelow(1000)
        until = self._clock() + timeout_s
        receipt = None
        while receipt is None:
            handed_in = self._hand_in(to, data, value, limit)
            receipt = self._await(handed_in, until)
        if not receipt.succeeded:
            raise decode_revert(self._link.failure(receipt.tx_hash))
        return receipt

    def _estimate(self, to: Address | None, data: bytes, value: int) -> int:
        try:
            return self._link.estimate_gas(self.address, to, data, value)
        except Reverted as e:
            raise decode_revert(e.data) from e

    def _hand_in(self, to: Address | None, data: bytes, value: int, gas: int) -> _HandedIn:
        with self._lock:
            for _ in range(_MOST_COLLISIONS):
                nonce = self._next_nonce()
                fee = self._link.fee_policy()
                draft = Draft(self._link.chain_id, nonce, fee, gas, to, value, data)
                raw = sign_draft(draft, self._signer)
                # Kept before it is sent: a node that takes it and then falls silent has it all the same.
                self._unmined[nonce] = raw
                try:
                    return _HandedIn(draft, raw, (self._link.send(raw),))
                except ChainUnavailable:
                    raise
                except Conflict:
                    del self._unmined[nonce]  # another sender of this key took the nonce
                except RegistryError:
                    del self._unmined[nonce]
                    raise
        raise Conflict(
            f"{self.address} lost its nonce to other senders {_MOST_COLLISIONS} times in a row",
            hint="let one process send for this key",
        )

    def _next_nonce(self) -> int:
        mined = self._link.mined_nonce(self.address)
        self._unmined = {nonce: raw for nonce, raw in self._unmined.items() if nonce >= mined}
        pending = self._link.nonce(self.address)
        # A node that restarted or another endpoint may have forgotten ours: hand them in again, in order.
        for nonce in sorted(n for n in self._unmined if n >= pending):
            self._resend(self._unmined[nonce])
        return max([pending, *(n + 1 for n in self._unmined)])

    def _await(self, sent: _HandedIn, until: float) -> Receipt | None:
        """The receipt, or None once another transaction has spent the nonce for good."""
        resend_at = self._clock() + _RESEND_AFTER_S
        spent_since: tuple[int, float] | None = None  # the head and the time when it was first seen so
        head = self._link.head()
        while True:
            now = self._clock()
            is_spent = self._link.mined_nonce(self.address) > sent.draft.nonce
            for tx_hash in sent.hashes:
                receipt = self._link.receipt(tx_hash)
                if receipt is not None:
                    return receipt
            spent_since = (spent_since or (head.number, now)) if is_spent else None
            if spent_since is not None and self._is_lost(spent_since, head.number, now):
                return None
            if now >= until:
                raise ChainUnavailable(
                    f"transaction 0x{sent.hashes[-1].hex()} was not mined in time; it may still be",
                    tx_hash=sent.hashes[-1],
                )
            if now >= resend_at:
                sent = self._at_the_present_price(sent)
                self._resend(sent.raw)
                resend_at = now + _RESEND_AFTER_S
            if spent_since is None:
                head = self._link.wait_head(head.number, min(until, resend_at) - now)
            else:
                time.sleep(_SETTLING_LOOK_S)
                head = self._link.head()

    def _is_lost(self, since: tuple[int, float], head: int, now: float) -> bool:
        # A node, and another one even more, may know the nonce before it knows the receipt, and a short fork
        # may give the nonce back: signing anew too early would do the same thing twice.
        blocks = head - since[0]
        return blocks >= self._link.confirmations + self._link.most_lag and now - since[1] >= _SETTLING_S

    def _at_the_present_price(self, sent: _HandedIn) -> _HandedIn:
        """The same under a higher price at the same nonce, where its price no longer is enough."""
        paid, asked = sent.draft.fee, self._link.fee_policy()
        if asked.gas_price <= paid.gas_price:
            return sent
        # Pools take a replacement only when every price in it is an eighth higher.
        tip = None if asked.tip is None else max(asked.tip, (paid.tip or 0) * 9 // 8 + 1)
        price = max(asked.gas_price, paid.gas_price * 9 // 8 + 1, tip or 0)
        draft = replace(sent.draft, fee=FeePolicy(price, tip))
        raw = sign_draft(draft, self._signer)
        with self._lock:
            self._unmined[draft.nonce] = raw
        return _HandedIn(draft, raw, (*sent.hashes, keccak(raw)))

    def _resend(self, raw: bytes) -> None:
        try:
            self._link.send(raw)
        except Conflict:
            return  # its nonce is taken: the next look at the chain says whether for good
