"""Payout roots: the contract's encoding byte for byte, and no leaf but its own proves."""

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from incentives.auction import Bid, vcg
from incentives.payouts import (
    Payout,
    PayoutTable,
    Scope,
    auction_payouts,
    stackelberg_payouts,
    verify_payout,
)
from registry.core.ids import to_address
from registry.errors import Conflict, Malformed, NotFound, VerificationFailed

ACCOUNTS = [to_address(f"0x{n:040x}") for n in range(1, 14)]
SCOPE = Scope(31337, to_address("0x" + "77" * 20), task=3, round=2)
WEI = st.integers(0, 2**256 - 1)
tables = st.dictionaries(
    st.sampled_from(ACCOUNTS), st.tuples(WEI, st.lists(WEI, max_size=4)), max_size=13
).map(lambda d: [Payout(a, amount, tuple(detail)) for a, (amount, detail) in d.items()])


def abi_leaf(payout):
    detail = encode(["uint256"] * len(payout.detail), payout.detail)
    types = ["uint256", "address", "uint256", "uint32", "address", "uint256", "bytes32"]
    values = [31337, SCOPE.pool, 3, 2, payout.account, payout.amount, keccak(detail)]
    return keccak(keccak(encode(types, values)))


def abi_root(payouts):
    """Oracle: the rule of protocol.md 5 written down once more, with eth_abi and eth_utils."""
    level = [abi_leaf(p) for p in sorted(payouts, key=lambda p: int(p.account, 16))]
    while len(level) > 1:
        pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
        level = [keccak(b"".join(sorted(pair))) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0] if level else bytes(32)


@given(payouts=tables)
def test_the_root_is_the_one_of_the_written_rule(payouts):
    assert PayoutTable(SCOPE, payouts).root == abi_root(payouts)


@given(payouts=tables, more=st.integers(1, 10**18))
def test_every_payout_proves_and_no_other_amount_does(payouts, more):
    table = PayoutTable(SCOPE, payouts)
    for payout in payouts:
        proof = table.proof(payout.account)
        verify_payout(table.root, SCOPE, payout, proof)
        richer = Payout(payout.account, (payout.amount + more) % 2**256, payout.detail)
        with pytest.raises(VerificationFailed):
            verify_payout(table.root, SCOPE, richer, proof)


def test_a_payout_counts_in_its_own_round_only():
    table = PayoutTable(SCOPE, [Payout(ACCOUNTS[0], 5, (1,))])
    other = Scope(31337, SCOPE.pool, task=3, round=3)
    with pytest.raises(VerificationFailed):
        verify_payout(table.root, other, table.payout(ACCOUNTS[0]), ())


def test_no_payouts_have_the_zero_root():
    assert PayoutTable(SCOPE, []).root == bytes(32)


def test_each_mechanism_states_the_integers_its_payments_rest_on():
    ana, bo = ACCOUNTS[:2]
    assert stackelberg_payouts(10**18, {ana: 250_000})[0] == Payout(ana, 75 * 10**16, (10**18, 250_000))
    bids = [Bid(ana, 9, 4, 2), Bid(bo, 8, 2, 2)]
    assert auction_payouts(bids, vcg(bids, 2)) == [Payout(bo, 3, (2, 3, 8, 2))]


def test_what_a_table_refuses():
    ana = ACCOUNTS[0]
    with pytest.raises(Conflict):
        PayoutTable(SCOPE, [Payout(ana, 1, ()), Payout(ana, 2, ())])
    with pytest.raises(Malformed):
        PayoutTable(SCOPE, [Payout(ana, 2**256, ())])
    with pytest.raises(NotFound):
        PayoutTable(SCOPE, []).proof(ana)


def test_the_total_is_what_the_escrow_must_hold():
    assert PayoutTable(SCOPE, [Payout(a, 7, ()) for a in ACCOUNTS]).total == 7 * len(ACCOUNTS)
