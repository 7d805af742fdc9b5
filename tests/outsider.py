"""A program that knows only the interface: raw HTTP, and its own EIP-712, CIDs, directories and notes."""

import base64
import hashlib
import http.client
import json
import secrets
import struct
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

_VERSION = (
    "uint64 namespaceId,bytes32 nameHash,bytes32 weightsRoot,bytes32 manifest,"
    "bytes32[] parents,uint64 size,bytes32 salt,address submitter"
)
_SUBMISSION = "Version version,uint8 feeClass,uint128 maxPrice,uint64 issuedAt,uint64 deadline"
_REQUEST = "string method,string target,bytes32 bodySha256,uint64 created,bytes32 nonce,string cell"
NOTHING = bytes(32)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Twin:
    """One version, made by hand: its bytes, its struct and its payment terms."""

    weights: bytes
    manifest: bytes
    version: dict[str, Any]
    terms: dict[str, Any]

    @property
    def id(self) -> str:
        v = self.version
        words = [
            keccak(f"Version({_VERSION})".encode()),
            v["namespaceId"].to_bytes(32, "big"),
            *(v[name] for name in ("nameHash", "weightsRoot", "manifest")),
            keccak(b"".join(v["parents"])),
            v["size"].to_bytes(32, "big"),
            v["salt"],
            bytes(12) + bytes.fromhex(v["submitter"][2:]),
        ]
        return hx(keccak(b"".join(words)))

    @property
    def abi(self) -> tuple[Any, ...]:
        return tuple(self.version.values())


