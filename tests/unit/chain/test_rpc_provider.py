"""The provider behind every question to a node: kept connections, and nothing of the URL or the environment
lost."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from urllib3.exceptions import HTTPError

from registry.chain.rpc import RpcChain
from registry.chain.rpc_provider import KeptProvider
from registry.errors import ChainUnavailable


class Node(ThreadingHTTPServer):
    """Answers every question with the name of its method; remembers who asked and how."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.callers: set[tuple[str, int]] = set()
        self.seen: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Node

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.callers.add(self.client_address)
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        body = json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": call["method"]}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_questions_share_one_connection(node: Node) -> None:
    provider = KeptProvider(node.url, 5)
    assert [provider.make_request("eth_x", [n])["result"] for n in range(3)] == ["eth_x"] * 3
    assert len(node.callers) == 1
    provider.close()


def test_a_status_other_than_200_is_a_node_that_does_not_answer(node: Node) -> None:
    node.status = 502
    with pytest.raises(HTTPError, match="502"):
        KeptProvider(node.url, 5).make_request("eth_x", [])
    with pytest.raises(ChainUnavailable, match="does not answer"):
        RpcChain([node.url], confirmations=0).head()


def test_the_name_and_password_of_the_url_are_sent(node: Node) -> None:
    KeptProvider(node.url.replace("//", "//ana:pw%20d@"), 5).make_request("eth_x", [])
    assert node.seen == [("/", "Basic " + base64.b64encode(b"ana:pw d").decode())]


def test_the_proxy_of_the_environment_is_used_unless_it_is_to_be_bypassed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", node.url)
    monkeypatch.setenv("no_proxy", "elsewhere.invalid")
    assert KeptProvider("http://node.invalid:8545/x", 5).make_request("eth_x", [])["result"] == "eth_x"
    assert node.seen[-1][0] == "http://node.invalid:8545/x"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    KeptProvider(node.url + "/y", 5).make_request("eth_x", [])
    assert node.seen[-1][0] == "/y"
