"""From settled integers to a Merkle root of payouts, bit for bit as RewardPool checks it (protocol.md 5).

    leaf = keccak256(keccak256(abi.encode(chainid, pool, taskId, round, account, amount, keccak256(detail))))
    node = keccak256 of the sorted pair; an odd node is promoted; the empty root is 32 zero bytes

`detail` is abi.encode of the integers a payment rests on: (rate, theta_ppm), (claim, payment, value,
channels) or (type, item). Leaves are sorted by account, one per account and round.

>>> from registry.core.ids import to_address
>>> pool = Scope(31337, to_address("0x" + "11" * 20), task=1, round=0)
>>> ana, bo = to_address("0x" + "a1" * 20), to_address("0x" + "b0" * 20)
>>> table = PayoutTable(pool, [Payout(bo, 5, (7, 250_000)), Payout(ana, 9, (9, 0))])
>>> verify_payout(table.root, pool, table.payouts[0], table.proof(ana))
>>> table.total
14
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incentives.auction import Bid, Outcome
from incentives.stackelberg import pay
from registry.core.ids import Address, address_bytes, keccak, to_address
from registry.errors import Conflict, Malformed, NotFound, VerificationFailed

EMPTY_ROOT = bytes(32)


@dataclass(frozen=True, slots=True)
class Scope:
    """The chain, pool, task and round that a leaf is bound to."""

    chain_id: int
    pool: Address
    task: int
    round: int


@dataclass(frozen=True, slots=True)
class Payout:
    """What one account is due in wei, and the integers it rests on."""

    account: Address
    amount: int
    detail: tuple[int, ...]

    @property
    def detail_bytes(self) -> bytes:
        """abi.encode of the detail: 32 bytes a number."""
        return b"".join(_word(n) for n in self.detail)

    def leaf(self, scope: Scope) -> bytes:
        """The double hash that keeps a leaf from being mistaken for a node."""
        fields = (
            _word(scope.chain_id),
            address_bytes(scope.pool).rjust(32, b"\0"),
            _word(scope.task),
            _word(scope.round),
            address_bytes(self.account).rjust(32, b"\0"),
            _word(self.amount),
            keccak(self.detail_bytes),
        )
        return keccak(keccak(b"".join(fields)))


class PayoutTable:
    """All payouts of one round, their root and their proofs."""

    def __init__(self, scope: Scope, payouts: Sequence[Payout]) -> None:
        self.scope = scope
        self.payouts = tuple(sorted(payouts, key=lambda p: address_bytes(p.account)))
        accounts = [p.account for p in self.payouts]
        if len(set(accounts)) != len(accounts):
            raise Conflict("an account has one payout per round")
        self._layers = _layers([p.leaf(scope) for p in self.payouts])

    @property
    def root(self) -> bytes:
        return self._layers[-1][0] if self._layers[0] else EMPTY_ROOT

    @property
    def total(self) -> int:
        """What the round draws from the task's escrow."""
        return sum(p.amount for p in self.payouts)

    def payout(self, account: Address) -> Payout:
        """The payout of `account`, or NotFound."""
        return self.payouts[self._index(account)]

    def proof(self, account: Address) -> tuple[bytes, ...]:
        """The siblings from the account's leaf to the root; a promoted level has none."""
        place, path = self._index(account), []
        for layer in self._layers[:-1]:
            sibling = place ^ 1
            if sibling < len(layer):
                path.append(layer[sibling])
            place //= 2
        return tuple(path)

    def _index(self, account: Address) -> int:
        for k, payout in enumerate(self.payouts):
            if payout.account == account:
                return k
        raise NotFound(f"{account} has no payout in round {self.scope.round} of task {self.scope.task}")


def verify_payout(root: bytes, scope: Scope, payout: Payout, proof: Sequence[bytes]) -> None:
    """Refuse a payout that `proof` does not lead to `root`."""
    node = payout.leaf(scope)
    for sibling in proof:
        node = _node(node, sibling)
    if node != root:
        raise VerificationFailed(
            f"the payout of {payout.amount} wei to {payout.account} is not under this root"
        )


def stackelberg_payouts(rate: int, thetas: Mapping[Address, int]) -> list[Payout]:
    """floor(rate (10^6 - theta_ppm) / 10^6) for each device; detail (rate, theta_ppm)."""
    return [Payout(account, pay(rate, theta), (rate, theta)) for account, theta in thetas.items()]


def auction_payouts(bids: Sequence[Bid], outcome: Outcome) -> list[Payout]:
    """Each winner's payment; detail (claim, payment, value, channels). Users are addresses."""
    payouts = []
    for k in outcome.winners:
        bid = bids[k]
        payment = outcome.payments[bid.user]
        payouts.append(Payout(to_address(bid.user), payment, (bid.claim, payment, bid.value, bid.channels)))
    return payouts


def _layers(leaves: list[bytes]) -> list[list[bytes]]:
    layers = [leaves]
    while len(layers[-1]) > 1:
        below = layers[-1]
        pairs = [_node(below[k], below[k + 1]) for k in range(0, len(below) - 1, 2)]
        layers.append(pairs + below[len(pairs) * 2 :])
    return layers


def _node(one: bytes, two: bytes) -> bytes:
    return keccak(min(one, two) + max(one, two))


def _word(number: int) -> bytes:
    """abi.encode of an unsigned integer."""
    if not 0 <= number < 1 << 256:
        raise Malformed(f"{number} does not fit in 256 bits")
    return number.to_bytes(32, "big")
