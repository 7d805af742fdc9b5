"""scripts/devnet/anvil: the development node starts, answers, keeps its chain and can always be stopped."""

import pytest
from web3 import Web3


@pytest.fixture(scope="module")
def anvil(engine):
    return engine("anvil", "data")


def test_a_transaction_at_price_zero_is_mined(anvil):
    w3 = Web3(Web3.HTTPProvider(anvil.start()["TWINLEDGER_ANVIL"]))
    sender, receiver = w3.eth.accounts[:2]
    sent = w3.eth.send_transaction({"from": sender, "to": receiver, "value": 1, "gasPrice": 0})
    assert w3.eth.wait_for_transaction_receipt(sent)["status"] == 1
    assert w3.eth.chain_id == 31337


def test_the_chain_survives_a_clean_stop_on_the_same_port(anvil):
    before = anvil.start()
    w3 = Web3(Web3.HTTPProvider(before["TWINLEDGER_ANVIL"]))
    w3.provider.make_request("evm_mine", [])
    head = w3.eth.get_block("latest")["hash"]
    anvil.stop()
    assert anvil.start() == before
    assert w3.eth.get_block("latest")["hash"] == head


def test_a_stopped_engine_is_not_healthy_and_stopping_twice_is_no_error(anvil):
    anvil.start()
    anvil.stop()
    anvil.stop()
    health = anvil.run("health")
    assert health.returncode == 1
    assert "does not answer" in health.stderr


def test_the_command_that_started_an_engine_need_not_live_to_stop_it(anvil):
    anvil.start()
    pid = anvil.pid("anvil")
    assert anvil.run("health").returncode == 0
    anvil.stop("--kill")
    assert anvil.run("health").returncode == 1
    anvil.start()
    assert anvil.pid("anvil") != pid


def test_a_pid_that_belongs_to_another_program_by_now_is_left_alone(anvil):
    anvil.start()
    true_pid = (anvil.folder / "anvil.pid").read_text()
    (anvil.folder / "anvil.pid").write_text(f"{true_pid.split()[0]} 1\n")
    anvil.stop()
    (anvil.folder / "anvil.pid").write_text(true_pid)
    assert anvil.run("health").returncode == 0


def test_a_chain_may_mine_only_when_told_to(engine):
    manual = engine("anvil", "manual")
    w3 = Web3(Web3.HTTPProvider(manual.start("--args=--no-mining")["TWINLEDGER_ANVIL"]))
    sender = w3.eth.accounts[0]
    sent = w3.eth.send_transaction({"from": sender, "to": sender, "gasPrice": 0})
    assert w3.eth.block_number == 0
    w3.provider.make_request("evm_mine", [])
    assert w3.eth.wait_for_transaction_receipt(sent)["blockNumber"] == 1
