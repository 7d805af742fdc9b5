"""A Kubo daemon that dies, hangs, cuts off or lies: an error of ours, never wrong bytes, nothing lost."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import ipfshttpclient
import pytest

from registry.core.cid import Cid
from registry.errors import Malformed, NotFound, StoreUnavailable, VerificationFailed
from registry.storage.kubo import KuboStore
from registry.storage.replicated import open_kubo
from registry.storage.unixfs import import_file

DEVNET = Path(__file__).parents[2] / "scripts" / "devnet" / "kubo"
MIB = 1 << 20
# Read before a fixture moves HOME: the engines are built into the cache of the person who runs the tests.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


@dataclass(frozen=True, slots=True)
class Devnet:
    """Two daemons in a private swarm, as scripts/devnet/kubo runs them."""

    folder: Path

    def run(self, command: str, *options: str) -> str:
        done = subprocess.run(
            [DEVNET, command, "--dir", self.folder, *options],
            env={**os.environ, "XDG_CACHE_HOME": CACHE},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 3 and os.environ.get("CI") != "true":
            pytest.skip(f"kubo: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def variables(self, *options: str) -> dict[str, str]:
        lines = self.run("start", *options).splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
        return {name: value.strip("'") for name, value in pairs}


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    folder = Path(tempfile.mkdtemp(prefix="twinledger-kubo-"))
    net = Devnet(folder)
    net.variables()
    yield net
    net.run("stop")
    shutil.rmtree(folder)


@pytest.fixture
def apis(devnet: Devnet) -> list[str]:
    return devnet.variables()["TWINLEDGER_KUBO_API"].split(",")


@pytest.fixture
def honest(apis: list[str]) -> Iterator[KuboStore]:
    with KuboStore(apis[0]) as store:
        yield store


MARK = b"this is the mark"


@dataclass(slots=True)
class Proxy:
    """A TCP proxy before a daemon; `change` sees what the daemon says, the limits cut the connection."""

    upstream: tuple[str, int] | None
    change: Callable[[bytes], bytes] = bytes
    asked_limit: int | None = None
    answered_limit: int | None = None
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"/ip4/127.0.0.1/tcp/{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # a thread waits in accept: closing alone leaves it open
        self._listener.close()
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                if self.upstream is None:
                    continue  # it listens and never answers
                daemon = socket.create_connection(self.upstream)
                self._open.append(daemon)
                asked = (client, daemon, bytes, self.asked_limit)
                answered = (daemon, client, lambda raw: self.change(raw), self.answered_limit)
                for way in (asked, answered):
                    threading.Thread(target=_pipe, args=way, daemon=True).start()


def _pipe(
    source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes], limit: int | None
) -> None:
    passed = 0
    with suppress(OSError):
        while raw := source.recv(1 << 16):
            passed += len(raw)
            if limit is not None and passed > limit:
                break
            target.sendall(change(raw))
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(apis: list[str]) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", int(apis[0].rpartition("/")[2]))) as between:
        yield between


@pytest.fixture
def store(proxy: Proxy) -> Iterator[KuboStore]:
    with KuboStore(proxy.api, timeout_s=20) as through:
        yield through


def fresh(size: int) -> bytes:
    return random.Random(os.urandom(16)).randbytes(size)


def read(store: KuboStore, cid: Cid) -> bytes:
    return b"".join(store.get(cid))


def test_an_honest_proxy_changes_nothing(store: KuboStore) -> None:
    content = fresh(2 * MIB + 5)
    assert read(store, store.put([content]).cid) == content


def test_a_daemon_that_never_answers_is_unavailable() -> None:
    with Proxy(None) as silent, KuboStore(silent.api, timeout_s=0.5) as store:
        for ask in (store.check, lambda: store.put([b"x"]), lambda: store.get(import_file([b"x"]).cid)):
            with pytest.raises(StoreUnavailable, match="does not answer"):
                ask()


def test_nobody_at_the_address_is_unavailable() -> None:
    with Proxy(None) as gone:
        api = gone.api
    with KuboStore(api) as store, pytest.raises(StoreUnavailable):
        store.put([b"x"])


@pytest.mark.parametrize("api", ["127.0.0.1:5001", "", "/ip4/127.0.0.1/udp/1", "http://localhost:5001"])
def test_an_address_that_is_none_is_malformed(api: str) -> None:
    with KuboStore(api) as store, pytest.raises(Malformed):
        store.check()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"SSH-2.0-OpenSSH\r\n"]
)
def test_what_is_no_daemon_is_unavailable(proxy: Proxy, store: KuboStore, answer: bytes) -> None:
    proxy.change = lambda raw: answer
    with pytest.raises(StoreUnavailable):
        store.check()


@pytest.mark.parametrize(
    ("version", "is_supported"), [("0.38.2", False), ("0.39.0", True), ("0.45.0", False)]
)
def test_only_versions_in_the_window_are_used(
    proxy: Proxy, store: KuboStore, version: str, is_supported: bool
) -> None:
    running = store.check().encode()
    proxy.change = lambda raw: raw.replace(running, version.encode())
    with KuboStore(proxy.api) as other:
        if is_supported:
            assert other.check() == version
        else:
            with pytest.raises(StoreUnavailable, match=version):
                other.put([b"x"])


def test_wrong_bytes_are_refused_and_the_daemon_is_named(proxy: Proxy, store: KuboStore) -> None:
    content = b"weights " * 20
    cid = store.put([content]).cid
    proxy.change = lambda raw: raw.replace(b"weights weights", b"weights poisons")
    with pytest.raises(VerificationFailed, match=proxy.api):
        read(store, cid)
    with pytest.raises(VerificationFailed):
        list(store.export(cid))


def test_a_wrong_byte_in_the_midst_of_a_streamed_file_is_refused(
    proxy: Proxy, store: KuboStore, honest: KuboStore
) -> None:
    content = _marked(fresh(6 * MIB))
    cid = honest.put([content]).cid
    proxy.change = lambda raw: raw.replace(MARK, MARK[::-1])
    got = b""
    with pytest.raises(VerificationFailed, match=proxy.api):
        for piece in store.get(cid):
            got += piece
    assert got == content[: 3 * MIB]


def test_a_file_that_comes_wrong_once_is_asked_for_by_the_block(
    proxy: Proxy, store: KuboStore, honest: KuboStore
) -> None:
    content = _marked(fresh(6 * MIB))
    cid = honest.put([content]).cid
    lies = 0

    def lie(raw: bytes) -> bytes:
        nonlocal lies
        if lies or MARK not in raw:
            return raw
        lies += 1
        return raw.replace(MARK, MARK[::-1])

    proxy.change = lie
    assert read(store, cid) == content
    assert lies == 1


def _marked(content: bytes) -> bytes:
    """The same with a mark in the fourth leaf."""
    at = 3 * MIB + 5_000
    return content[:at] + MARK + content[at + len(MARK) :]


def test_an_answer_that_is_short_and_looks_complete_is_refused(proxy: Proxy, store: KuboStore) -> None:
    content = fresh(100)
    cid = store.put([content]).cid
    # The body of 0x64 bytes becomes one of 0x63: valid HTTP, and a byte is missing.
    proxy.change = lambda raw: raw.replace(b"64\r\n" + content, b"63\r\n" + content[:-1])
    with pytest.raises(VerificationFailed):
        read(store, cid)


def test_a_block_longer_than_any_is_not_read_to_its_end(proxy: Proxy, store: KuboStore) -> None:
    content = fresh(100)
    cid = store.put([content]).cid
    flood = b"64\r\n" + content + (b"\r\n10000\r\n" + bytes(1 << 16)) * 40
    proxy.change = lambda raw: raw.replace(b"64\r\n" + content, flood)
    with pytest.raises(VerificationFailed, match="longer than any block"):
        store.block(cid)


@pytest.mark.parametrize("field", [b'"Cid":{"/":"bafybei', b'"Pins":["bafybei'])
def test_another_cid_than_ours_is_refused(proxy: Proxy, store: KuboStore, field: bytes) -> None:
    wrong = str(import_file([fresh(3 * MIB)]).cid).encode().removeprefix(b"bafybei")

    def lie(raw: bytes) -> bytes:
        before, found, after = raw.partition(field)
        return before + found + wrong + after[52:] if found else raw

    proxy.change = lie
    with pytest.raises(VerificationFailed):
        store.put([fresh(10)])


def test_an_import_that_took_fewer_blocks_is_no_import(proxy: Proxy, store: KuboStore) -> None:
    proxy.change = lambda raw: raw.replace(b'"BlockCount":5', b'"BlockCount":4')
    with pytest.raises(StoreUnavailable, match="4 of 5"):
        store.put([fresh(3 * MIB)])


def test_a_connection_cut_while_reading_is_unavailable(
    proxy: Proxy, store: KuboStore, honest: KuboStore
) -> None:
    content = fresh(3 * MIB)
    cid = honest.put([content]).cid
    proxy.answered_limit = 2 * MIB
    got = b""
    with pytest.raises(StoreUnavailable):
        for piece in store.get(cid):
            got += piece
    assert content.startswith(got)
    assert len(got) < len(content)


def test_a_connection_cut_while_uploading_is_unavailable_and_the_next_try_works(
    proxy: Proxy, store: KuboStore
) -> None:
    content = fresh(3 * MIB)
    proxy.asked_limit = MIB
    with pytest.raises(StoreUnavailable):
        store.put([content])
    proxy.asked_limit = None
    assert read(store, store.put([content]).cid) == content


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_daemon_killed_while_reading_gives_no_wrong_byte_and_comes_back(
    devnet: Devnet, honest: KuboStore, after: int
) -> None:
    content = fresh(48 * MIB)  # more than the sockets hold, or all of it were here already
    cid = honest.put([content]).cid
    honest.pin(cid, "owner")
    reading = honest.get(cid)
    got = b"".join(next(reading) for _ in range(after))
    devnet.run("stop", "--node", "1", "--kill")
    with pytest.raises(StoreUnavailable):
        got += b"".join(reading)
    assert content.startswith(got)
    devnet.variables()
    assert read(honest, cid) == content
    assert honest.has(cid)
    assert cid in {p.cid for p in honest.pins()}


def test_a_daemon_killed_while_uploading_keeps_what_it_acknowledged(devnet: Devnet, apis: list[str]) -> None:
    with KuboStore(apis[0], timeout_s=20) as store:
        done: list[tuple[Cid, bytes]] = []
        begun = threading.Event()

        def upload() -> None:
            with suppress(StoreUnavailable):
                while True:
                    content = fresh(2 * MIB + 9)
                    cid = store.put([content]).cid
                    store.pin(cid, "owner")
                    done.append((cid, content))
                    begun.set()

        thread = threading.Thread(target=upload)
        thread.start()
        begun.wait(60)
        devnet.run("stop", "--node", "1", "--kill")
        thread.join()
        devnet.variables()
        assert done
        assert all(read(store, cid) == content for cid, content in done)
        assert {p.cid for p in store.pins()} >= {cid for cid, _ in done}
        again = store.put([done[0][1]])
        assert again.cid == done[0][0]


def test_a_collection_by_somebody_else_takes_nothing_that_is_being_stored(apis: list[str]) -> None:
    with KuboStore(apis[0]) as store, ipfshttpclient.Client(apis[0], timeout=60) as other:
        stop = threading.Event()

        def sweep() -> None:
            while not stop.is_set():
                other.repo.gc(quiet=True)

        thread = threading.Thread(target=sweep)
        thread.start()
        try:
            kept = [store.put([fresh(size)]).cid for size in (10, 2 * MIB, 50_000, MIB + 1) * 3]
        finally:
            stop.set()
            thread.join()
        other.repo.gc(quiet=True)
        assert all(store.has(cid) for cid in kept)


def test_two_owners_in_one_daemon_see_their_own_pins_only(apis: list[str]) -> None:
    with KuboStore(apis[0], owner="gateway") as one, KuboStore(apis[0], owner="miner-1") as two:
        cid = one.put([fresh(100)]).cid
        one.pin(cid, "version")
        two.pin(cid, "version")
        two.pin(cid, "other")
        assert [p.owner for p in one.pins()] == ["version"]
        assert [p.owner for p in two.pins()] == ["other", "version"]
        two.unpin(cid, "version")
        assert [p.owner for p in one.pins()] == ["version"]


def test_reads_survive_the_death_of_a_daemon_and_it_catches_up(devnet: Devnet, apis: list[str]) -> None:
    with closing(open_kubo(apis, timeout_s=20, owner="replicated")) as store:
        content = fresh(3 * MIB)
        cid = store.put([content]).cid
        store.pin(cid, "version")
        reading = store.get(cid)
        got = next(reading)
        devnet.run("stop", "--node", "1", "--kill")
        assert got + b"".join(reading) == content
        assert store.has(cid)
        with pytest.raises(StoreUnavailable):
            store.put([b"the first decides"])
        devnet.variables()
        devnet.run("stop", "--node", "2", "--kill")
        late = store.put([fresh(MIB + 1)]).cid
        store.pin(late, "version")
        store.unpin(cid, "version")
        devnet.variables()
        with KuboStore(apis[1], owner="replicated") as second:
            assert [p.cid for p in second.pins()] == [cid]
            store.collect(3600)
            assert [p.cid for p in second.pins()] == [late]
            assert second.has(late)


def test_a_pin_that_somebody_else_made_is_left_alone(apis: list[str]) -> None:
    with KuboStore(apis[0]) as store, ipfshttpclient.Client(apis[0], timeout=60) as other:
        cid = store.put([fresh(2 * MIB)]).cid
        other.pin.add(str(cid), opts={"name": "theirs"})
        store.pin(cid, "ours")
        store.unpin(cid, "ours")
        store.collect(-1)
        assert store.has(cid)
        other.pin.rm(str(cid))
        store.collect(-1)
        assert not store.has(cid)


def test_a_lease_whose_import_died_before_naming_it_ends_too(
    proxy: Proxy, store: KuboStore, apis: list[str]
) -> None:
    content = fresh(2 * MIB)
    store.check()
    # The import is answered by a lie, so the process stops there: pinned in the daemon, without a name.
    proxy.change = lambda raw: raw.replace(b'"BlockCount"', b'"BlockTount"')
    with pytest.raises(StoreUnavailable):
        store.put([content])
    with KuboStore(apis[0]) as other:
        cid = import_file([content]).cid
        assert other.has(cid)
        other.collect(-1)
        assert other.has(cid)
        other.collect(-1)
        assert not other.has(cid)


def test_what_one_daemon_holds_the_other_can_pull(apis: list[str]) -> None:
    with KuboStore(apis[0]) as one, KuboStore(apis[1], timeout_s=60) as two:
        content = fresh(2 * MIB + 1)
        root = one.put_directory({"w": one.put([content])})
        assert not two.has(root.cid)
        with pytest.raises(NotFound):
            two.pin(root.cid, "miner-2")
        two.pull(root.cid)
        assert two.has(root.cid)
        two.pin(root.cid, "miner-2")
        assert read(two, import_file([content]).cid) == content


def test_the_token_opens_the_daemon_and_its_absence_is_said(tmp_path: Path) -> None:
    closed = Devnet(tmp_path / "closed")
    found = closed.variables("--token")
    try:
        api, token = found["TWINLEDGER_KUBO_API"].split(",")[0], Path(found["TWINLEDGER_KUBO_TOKEN_FILE"])
        with KuboStore(api, token_file=token) as store:
            assert read(store, store.put([b"opened"]).cid) == b"opened"
        with KuboStore(api) as store, pytest.raises(StoreUnavailable) as refused:
            store.put([b"x"])
        assert "token_file" in refused.value.hint
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            KuboStore(api, token_file=tmp_path / "nowhere")
    finally:
        closed.run("stop")
