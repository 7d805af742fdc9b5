"""The JSON-RPC backend beside failing nodes: killed, stopped, behind, on another chain, reorganised.

The nodes are real processes of scripts/devnet; the one scripted part is a proxy that limits what anvil
would allow.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from nodes import RICH, Front, ask, create_probe, words

from registry.chain.rpc import RpcChain
from registry.chain.rpc_nodes import MOST_BEHIND
from registry.chain.sender import Sender
from registry.core.ids import Address
from registry.errors import ChainUnavailable

ROOT = Path(__file__).parents[2]


def closed_port() -> str:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return f"http://127.0.0.1:{server.server_port}"


def test_a_killed_node_is_unavailable_until_it_is_back(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    anvil = engine("anvil")
    link = connect(anvil.start()["TWINLEDGER_ANVIL"])
    genesis = link.genesis_hash
    assert anvil.run("stop").returncode == 0
    with pytest.raises(ChainUnavailable, match="does not answer"):
        link.head()
    anvil.start()
    assert link.block(0).hash == genesis
    assert Sender(link, RICH).send(RICH.address, b"", 1).succeeded


def test_a_node_that_comes_back_as_another_chain_is_not_believed(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    first, second = engine("anvil"), engine("anvil")
    url = first.start("--args=--timestamp 1700000000")["TWINLEDGER_ANVIL"]
    other = second.start("--args=--timestamp 1700000009")["TWINLEDGER_ANVIL"]
    link = connect(closed_port(), url)
    assert link.head().number == 0
    strict = connect(other, chain_id=link.chain_id, genesis_hash=link.genesis_hash)
    with pytest.raises(ChainUnavailable, match="another genesis"):
        strict.head()
    assert connect(other, url, genesis_hash=link.genesis_hash).block(0).hash == link.genesis_hash


def test_a_node_of_another_chain_id_is_passed_over(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    wanted, other = engine("anvil"), engine("anvil")
    url = wanted.start()["TWINLEDGER_ANVIL"]
    foreign = other.start()["TWINLEDGER_ANVIL"]
    ask(foreign, "anvil_setChainId", 4242)
    with pytest.raises(ChainUnavailable, match="is on chain 4242, not 31337"):
        connect(foreign, chain_id=31337).head()
    assert connect(foreign, url, chain_id=31337).chain_id == 31337


def stop(pid: int) -> None:
    """SIGSTOP, and wait until it is obeyed: the first thread to hear it has to run for that."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)


