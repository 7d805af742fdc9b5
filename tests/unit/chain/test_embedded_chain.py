"""The embedded chain's own rules: time, gas, determinism, one process per folder, readers beside writer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from eth.vm.forks.paris import ParisVM
from nodes import create_probe, words

from registry.chain.base import FeePolicy, Reverted
from registry.chain.blocks import BLOCK_GAS, BlockMaker, Genesis
from registry.chain.embedded import MAX_TRANSACTION_BYTES, MOST_AHEAD_S, EmbeddedChain
from registry.chain.kv import HashedCache, SqliteKV
from registry.chain.sender import Sender
from registry.chain.signed import Draft, sign_draft
from registry.chain.views import View
from registry.core.ids import Address
from registry.core.signing import KeySigner
from registry.errors import ChainUnavailable, Conflict, TooLarge

RICH = KeySigner(b"\x01" * 32)
OTHER = KeySigner(b"\x02" * 32)
GENESIS = Genesis(1337, ((RICH.address, 10**24), (OTHER.address, 10**24)))
NOON = 1_800_000_000


class Clock:
    """A clock that stands until somebody moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def chain(tmp_path: Path, clock: Clock) -> Iterator[EmbeddedChain]:
    link = EmbeddedChain(tmp_path / "chain", GENESIS, clock=clock)
    yield link
    link.close()


def pay(chain: EmbeddedChain, key: KeySigner, wei: int, **changed: int) -> bytes:
    fields = {"nonce": chain.nonce(key.address), "gas": 100_000} | changed
    to = OTHER.address
    return sign_draft(
        Draft(chain_id=1337, fee=chain.fee_policy(), to=to, value=wei, payload=b"", **fields), key
    )


def mined(chain: EmbeddedChain, tx_hash: bytes) -> int:
    while (receipt := chain.receipt(tx_hash)) is None:
        chain.wait_head(chain.head().number, 1)
    return receipt.block_number


def held_back(chain: EmbeddedChain, clock: Clock) -> Callable[[], None]:
    """Make block making wait, as if the chain had run far ahead; the answer lets it go on."""
    clock.now = chain.head().time - MOST_AHEAD_S

    def release() -> None:
        clock.now = NOON + 10

    return release


def probe(chain: EmbeddedChain) -> Address:
    return create_probe(Sender(chain, RICH))


def test_the_genesis_is_the_same_at_every_start_and_names_the_chain(tmp_path: Path) -> None:
    hashes = []
    for name, genesis in (("a", GENESIS), ("b", GENESIS), ("c", Genesis(7, GENESIS.alloc))):
        link = EmbeddedChain(tmp_path / name, genesis)
        hashes.append(link.genesis_hash)
        link.close()
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_same_transactions_at_the_same_times_give_the_same_blocks(tmp_path: Path, clock: Clock) -> None:
    heads = []
    for name in ("a", "b"):
        link = EmbeddedChain(tmp_path / name, GENESIS, clock=clock)
        for wei in range(5):
            mined(link, link.send(pay(link, RICH, wei)))
        heads.append(link.head())
        link.close()
    assert heads[0] == heads[1]


def test_a_restart_resumes_at_the_same_head(tmp_path: Path, clock: Clock) -> None:
    link = EmbeddedChain(tmp_path, GENESIS, clock=clock)
    number = mined(link, link.send(pay(link, RICH, 5)))
    before, receipt_block = link.head(), link.block(number)
    link.close()
    again = EmbeddedChain(tmp_path, GENESIS, clock=clock)
    assert again.head() == before
    assert again.block(number) == receipt_block
    assert again.nonce(RICH.address) == 1
    again.close()


def test_another_chain_id_in_an_old_folder_is_a_conflict(tmp_path: Path) -> None:
    EmbeddedChain(tmp_path, GENESIS).close()
    with pytest.raises(Conflict, match=r"1337.*7"):
        EmbeddedChain(tmp_path, Genesis(7, GENESIS.alloc))
    EmbeddedChain(tmp_path, GENESIS).close()


def test_the_folder_belongs_to_one_chain_at_a_time(chain: EmbeddedChain, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match=r"process \d+"):
        EmbeddedChain(tmp_path / "chain", GENESIS)


def test_a_block_has_the_clocks_time_and_at_least_its_parents_plus_one(
    chain: EmbeddedChain, clock: Clock
) -> None:
    times = []
    for now in (NOON, NOON, NOON - 5, NOON + 50):
        clock.now = now
        times.append(chain.block(mined(chain, chain.send(pay(chain, RICH, 1)))).time)
    assert times == [NOON, NOON + 1, NOON + 2, NOON + 50]


def test_block_making_waits_while_the_chain_is_too_far_ahead(chain: EmbeddedChain, clock: Clock) -> None:
    mined(chain, chain.send(pay(chain, RICH, 1)))
    release = held_back(chain, clock)
    tx_hash = chain.send(pay(chain, RICH, 2))
    assert chain.wait_head(1, 0.5).number == 1
    assert chain.receipt(tx_hash) is None
    release()
    assert mined(chain, tx_hash) == 2


def test_all_waiting_transactions_enter_the_next_block_in_order(chain: EmbeddedChain, clock: Clock) -> None:
    mined(chain, chain.send(pay(chain, RICH, 1)))
    release = held_back(chain, clock)
    sent = [chain.send(pay(chain, key, 1)) for _ in range(3) for key in (RICH, OTHER)]
    assert chain.nonce(RICH.address) == 4
    assert chain.mined_nonce(RICH.address) == 1
    release()
    assert {mined(chain, tx_hash) for tx_hash in sent} == {2}
    receipts = [chain.receipt(tx_hash) for tx_hash in sent]
    assert [r.tx_index for r in receipts if r] == list(range(6))


