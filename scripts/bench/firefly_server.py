"""FireFly's own programs on loopback, a gateway to one chain, with the naive contract behind its REST.

The core keeps its records in PostgreSQL, the transaction manager in LevelDB, the signer has the key.
Between them and the node stands modules/firefly/connector, for the reason that is given there.
"""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from crowd import crowd, post
from engines import built, free_ports, module_folder, program
from eth_account import Account
from eth_account.signers.local import LocalAccount
from installation import RICH, ask_node, engine
from kit import NAIVE_GAS, naive_abi, naive_code, naive_values

from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender

VERSION = "1.4.0"  # as modules/firefly pins it
_API = "/api/v1/namespaces/default"
_PACKAGES = {
    "core": "github.com/hyperledger/firefly",
    "signer": "github.com/hyperledger/firefly-signer/ffsigner",
    "connector": "twinledger/bench/firefly/connector",
}
_PATIENCE_S = 180


class FireFly:
    """A running FireFly, and registrations in the naive contract to ask it for."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asked = 0

    def offer(self, place: str) -> None:
        """Make the contract a part of its REST, as its handbook has it."""
        offered = self._call("POST", "/contracts/interfaces/generate", {"input": {"abi": naive_abi()}})
        offered |= {"name": "naive", "version": "1"}
        made = self._call("POST", "/contracts/interfaces?confirm", offered)
        api = {"name": "naive", "interface": {"id": made["id"]}, "location": {"address": place}}
        self._call("POST", "/apis?confirm", api)

    def register(self, how_many: int, clients: int) -> float:
        """Seconds until so many new invocations have succeeded on the chain, by FireFly's own records."""
        options = {"gas": str(NAIVE_GAS), "value": "7"}
        requests = [
            post(f"{_API}/apis/naive/invoke/register", {"input": _inputs(number), "options": options})
            for number in range(self._asked, self._asked + how_many)
        ]
        self._asked += how_many
        start = time.perf_counter()
        crowd(self._port, requests, clients)
        while (done := self._succeeded()) < self._asked:
            if time.perf_counter() - start > _PATIENCE_S:
                raise RuntimeError(f"{done} of {self._asked} invocations succeeded within {_PATIENCE_S} s")
            time.sleep(0.05)
        return time.perf_counter() - start

    def _succeeded(self) -> int:
        query = "/operations?type=blockchain_invoke&status=Succeeded&limit=1&count=true"
        return int(self._call("GET", query)["total"])

    def _call(self, method: str, target: str, body: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, _API + target, sent, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status not in {200, 202}:
            raise RuntimeError(f"FireFly answered {method} {target} with {response.status}: {answer[:500]!r}")
        found: dict[str, Any] = json.loads(answer)
        return found


def _inputs(number: int) -> dict[str, Any]:
    values = naive_values(number)
    return values | {"parents": ["0x" + parent.hex() for parent in values["parents"]]}


@contextmanager
def firefly(folder: Path, rpc: str) -> Iterator[FireFly]:
    """Signer, connector and core over this node, with the naive contract deployed and offered."""
    programs = {name: built("firefly", package) for name, package in _PACKAGES.items()}
    folder.mkdir(mode=0o755)
    payer = Account.create()
    ask_node(rpc, "anvil_setBalance", payer.address, hex(10**24))
    core, connector, signer = free_ports(3)
    with ExitStack() as stack:
        database = stack.enter_context(engine("postgres", folder / "postgres"))["TWINLEDGER_POSTGRES"]
        settings = {
            "signer": _signer(folder, signer, rpc, payer),
            "connector": _connector(folder, connector, signer),
            "core": _core(core, connector, database.replace("+psycopg", "") + "?sslmode=disable", payer),
        }
        ports = {"signer": signer, "connector": connector, "core": core}
        for name, content in settings.items():
            path = folder / f"{name}.json"
            path.write_text(json.dumps({"log": {"level": "error"}, **content}))
            options = [str(path)] if name == "connector" else ["-f", str(path)]
            answers = f"http://127.0.0.1:{ports[name]}/"
            stack.enter_context(program([str(programs[name]), *options], folder / f"{name}.log", answers))
        found = FireFly(core)
        found.offer(_deployed(rpc))
        yield found


def _deployed(rpc: str) -> str:
    link = RpcChain([rpc], confirmations=0)
    try:
        return str(Sender(link, RICH).send(None, naive_code()).contract_address)
    finally:
        link.close()


def _signer(folder: Path, port: int, rpc: str, payer: LocalAccount) -> Mapping[str, Any]:
    wallet = folder / "wallet"
    wallet.mkdir()
    name = payer.address.lower().removeprefix("0x")
    keystore = payer.encrypt("bench", kdf="pbkdf2", iterations=1_000)
    (wallet / f"{name}.key.json").write_text(json.dumps(keystore))
    (wallet / "password").write_text("bench")
    return {
        "fileWallet": {
            "path": str(wallet),
            "defaultPasswordFile": str(wallet / "password"),
            "filenames": {"primaryExt": ".key.json"},
        },
        "server": {"address": "127.0.0.1", "port": port},
        "backend": {"url": rpc},
    }


def _connector(folder: Path, port: int, signer: int) -> Mapping[str, Any]:
    simple = {
        "maxInFlight": 1_000,
        "interval": "100ms",
        "fixedGasPrice": "0",
        "gasOracle": {"mode": "disabled"},
    }
    return {
        "connector": {"url": f"http://127.0.0.1:{signer}"},
        "api": {"address": "127.0.0.1", "port": port},
        "persistence": {"type": "leveldb", "leveldb": {"path": str(folder / "leveldb")}},
        "confirmations": {"required": 0, "fetchReceiptUponEntry": True},
        "transactions": {"handler": {"name": "simple", "simple": simple}},
    }


def _core(port: int, connector: int, database: str, payer: LocalAccount) -> Mapping[str, Any]:
    migrations = module_folder("firefly", "github.com/hyperledger/firefly") / "db" / "migrations" / "postgres"
    postgres = {"url": database, "migrations": {"auto": True, "directory": str(migrations)}}
    ethconnect = {"url": f"http://127.0.0.1:{connector}", "topic": "bench"}
    return {
        "http": {"address": "127.0.0.1", "port": port},
        "ui": {"enabled": False},
        "plugins": {
            "database": [{"name": "database", "type": "postgres", "postgres": postgres}],
            "blockchain": [{"name": "chain", "type": "ethereum", "ethereum": {"ethconnect": ethconnect}}],
        },
        "namespaces": {
            "default": "default",
            "predefined": [
                {
                    "name": "default",
                    "defaultKey": payer.address,
                    "plugins": ["database", "chain"],
                    "multiparty": {"enabled": False},
                }
            ],
        },
    }
