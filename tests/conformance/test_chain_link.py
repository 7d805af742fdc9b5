"""What every chain backend promises (registry.chain.base.ChainLink), on each backend this machine has."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from nodes import PROBE, words

from registry.chain.base import ChainLink, Reverted
from registry.chain.sender import Sender
from registry.core.ids import Address, keccak
from registry.core.receipt_proof import open_receipt_proof
from registry.errors import Conflict, FeeTooLow, NotFound, Rejected

Rig = Any  # conftest.Rig: a link, and a sender that can pay


def test_block_zero_is_the_genesis(link: ChainLink) -> None:
    assert link.block(0).hash == link.genesis_hash


def test_every_block_names_its_parent(rig: Rig) -> None:
    rig.newcomer()
    rig.newcomer()
    last = rig.link.head().number
    blocks = [rig.link.block(n) for n in range(last - 1, last + 1)]
    assert blocks[1].parent_hash == blocks[0].hash
    assert blocks[1].time >= blocks[0].time
    assert [b.number for b in blocks] == [last - 1, last]


def test_a_header_encodes_to_its_hash(rig: Rig) -> None:
    block = rig.link.block(rig.link.head().number)
    assert keccak(block.header_rlp) == block.hash


def test_a_block_beyond_the_head_is_not_found(link: ChainLink) -> None:
    with pytest.raises(NotFound):
        link.block(link.head().number + 1_000_000)


def test_a_payment_arrives_and_counts_as_one_nonce(rig: Rig) -> None:
    key = rig.newcomer(0)
    before = rig.link.mined_nonce(rig.key.address)
    receipt = rig.rich.send(key.address, b"", 12_345)
    assert rig.link.balance(key.address) == 12_345
    assert rig.link.mined_nonce(rig.key.address) == before + 1 == rig.link.nonce(rig.key.address)
    assert receipt.succeeded
    assert receipt.gas_used == 21_000
    assert rig.link.block(receipt.block_number).hash == receipt.block_hash


def test_an_unknown_transaction_has_no_receipt(link: ChainLink) -> None:
    assert link.receipt(bytes(32)) is None


def test_sending_the_same_bytes_again_changes_nothing(rig: Rig) -> None:
    key = rig.newcomer(0)
    raw = rig.sign(rig.key, key.address, b"", 7)
    assert rig.link.send(raw) == rig.link.send(raw) == keccak(raw)
    rig.mined(keccak(raw))
    assert rig.link.send(raw) == keccak(raw)
    assert rig.link.balance(key.address) == 7


def test_a_created_contract_has_its_code(rig: Rig, probe: Address) -> None:
    assert rig.link.code(probe) == bytes.fromhex(PROBE["runtime"][2:])
    assert rig.link.code(rig.key.address) == b""


def test_a_call_sees_the_newest_state_and_its_sender(rig: Rig, probe: Address) -> None:
    value = secrets.randbits(200)
    rig.rich.send(probe, words(1, value))
    assert rig.link.call(probe, words(0)) == words(value)
    assert rig.link.call(probe, words(5), rig.key.address)[12:].hex() == rig.key.address[2:].lower()


def test_a_call_does_not_change_the_state(rig: Rig, probe: Address) -> None:
    rig.rich.send(probe, words(1, 4))
    rig.link.call(probe, words(1, 5))
    assert rig.link.call(probe, words(0)) == words(4)


def test_a_call_is_not_refused_for_the_age_of_the_newest_block(rig: Rig) -> None:
    # Reverts before the moment in its argument: CALLDATALOAD(0), TIMESTAMP, LT, JUMPI, STOP, REVERT.
    runtime = bytes.fromhex("6000354210600957005b600080fd")
    gate = rig.rich.send(None, bytes.fromhex("600e80600b6000396000f3") + runtime).contract_address
    due = rig.link.head().time + 2
    with pytest.raises(Reverted):
        rig.link.call(gate, (due + 3600).to_bytes(32, "big"))
    until = time.monotonic() + 30
    while rig.link.pending_time() < due:
        assert time.monotonic() < until, "the clock stands still"
        time.sleep(0.2)
    assert rig.link.call(gate, due.to_bytes(32, "big")) == b""


def test_a_call_meets_a_time_no_earlier_than_the_head(rig: Rig, probe: Address) -> None:
    assert int.from_bytes(rig.link.call(probe, words(3)), "big") >= rig.link.head().time
    assert rig.link.pending_time() > rig.link.head().time


def test_a_refused_call_carries_the_contracts_reason(rig: Rig, probe: Address) -> None:
    with pytest.raises(Reverted) as refused:
        rig.link.call(probe, words(2) + b"reason")
    assert refused.value.data == b"reason"


def test_an_invalid_opcode_is_a_refusal_without_a_reason(rig: Rig, probe: Address) -> None:
    with pytest.raises(Reverted) as refused:
        rig.link.call(probe, words(4))
    assert refused.value.data == b""


def test_a_transaction_that_reverts_is_mined_and_keeps_its_reason(rig: Rig, probe: Address) -> None:
    receipt = rig.mined(rig.link.send(rig.sign(rig.key, probe, words(2) + b"\x01\x02\x03\x04why")))
    assert not receipt.succeeded
    assert receipt.logs == ()
    assert rig.link.failure(receipt.tx_hash) == b"\x01\x02\x03\x04why"


def test_the_sender_raises_the_reason_and_sends_nothing(rig: Rig, probe: Address) -> None:
    before = rig.link.nonce(rig.key.address)
    with pytest.raises(Rejected, match="0x01020304"):
        rig.rich.send(probe, words(2) + b"\x01\x02\x03\x04")
    assert rig.link.nonce(rig.key.address) == before


def test_logs_come_in_chain_order_and_only_of_the_asked_contracts(rig: Rig, probe: Address) -> None:
    other = rig.rich.send(None, bytes.fromhex(PROBE["creation"][2:])).contract_address
    receipts = [rig.rich.send(to, words(1, n)) for n, to in enumerate([probe, other, probe]) if to]
    first, last = receipts[0].block_number, receipts[-1].block_number
    logs = rig.link.logs(first, last, [probe])
    assert [(log.tx_hash, log.data) for log in logs] == [
        (receipts[0].tx_hash, words(0)),
        (receipts[2].tx_hash, words(2)),
    ]
    assert {log.address for log in logs} == {probe}
    assert logs[0].topics[0].hex() == PROBE["stored_topic"][2:]
    assert logs[0].topics[1][12:].hex() == rig.key.address[2:].lower()
    assert logs[0] == receipts[0].logs[0]
    assert rig.link.logs(last + 1, last, [probe]) == []


def test_logs_of_one_block_count_through_its_transactions(rig: Rig, probe: Address) -> None:
    keys = [rig.newcomer() for _ in range(4)]
    sent = [rig.link.send(rig.sign(key, probe, words(1, n))) for n, key in enumerate(keys)]
    receipts = [rig.mined(tx_hash) for tx_hash in sent]
    for receipt in receipts:
        whole = rig.link.logs(receipt.block_number, receipt.block_number, [probe])
        assert [log.index for log in whole] == list(range(len(whole)))
        assert receipt.logs[0] in whole
        assert receipt.logs[0].tx_index == receipt.tx_index


def test_a_spent_nonce_is_a_conflict(rig: Rig) -> None:
    spent = rig.link.mined_nonce(rig.key.address) - 1
    with pytest.raises(Conflict):
        rig.link.send(rig.sign(rig.key, rig.key.address, b"", secrets.randbits(30), nonce=spent))


def test_garbage_and_a_foreign_chain_id_are_refused(rig: Rig) -> None:
    for raw in (b"", b"\x00", b"\xc0", secrets.token_bytes(100), b"\x02" + secrets.token_bytes(90)):
        with pytest.raises(Rejected):
            rig.link.send(raw)
    with pytest.raises(Rejected):
        rig.link.send(rig.sign(rig.key, rig.key.address, b"", chain_id=rig.link.chain_id + 1))


def test_who_cannot_pay_is_told_so(rig: Rig) -> None:
    poor = rig.newcomer(0)
    with pytest.raises(FeeTooLow) as refusal:
        rig.link.send(rig.sign(poor, rig.key.address, b"", 10**18))
    assert "account withdraw" in (refusal.value.hint or ""), "a grant went into its escrow: there is its coin"


def test_too_little_gas_for_the_bytes_is_refused(rig: Rig) -> None:
    with pytest.raises(Rejected):
        rig.link.send(rig.sign(rig.key, rig.key.address, b"x" * 100, gas=21_000))


def test_an_estimate_carries_the_transaction(rig: Rig, probe: Address) -> None:
    gas = rig.link.estimate_gas(rig.key.address, probe, words(1, 99))
    assert rig.rich.send(probe, words(1, 99), gas=gas).succeeded
    with pytest.raises(Reverted):
        rig.link.estimate_gas(rig.key.address, probe, words(2))


def test_a_new_block_wakes_who_waits_for_it(rig: Rig) -> None:
    before = rig.link.head().number
    threading.Timer(0.05, rig.newcomer).start()
    assert rig.link.wait_head(before, 60).number > before


def test_waiting_in_vain_answers_the_present_head(rig: Rig) -> None:
    far = rig.link.head().number + 1_000_000
    assert rig.link.wait_head(far, 0.01).number < far


def test_a_receipt_is_proved_by_its_blocks_header(rig: Rig, probe: Address) -> None:
    for count in (1, 5):
        keys = [rig.newcomer() for _ in range(count)]
        for tx_hash in [rig.link.send(rig.sign(key, probe, words(1, n))) for n, key in enumerate(keys)]:
            receipt = rig.mined(tx_hash)
            proof = rig.link.receipt_proof(tx_hash)
            assert proof is not None
            proven = open_receipt_proof(proof.header, proof.tx_index, proof.nodes, receipt.block_hash)
            assert proven.tx_index == receipt.tx_index
            assert proven.succeeded
            assert [log.data for log in proven.logs] == [log.data for log in receipt.logs]


def together(jobs: list[Callable[[], object]]) -> None:
    failures: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("senders", [1, 3])
def test_concurrent_senders_of_one_key_lose_nothing(rig: Rig, senders: int) -> None:
    key, target = rig.newcomer(), rig.newcomer(0)
    pool = [Sender(rig.link, key) for _ in range(senders)]
    together([lambda n=n: pool[n % senders].send(target.address, b"", 1, gas=21_000) for n in range(9)])
    assert rig.link.balance(target.address) == 9
    assert rig.link.mined_nonce(key.address) == 9


def test_a_restarted_sender_goes_on_at_the_next_nonce(rig: Rig) -> None:
    key = rig.newcomer()
    for _ in range(3):
        Sender(rig.link, key).send(rig.key.address, b"", 1)
    assert rig.link.mined_nonce(key.address) == 3