def test_a_stopped_node_times_out_and_answers_again_when_continued(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    anvil = engine("anvil")
    link = connect(anvil.start()["TWINLEDGER_ANVIL"], timeout_s=0.5)
    head = link.head()
    stop(anvil.pid("anvil"))
    with pytest.raises(ChainUnavailable, match="Timeout"):
        link.head()
    os.kill(anvil.pid("anvil"), signal.SIGCONT)
    assert link.head() == head


def test_a_reorganisation_of_six_blocks_shows_in_the_parent_hashes(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    url = engine("anvil").start()["TWINLEDGER_ANVIL"]
    link = connect(url)
    address = create_probe(Sender(link, RICH))
    sent = [Sender(link, RICH).send(address, words(1, n)) for n in range(10)]
    head = link.head().number
    before = [link.block(n) for n in range(head + 1)]
    ask(url, "anvil_reorg", 6, [])
    after = [link.block(n) for n in range(link.head().number + 1)]
    ancestor = head - 6
    assert [b.hash for b in after[: ancestor + 1]] == [b.hash for b in before[: ancestor + 1]]
    assert all(a.hash != b.hash for a, b in zip(after[ancestor + 1 :], before[ancestor + 1 :], strict=False))
    assert [b.parent_hash for b in after[1:]] == [b.hash for b in after[:-1]]
    assert after[ancestor + 1].parent_hash == before[ancestor].hash
    assert link.receipt(sent[-1].tx_hash) is None
    kept = {log.block_hash for log in link.logs(0, link.head().number, [address])}
    assert kept <= {b.hash for b in after}
    assert Sender(link, RICH).send(address, words(1, 77)).succeeded
    assert link.call(address, words(0)) == words(77)


def test_a_subscription_wakes_who_waits_and_polling_does_without_one(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    found = engine("anvil").start()
    url, socket = found["TWINLEDGER_ANVIL"], found["TWINLEDGER_ANVIL_WS"]
    deaf = closed_port().replace("http", "ws")
    for link in (
        connect(url, websockets=[deaf, socket], poll_s=3600.0),
        connect(url, websockets=[deaf], poll_s=0.1),
    ):
        # The subscription is confirmed by a first message; the deaf one has only its poll.
        if link._poll_s > 1:
            link._bell.wait(0, 60)
            assert link._bell.count() > 0
        before = link.head().number
        waiter = threading.Thread(target=link.wait_head, args=(before, 3000))
        waiter.start()
        Sender(link, RICH).send(RICH.address, b"", 1)
        waiter.join()
        assert link.head().number > before


class Stingy(Front):
    """Answers no eth_getLogs over more than five blocks."""

    def own(self, call: dict[str, Any]) -> dict[str, Any] | None:
        if call["method"] != "eth_getLogs":
            return None
        bounds = call["params"][0]
        if int(bounds["toBlock"], 16) - int(bounds["fromBlock"], 16) < 5:
            return None
        return {"error": {"code": -32005, "message": "query exceeds max block range"}}


class Tardy(Front):
    """Counts a mined transaction at once and gives its receipt at the fourth question."""

    def own(self, call: dict[str, Any]) -> dict[str, Any] | None:
        is_early = call["method"] == "eth_getTransactionReceipt" and self.answered < 3
        return {"result": None} if is_early else None


def test_a_receipt_that_comes_after_its_nonce_is_waited_for_and_nothing_is_sent_twice(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    Tardy.behind = engine("anvil").start()["TWINLEDGER_ANVIL"]
    target = Address("0x" + "00" * 19 + "66")
    with Tardy.standing() as front:
        assert Sender(connect(front), RICH).send(target, b"", 3).succeeded
    assert Tardy.answered == 3
    direct = connect(Tardy.behind)
    assert (direct.balance(target), direct.mined_nonce(RICH.address)) == (3, 1)


def test_a_node_that_limits_the_range_of_logs_is_asked_for_smaller_pages(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    url = engine("anvil").start()["TWINLEDGER_ANVIL"]
    direct = connect(url)
    address = create_probe(Sender(direct, RICH))
    for n in range(12):
        Sender(direct, RICH).send(address, words(1, n))
    Stingy.behind = url
    with Stingy.standing() as front:
        last = direct.head().number
        assert connect(front).logs(0, last, [address]) == direct.logs(0, last, [address])
    assert Stingy.answered > 0


def test_a_sealer_killed_while_senders_send_and_back_later_loses_and_doubles_nothing(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    geth = engine("geth")
    found = geth.start()
    urls = [found[v] for v in ("TWINLEDGER_GETH", "TWINLEDGER_GETH_2", "TWINLEDGER_GETH_3")]
    link = connect(*urls)
    target = Address("0x" + "00" * 19 + "77")
    sender = Sender(link, RICH)

    def send() -> None:
        sender.send(target, b"", 1, gas=21_000, timeout_s=400)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for number, thread in enumerate(threads):
        thread.start()
        if number == 4:
            os.kill(geth.pid("1"), signal.SIGKILL)
    # Two sealers go on alone unless each waits for the other's block; the third one always ends that.
    threads[0].join(timeout=10)
    geth.start()
    for thread in threads:
        thread.join()
    # The sealer that came back may be asked before it has caught up.
    until = time.monotonic() + 120
    while link.balance(target) < 8 and time.monotonic() < until:
        link.wait_head(link.head().number, 1)
    assert link.balance(target) == 8
    assert link.mined_nonce(RICH.address) == 8


def test_a_node_that_fell_behind_is_passed_over(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    ahead, behind = engine("anvil"), engine("anvil")
    same = "--args=--timestamp 1700000000"
    url, stuck = (node.start(same)["TWINLEDGER_ANVIL"] for node in (ahead, behind))
    link = connect(url, stuck)
    ask(url, "anvil_mine", hex(MOST_BEHIND + 1))
    assert link.head().number == MOST_BEHIND + 1
    assert connect(stuck, genesis_hash=link.genesis_hash).head().number == 0
    stop(ahead.pid("anvil"))
    with pytest.raises(ChainUnavailable, match="at block 0, 9 behind"):
        link.head()
    ask(stuck, "anvil_mine", "0x1")
    assert link.head().number == 1
    os.kill(ahead.pid("anvil"), signal.SIGCONT)