class Outsider:
    """Talks to one installation with the key in its home."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.settings = tomllib.loads((home / "client.toml").read_text())
        self.trust = json.loads((home / "trust.json").read_text())
        keystore = json.loads((home / "keys" / "development.json").read_text())
        self.account: LocalAccount = Account.from_key(Account.decrypt(keystore, ""))
        self._where = urlsplit(url or self.settings["url"])

    def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection(self._where.hostname or "", self._where.port, timeout=120)
        try:
            connection.request(method, target, body or None, dict(headers or {}))
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def post(self, target: str, value: object, headers: Mapping[str, str] | None = None) -> Reply:
        return self.ask("POST", target, json.dumps(value).encode(), headers)

    def get(self, target: str) -> Any:
        reply = self.ask("GET", target)
        assert reply.status == 200, reply.body
        return reply.json

    def typed(self, name: str, message: Mapping[str, Any], account: LocalAccount | None = None) -> str:
        kinds = {"Version": _VERSION, "Submission": _SUBMISSION, "Request": _REQUEST}
        domain = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
        needed = ("Request",) if name == "Request" else ("Version", "Submission")
        types = {kind: [_field(text) for text in kinds[kind].split(",")] for kind in needed}
        full = {
            "types": {"EIP712Domain": [{"name": k, "type": t} for k, t in domain.items()], **types},
            "primaryType": name,
            "domain": {
                "name": "TwinLedger",
                "version": "1",
                "chainId": self.settings["chain_id"],
                "verifyingContract": self.settings["registry"],
            },
            "message": dict(message),
        }
        signed = (account or self.account).sign_message(encode_typed_data(full_message=full))
        return hx(bytes(signed.signature))

    def authorization(
        self, method: str, target: str, digest: bytes, *, cell: str = "", age: int = 0
    ) -> dict[str, str]:
        created, nonce = int(time.time()) - age, secrets.token_bytes(32)
        message = {"method": method, "target": target, "bodySha256": digest, "created": created}
        signature = self.typed("Request", {**message, "nonce": nonce, "cell": cell})
        parts = f"address={self.account.address}, created={created}, nonce={hx(nonce)}"
        return {"Authorization": f'TwinLedger {parts}, cell="{cell}", signature={signature}'}

    def twin(self, name: str, seed: int, parents: Sequence[str] = (), **given: object) -> Twin:
        weights = safetensors(seed)
        account = self.get(f"/v1/accounts/{self.account.address}")
        file = {
            "path": "twin.safetensors",
            "cid": text_cid(raw_cid(weights)),
            "sha256": hx(hashlib.sha256(weights).digest()),
            "size": len(weights),
            "format": "safetensors",
        }
        fields = {"schema": "twinledger/manifest/1", "namespace": "local", "name": name, "files": [file]}
        manifest = canonical({**fields, "profile": "unixfs-v1-2025", "parents": list(parents), **given})
        version = {
            "namespaceId": account["namespace_id"],
            "nameHash": keccak(name.encode()),
            "weightsRoot": hashlib.sha256(_directory(file["path"], weights)).digest(),
            "manifest": hashlib.sha256(manifest).digest(),
            "parents": [bytes.fromhex(parent[2:]) for parent in parents],
            "size": len(weights) + len(manifest),
            "salt": NOTHING,
            "submitter": self.account.address,
        }
        price = 2 * int(self.get("/v1/fees/menu")["standard"]["price"])
        now = account["chain_time"]
        terms = {
            "version": version,
            "feeClass": 0,
            "maxPrice": price,
            "issuedAt": now,
            "deadline": now + 3600,
        }
        return Twin(weights, manifest, version, terms)

    def signed(self, twin: Twin, account: LocalAccount | None = None) -> dict[str, Any]:
        v, t = twin.version, twin.terms
        version = {
            "namespace_id": v["namespaceId"],
            "name_hash": hx(v["nameHash"]),
            "weights_root": hx(v["weightsRoot"]),
            "manifest": hx(v["manifest"]),
            "parents": [hx(parent) for parent in v["parents"]],
            "size": v["size"],
            "salt": hx(v["salt"]),
            "submitter": v["submitter"],
        }
        terms = {"fee_class": 0, "max_price": str(t["maxPrice"]), "issued_at": t["issuedAt"]}
        submission = {"version": version, **terms, "deadline": t["deadline"]}
        return {"submission": submission, "signature": self.typed("Submission", t, account)}

    def upload(self, twin: Twin) -> None:
        for content in (twin.weights, twin.manifest):
            reply = self.ask("PUT", f"/v1/content/{text_cid(raw_cid(content))}", content)
            assert reply.status == 200, reply.body

    def seal(self, twin: Twin) -> dict[str, Any]:
        """The final status of a twin that goes all the way."""
        self.upload(twin)
        reply = self.post("/v1/submissions", self.signed(twin))
        assert reply.status == 202, reply.body
        for _ in range(20):
            status: dict[str, Any] = self.get(f"/v1/submissions/{twin.id}?wait_s=10")
            if status["state"] == "final":
                return status
        raise AssertionError(status)

    def transaction(self, to: str, data: bytes, *, value: int = 0, market: bool = False) -> dict[str, str]:
        account = self.get(f"/v1/accounts/{self.account.address}")
        price = {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0} if market else {"gasPrice": 0}
        call = {"to": to, "data": data, "value": value, "gas": 800_000, "nonce": account["nonce"]}
        signed = self.account.sign_transaction({**call, **price, "chainId": self.settings["chain_id"]})
        return {"raw_transaction": hx(bytes(signed.raw_transaction))}

    def log_key(self, origin: str) -> Ed25519PublicKey:
        (key,) = (log["key"] for log in self.trust["logs"] if log["origin"] == origin)
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(key.split("+", 2)[2])[1:])

    def check_promise(self, promise: Mapping[str, Any]) -> None:
        """Raises InvalidSignature unless the log named in trust.json promised exactly this."""
        signed = canonical({name: value for name, value in promise.items() if name != "signature"})
        self.log_key(promise["log"]).verify(bytes.fromhex(promise["signature"][2:]), signed)


def safetensors(seed: int) -> bytes:
    data = hashlib.shake_256(seed.to_bytes(8, "big")).digest(64)
    header = json.dumps({"w": {"dtype": "U8", "shape": [64], "data_offsets": [0, 64]}}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def canonical(value: object) -> bytes:
    """RFC 8785 for what these tests write: ASCII names, integers, strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def raw_cid(data: bytes) -> bytes:
    return b"\x01\x55\x12\x20" + hashlib.sha256(data).digest()


def text_cid(cid: bytes) -> str:
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def hx(data: bytes) -> str:
    return "0x" + data.hex()


def _directory(name: str, content: bytes) -> bytes:
    """The dag-pb UnixFS directory of one small file."""
    link = _part(1, raw_cid(content)) + _part(2, name.encode()) + b"\x18" + _varint(len(content))
    return _part(2, link) + _part(1, b"\x08\x01")


def _part(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + _varint(number >> 7)


def _field(text: str) -> dict[str, str]:
    kind, name = text.split()
    return {"name": name, "type": kind}
