"""The block maker alone: what it includes, what it refuses, and that it leaves nothing half done."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from eth.abc import SignedTransactionAPI
from eth.vm.forks.paris import ParisVM

from registry.chain.base import FeePolicy
from registry.chain.blocks import GENESIS_TIME, BlockMaker, Genesis, mined_key
from registry.chain.kv import HashedCache, SqliteKV
from registry.chain.signed import Draft, sign_draft
from registry.core.ids import Address
from registry.core.signing import KeySigner

KEY = KeySigner(b"\x03" * 32)
TARGET = Address("0x" + "44" * 20)


@pytest.fixture
def kv(tmp_path: Path) -> Iterator[SqliteKV]:
    with closing(SqliteKV(tmp_path / "chain.sqlite", HashedCache())) as opened:
        yield opened


@pytest.fixture
def maker(kv: SqliteKV) -> BlockMaker:
    return BlockMaker(kv, Genesis(1337, ((KEY.address, 10**18),)))


def payment(nonce: int, wei: int = 1, gas: int = 21_000) -> SignedTransactionAPI:
    raw = sign_draft(Draft(1337, nonce, FeePolicy(0, None), gas, TARGET, wei, b""), KEY)
    return ParisVM.get_transaction_builder().decode(raw)


def test_a_transaction_that_breaks_a_rule_is_refused_and_the_others_are_mined(maker: BlockMaker) -> None:
    bad = [payment(7), payment(1, wei=10**20), payment(1, gas=20_000)]
    good = [payment(0), payment(1)]
    made = maker.make_block([bad[0], good[0], bad[1], bad[2], good[1]], GENESIS_TIME + 5)
    assert made.included == tuple(bytes(t.hash) for t in good)
    assert made.refused == tuple(bytes(t.hash) for t in bad)
    assert made.header.block_number == 1
    assert made.header.timestamp == GENESIS_TIME + 5


def test_no_block_is_made_of_refused_transactions_alone(maker: BlockMaker, kv: SqliteKV) -> None:
    before = maker.chain.get_canonical_head()
    made = maker.make_block([payment(3)], GENESIS_TIME + 5)
    assert made.header == before == maker.chain.get_canonical_head()
    assert made.included == ()
    assert kv._dirty == {}


def test_a_block_that_cannot_be_made_leaves_nothing_behind(maker: BlockMaker, kv: SqliteKV) -> None:
    before = maker.chain.get_canonical_head()
    transaction = payment(0)
    with pytest.raises(Exception, match="timestamp"):
        maker.make_block([transaction], GENESIS_TIME - 5)
    assert kv._dirty == {}
    assert mined_key(bytes(transaction.hash)) not in kv
    assert maker.chain.get_canonical_head() == before
    assert maker.make_block([transaction], GENESIS_TIME + 5).included == (bytes(transaction.hash),)


def test_mix_hash_gas_limit_and_base_fee_follow_from_the_parent_alone(maker: BlockMaker) -> None:
    from registry.core.ids import keccak

    parent = maker.chain.get_canonical_head()
    header = maker.make_block([payment(0)], GENESIS_TIME + 5).header
    assert header.mix_hash == keccak(bytes(parent.hash))
    assert header.gas_limit == parent.gas_limit == 2_000_000_000
    assert header.base_fee_per_gas == parent.base_fee_per_gas == 0
    assert header.coinbase == bytes(20)
