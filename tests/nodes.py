"""Development nodes beside the product: the rich account, a probe contract, JSON-RPC, a front before one."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from registry.chain.sender import Sender
from registry.core.ids import Address
from registry.core.signing import KeySigner

# The first account of anvil's well-known mnemonic, funded on every development network.
RICH = KeySigner(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
PROBE = json.loads((Path(__file__).parent / "vectors/data/probe_contract.json").read_text())


def ask(url: str, method: str, *params: object) -> Any:
    """One JSON-RPC call that must succeed."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert "error" not in answer, answer
    return answer["result"]


def create_probe(sender: Sender) -> Address:
    """A contract that stores a word and answers, refuses or breaks as its first word says."""
    address = sender.send(None, bytes.fromhex(PROBE["creation"][2:])).contract_address
    assert address is not None
    return address


def words(*values: int) -> bytes:
    """Call data for the probe."""
    return b"".join(value.to_bytes(32, "big") for value in values)


class Front(BaseHTTPRequestHandler):
    """Passes requests on to a real node, but for those that it answers itself."""

    behind = ""
    answered = 0

    @classmethod
    @contextmanager
    def standing(cls) -> Iterator[str]:
        """It listens at this URL meanwhile."""
        with ThreadingHTTPServer(("127.0.0.1", 0), cls) as server:
            threading.Thread(target=server.serve_forever).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()

    def own(self, call: dict[str, Any]) -> dict[str, Any] | None:
        """The result or the error that the node would not give; None to ask the node."""
        return None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = json.loads(body)
        own = self.own(call)
        if own is not None:
            type(self).answered += 1
            self._answer(json.dumps({"jsonrpc": "2.0", "id": call["id"], **own}).encode())
            return
        request = urllib.request.Request(self.behind, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as response:
            self._answer(response.read())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""
