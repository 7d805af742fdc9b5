"""A miner's content over HTTP, and gateways as sources: what is not held, not there or late is an error."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from miners.node import ContentServer, HttpSource, Sources
from registry.core.cid import Cid
from registry.core.ids import keccak, sha256
from registry.core.signing import KeySigner
from registry.core.version import Domain
from registry.errors import NotFound, Unavailable
from registry.storage.embedded import EmbeddedStore

MINER = KeySigner(keccak(b"miner"))
DOMAIN = Domain(1, MINER.address)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path / "served") as held:
        yield held


@pytest.fixture
def url(store: EmbeddedStore) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = ContentServer(store, listener)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.close()


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def source(url: str, **options: float) -> HttpSource:
    return HttpSource(url, MINER, DOMAIN, **options)


def get(url: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_what_a_miner_serves_another_store_takes_and_hashes(
    store: EmbeddedStore, url: str, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 20_000
    cid = store.put([content]).cid
    with EmbeddedStore(tmp_path / "taking") as taking:
        taking.put_car(source(url).car([cid]))
        assert b"".join(taking.get(cid)) == content


def test_a_leaf_is_given_by_its_cid_as_it_lies(store: EmbeddedStore, url: str) -> None:
    cid = store.put([b"leaf"]).cid
    assert get(url, f"/ipfs/{cid}?format=raw") == (200, b"leaf")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/ipfs/{Cid(0x55, sha256(b'never stored'))}?format=raw", 404),
        (f"/ipfs/{Cid(0x55, sha256(b'never stored'))}?format=car", 404),
        ("/ipfs/bafynotacid", 400),
        ("/v1/submissions", 404),
    ],
)
def test_what_is_not_held_is_not_found(url: str, path: str, status: int) -> None:
    assert get(url, path)[0] == status


def test_a_format_that_nobody_knows_is_refused(store: EmbeddedStore, url: str) -> None:
    assert get(url, f"/ipfs/{store.put([b'x']).cid}?format=tar")[0] == 400


def test_a_source_that_lacks_it_or_is_away_is_passed_over(
    store: EmbeddedStore, url: str, nobody: str
) -> None:
    cid = store.put([b"here"]).cid
    assert b"".join(Sources([source(nobody), source(url)]).car([cid])) == b"".join(store.export(cid))
    absent = Cid(0x55, sha256(b"absent"))
    with pytest.raises(NotFound):
        list(Sources([source(url)]).car([absent]))


def test_work_is_unavailable_only_when_no_gateway_answers(nobody: str) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        Sources([source(nobody), source(nobody)]).pending(10)


def test_an_item_that_takes_too_long_is_given_up(store: EmbeddedStore, url: str) -> None:
    cid = store.put([bytes(1 << 20)]).cid
    with pytest.raises(Unavailable, match="within"):
        list(HttpSource(url, MINER, DOMAIN, pin_timeout_s=1e-9).car([cid]))
