"""A gateway is killed behind a client that repeats, and a miner is stopped in its turn and continued.

One node, PostgreSQL, one Kubo daemon, two gateways that share everything but key and log, three miners: all
processes of their own. The client knows one address, that of the proxy before the gateways.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import write_weights
from load import sealed_once_and_charged_once
from processes import running
from stacks import MINERS, Stack, command, shared, signer

from miners.node.audits import Verdict
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.sdk import Client
from registry.sdk.submitting import Work

# Short epochs and audits, so that a whole one passes while a miner is stopped.
SETTINGS = """\
[fees]
slots_per_epoch = 12
post_slots = 4
[storage]
audit_slots = 8
"""
BOND = 10**15


class Proxy:
    """One address for several gateways: a connection goes to the first that answers.

    Armed, it strikes once, when the first byte of an answer to POST /v1/submissions is there, and loses it.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._behind = [(urlsplit(url).hostname, urlsplit(url).port) for url in urls]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.strike: Callable[[], None] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                gateway = self._reach()
                asked = threading.Event()
                for way in (
                    partial(self._ask, client, gateway, asked),
                    partial(self._answer, gateway, client, asked),
                ):
                    threading.Thread(target=way, daemon=True).start()

    def _reach(self) -> socket.socket:
        for place in self._behind:
            with suppress(OSError):
                return socket.create_connection(place)
        raise AssertionError("no gateway is left")

    def _ask(self, client: socket.socket, gateway: socket.socket, asked: threading.Event) -> None:
        with suppress(OSError):
            while piece := client.recv(1 << 16):
                if piece.startswith(b"POST /v1/submissions "):
                    asked.set()
                gateway.sendall(piece)
        _end(client, gateway)

    def _answer(self, gateway: socket.socket, client: socket.socket, asked: threading.Event) -> None:
        with suppress(OSError):
            while piece := gateway.recv(1 << 16):
                if asked.is_set() and self.strike is not None:
                    strike, self.strike = self.strike, None
                    strike()
                    break
                asked.clear()
                client.sendall(piece)
        _end(client, gateway)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared(tmp_path_factory.mktemp("shared"), SETTINGS) as made:
        yield made


@pytest.fixture
def proxy(stack: Stack) -> Iterator[Proxy]:
    made = Proxy([stack.submits, stack.reads])
    yield made
    made.close()


@contextmanager
def client_of(stack: Stack, url: str) -> Iterator[Client]:
    with Client(url, signer("development"), home=stack.home) as client:
        yield client


def works(folder: Path, label: str, count: int) -> list[Work]:
    weights = write_weights(folder / f"{label}.safetensors", sum(map(ord, label)))
    return [Work(f"local/{label}", [weights], {}, salt=f"0x{number:064x}") for number in range(count)]


def is_well(home: Path) -> bool:
    """A gateway pins a little later what was sealed through another."""
    done = command("doctor", home=home)
    print(done.out, done.err)  # shown where it never comes to hold
    return done.code == 0


def test_a_client_whose_gateway_is_killed_as_it_answers_hears_it_from_the_other(
    stack: Stack, proxy: Proxy, tmp_path: Path
) -> None:
    first = stack.processes["gateway-1"].child
    with client_of(stack, proxy.url) as client:
        client.submit("local/before", works(tmp_path, "before", 1)[0].files, {})
        proxy.strike = first.kill
        # Nothing here repeats anything: what the client sends again, it sends of itself.
        receipts = client.submit_many(works(tmp_path, "lost", 20))
        assert first.poll() == -signal.SIGKILL
        promises = {receipt.body.promise.log for receipt in receipts}
        assert promises == {gateway_log(stack)}, "of the one that took them in before it was killed"
        sealed_once_and_charged_once(client, {receipt.body.version_id for receipt in receipts})
        # The other goes on alone, and what was taken in by the dead one is read from it.
        again = client.submit_many(works(tmp_path, "lost", 20))
        assert [receipt.body.version_id for receipt in again] == [one.body.version_id for one in receipts]
        client.retrieve(receipts[0].body.version_id, tmp_path / "out")
    port = urlsplit(stack.submits).port
    with running("serve", "--port", port, home=stack.servers[0]) as restarted:
        restarted.wait_for(r"serves at (http\S+)")
        with client_of(stack, stack.submits) as client:
            stack.eventually(lambda: client.health() == [])
            client.submit("local/after", works(tmp_path, "after", 1)[0].files, {})
        for home in stack.servers:
            stack.eventually(partial(is_well, home))
        assert restarted.stop() == 0


def gateway_log(stack: Stack) -> str:
    """The origin of the first gateway's log."""
    with client_of(stack, stack.reads) as client:
        return f"gateway/{client.deployment.chain_id}/{signer('gateway-1').address}"


@pytest.fixture
def contracts(stack: Stack) -> Iterator[Contracts]:
    assert stack.rpc is not None
    link = RpcChain([stack.rpc], confirmations=0)
    with client_of(stack, stack.reads) as client:
        yield Contracts(link, client.deployment)
    link.close()


def test_a_stopped_miner_is_stood_in_for_and_loses_nothing_when_it_wakes(
    stack: Stack, contracts: Contracts, tmp_path: Path
) -> None:
    address, pid = signer(MINERS[0]).address, stack.processes[MINERS[0]].child.pid
    payload = encode_call("StorageMarket", "bond", [address])
    Sender(contracts.link, signer("development")).send(contracts.address("StorageMarket"), payload, BOND)

    def market(function: str, *args: object) -> Any:
        return contracts.read("StorageMarket", function, *args)

    def absences() -> list[int]:
        epochs = range(contracts.open_epoch().epoch)
        return [epoch for epoch in epochs if market("verdictOf", epoch, address) == Verdict.ABSENT]

    with client_of(stack, stack.reads) as client:

        def sealed_by_it() -> int:
            return int(client.http.get(f"/v1/miners/{address}")["sealed"])

        items = works(tmp_path, "stopped", 8)
        with ThreadPoolExecutor(1) as beside:
            # In the middle of what it does: an array is on its way to all three.
            sent = beside.submit(client.submit_many, items[:6])
            os.kill(pid, signal.SIGSTOP)
            try:
                receipts = sent.result()
                alone = sealed_by_it()
                receipts += [client.submit_many([item])[0] for item in items[6:]]
                assert sealed_by_it() == alone, "the others took over its turns"
                stack.eventually(lambda: absences() != [])
                missed = absences()
                assert not any(market("isSettled", epoch, address) for epoch in missed), "it is held back"
            finally:
                os.kill(pid, signal.SIGCONT)
        # It answers again: what was held back is its own, and it does its part of the work.
        done = contracts.link.mined_nonce(address)
        stack.eventually(lambda: all(market("isSettled", epoch, address) for epoch in missed))
        numbers = iter(range(100, 200))

        def is_at_work() -> bool:
            client.submit_many(works(tmp_path, f"awake-{next(numbers)}", 1))
            return contracts.link.mined_nonce(address) > done

        stack.eventually(is_at_work)
        assert market("bondOf", address) == BOND
        verdicts = {market("verdictOf", epoch, address) for epoch in range(contracts.open_epoch().epoch)}
        assert Verdict.FAILED not in verdicts
        sealed_once_and_charged_once(client, {receipt.body.version_id for receipt in receipts})
