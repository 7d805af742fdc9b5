"""A peer is believed only for bytes that hash to the CID, and a silent one is not one that lost them."""

import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from miners.node import ContentServer, HttpPeer, StorePeer
from registry.core.ids import sha256
from registry.errors import NotFound, Unavailable, VerificationFailed
from registry.storage.embedded import EmbeddedStore


@pytest.fixture
def store(tmp_path: Path):
    found = EmbeddedStore(tmp_path / "store")
    yield found
    found.close()


@pytest.fixture
def url(store: EmbeddedStore):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = ContentServer(store, listener)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.close()


def test_a_held_block_is_shown_in_process_and_over_http(store: EmbeddedStore, url: str):
    cid = store.put([b"a leaf"]).cid
    assert StorePeer(store).block(cid) == HttpPeer(url).block(cid) == b"a leaf"


def test_a_peer_that_answers_without_the_block_is_not_found(store: EmbeddedStore, url: str, tmp_path: Path):
    elsewhere = EmbeddedStore(tmp_path / "elsewhere")
    cid = elsewhere.put([b"another leaf"]).cid
    elsewhere.close()
    for peer in (StorePeer(store), HttpPeer(url)):
        with pytest.raises(NotFound):
            peer.block(cid)


def test_a_peer_that_does_not_answer_is_unavailable(store: EmbeddedStore):
    cid = store.put([b"a leaf"]).cid
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable):
            HttpPeer(f"http://127.0.0.1:{free.getsockname()[1]}").block(cid)


def test_wrong_bytes_are_no_proof(store: EmbeddedStore):
    class Liar(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"wrong")

        def log_message(self, *_):
            pass

    cid = store.put([b"a leaf"]).cid
    assert sha256(b"a leaf") == cid.digest
    with HTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(VerificationFailed):
            HttpPeer(f"http://127.0.0.1:{server.server_port}").block(cid)
        thread.join()