def test_what_no_longer_fits_into_a_block_enters_the_next_one(chain: EmbeddedChain, clock: Clock) -> None:
    mined(chain, chain.send(pay(chain, RICH, 1)))
    release = held_back(chain, clock)
    small = chain.send(pay(chain, RICH, 1))
    greedy = chain.send(pay(chain, RICH, 1, gas=BLOCK_GAS))
    last = chain.send(pay(chain, RICH, 1))
    release()
    assert [mined(chain, tx_hash) for tx_hash in (small, greedy, last)] == [2, 3, 3]


def test_more_gas_than_a_block_has_is_too_large(chain: EmbeddedChain) -> None:
    with pytest.raises(TooLarge):
        chain.send(pay(chain, RICH, 1, gas=BLOCK_GAS + 1))


def test_more_bytes_than_other_chains_take_are_too_large(chain: EmbeddedChain) -> None:
    draft = Draft(1337, 0, chain.fee_policy(), 10**8, OTHER.address, 0, b"\1" * MAX_TRANSACTION_BYTES)
    with pytest.raises(TooLarge):
        chain.send(sign_draft(draft, RICH))


def test_a_nonce_gap_is_a_conflict(chain: EmbeddedChain) -> None:
    with pytest.raises(Conflict, match="nonce 0"):
        chain.send(pay(chain, RICH, 1, nonce=1))


def test_a_call_sees_the_pending_blocks_time(chain: EmbeddedChain, clock: Clock) -> None:
    address = probe(chain)
    clock.now = NOON + 777
    assert chain.call(address, words(3)) == words(NOON + 777)
    assert chain.pending_time() == NOON + 777


def test_a_call_asked_again_sees_every_block_every_second_and_its_own_sender(
    chain: EmbeddedChain, clock: Clock
) -> None:
    address, rich = probe(chain), Sender(chain, RICH)
    for value in (1, 2, 3):
        rich.send(address, words(1, value))
        clock.now += 100
        for _ in range(2):
            assert chain.call(address, words(0)) == words(value)
            assert chain.call(address, words(3)) == words(clock.now)
            for who in (RICH, OTHER):
                assert chain.call(address, words(5), who.address)[12:].hex() == who.address[2:].lower()
            with pytest.raises(Reverted, match=b"because".hex()):
                chain.call(address, words(2) + b"because")


def test_the_answer_to_an_expensive_call_is_kept_for_whoever_asks_next(
    chain: EmbeddedChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, executed = probe(chain), []
    run = View.run
    monkeypatch.setattr(View, "run", lambda *args: executed.append(args) or run(*args))
    assert {chain.call(address, words(0)) for _ in range(20)} == {words(0)}
    assert len(executed) == 1


def test_legacy_and_dynamic_fees_are_taken_and_the_base_fee_stays_zero(chain: EmbeddedChain) -> None:
    for fee in (FeePolicy(0, None), FeePolicy(0, 0), FeePolicy(3, 1)):
        draft = Draft(1337, chain.nonce(RICH.address), fee, 50_000, OTHER.address, 1, b"")
        mined(chain, chain.send(sign_draft(draft, RICH)))
        assert chain._header.base_fee_per_gas == 0


def test_reads_answer_while_a_long_block_is_made(chain: EmbeddedChain) -> None:
    address = probe(chain)
    draft = Draft(1337, chain.nonce(RICH.address), chain.fee_policy(), 10**8, address, 0, words(6, 100_000))
    long = chain.send(sign_draft(draft, RICH))
    assert chain.call(address, words(0)) == words(0)
    assert chain.balance(OTHER.address) == 10**24
    assert chain.logs(0, chain.head().number, [address]) == []
    assert chain.receipt(long) is None
    mined(chain, long)


def test_closing_is_clean_while_others_wait_for_a_block(tmp_path: Path) -> None:
    link = EmbeddedChain(tmp_path, GENESIS)
    waiter = threading.Thread(target=link.wait_head, args=(99, 600))
    waiter.start()
    link.close()
    link.close()
    waiter.join()
    assert not waiter.is_alive()


def test_every_stored_block_is_valid_to_an_independent_chain(tmp_path: Path, clock: Clock) -> None:
    link = EmbeddedChain(tmp_path / "one", GENESIS, clock=clock)
    address = probe(link)
    for n in range(4):
        Sender(link, RICH).send(address, words(1, n))
    head = link.head()
    link.close()
    with (
        closing(SqliteKV(tmp_path / "one/chain.sqlite", HashedCache())) as held,
        closing(SqliteKV(tmp_path / "fresh.sqlite", HashedCache())) as empty,
    ):
        stored, fresh = BlockMaker(held, GENESIS).chain, BlockMaker(empty, GENESIS).chain
        for number in range(1, head.number + 1):
            fresh.import_block(stored.get_canonical_block_by_number(number))
        assert fresh.get_canonical_head().hash == head.hash
        assert isinstance(fresh.get_vm(), ParisVM)


def test_a_closed_chain_says_so(tmp_path: Path) -> None:
    link = EmbeddedChain(tmp_path, GENESIS)
    link.close()
    with pytest.raises(ChainUnavailable):
        link.call(RICH.address, b"")
    with pytest.raises(ChainUnavailable):
        link.nonce(RICH.address)


def test_a_file_that_is_no_database_is_unavailable_and_frees_the_folder(tmp_path: Path) -> None:
    (tmp_path / "chain.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ChainUnavailable, match=r"chain\.sqlite"):
        EmbeddedChain(tmp_path, GENESIS)
    (tmp_path / "chain.sqlite").unlink()
    EmbeddedChain(tmp_path, GENESIS).close()
