"""What a transaction pays follows the chain: nothing, a fixed price, or EIP-1559 while the base fee moves."""

import threading
import time
from collections.abc import Callable
from typing import Any

from nodes import RICH, ask

from registry.chain.base import FeePolicy
from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.core.ids import Address

GWEI = 10**9


def test_a_base_fee_that_appears_is_paid(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    url = engine("anvil").start()["TWINLEDGER_ANVIL"]
    link = connect(url)
    assert link.fee_policy() == FeePolicy(0, 0)
    assert Sender(link, RICH).send(RICH.address, b"", 1).succeeded
    ask(url, "anvil_setNextBlockBaseFeePerGas", hex(5 * GWEI))
    ask(url, "evm_mine")
    policy = link.fee_policy()
    assert policy.tip is not None
    assert policy.gas_price >= 2 * 4 * GWEI
    assert Sender(link, RICH).send(RICH.address, b"", 1).succeeded


def test_a_price_that_rises_while_a_transaction_waits_is_paid_once(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    url = engine("anvil").start("--args=--no-mining")["TWINLEDGER_ANVIL"]
    link = connect(url)
    target = Address("0x" + "00" * 19 + "55")
    waiting = threading.Thread(target=Sender(link, RICH).send, args=(target, b"", 7), kwargs={"gas": 30_000})
    waiting.start()
    while link.nonce(RICH.address) == 0:
        time.sleep(0.05)
    ask(url, "anvil_setNextBlockBaseFeePerGas", hex(5 * GWEI))
    while waiting.is_alive():
        ask(url, "evm_mine")
        time.sleep(0.3)
    assert link.balance(target) == 7
    assert link.mined_nonce(RICH.address) == 1


def test_a_configured_price_is_paid_as_a_legacy_transaction(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    link = connect(engine("anvil").start()["TWINLEDGER_ANVIL"], gas_price=3 * GWEI)
    before = link.balance(RICH.address)
    receipt = Sender(link, RICH).send(RICH.address, b"", 1)
    assert before - link.balance(RICH.address) == receipt.gas_used * 3 * GWEI
