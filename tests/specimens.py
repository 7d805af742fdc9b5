"""One valid input of every format that comes from outside, to be spoiled."""

import io

import numpy as np
from safetensors.numpy import save

from registry.core.access import authorize
from registry.core.checkpoint import Checkpoint
from registry.core.cid import Cid
from registry.core.ids import Address, sha256
from registry.core.log import LogEntry
from registry.core.manifest import FileEntry, build_manifest
from registry.core.note import Note, NoteSigner
from registry.core.promise import make_promise
from registry.core.signing import KeySigner
from registry.core.tiles import encode_bundle
from registry.core.tlogproof import TlogProof
from registry.core.transaction import Transaction, sign_transaction
from registry.core.version import Domain
from registry.storage.car import write_car
from registry.storage.dagpb import uvarint
from registry.storage.unixfs import directory, import_file

SIGNER = KeySigner(b"\5" * 32)
NOWHERE = Address("0x" + "00" * 20)
HEX = "0x" + "ab" * 32
BLOCKS: dict[Cid, bytes] = {}
FILE = import_file([b"a" * 3000], lambda cid, block: BLOCKS.setdefault(cid, block))
DIRECTORY = directory({"weights": FILE}, lambda cid, block: BLOCKS.setdefault(cid, block))
NODE = BLOCKS[DIRECTORY.cid]
CAR = b"".join(write_car((DIRECTORY.cid,), BLOCKS.items()))
MANIFEST = build_manifest(
    "acme", "twin", [FileEntry("w.bin", FILE.cid, b"\1" * 32, 3000, "safetensors")], (), {"tags": ["a"]}
)
TRANSACTION = sign_transaction(Transaction(7, 1, 10**9, 21_000, NOWHERE, 0, b"\1\2\3\4"), SIGNER)
HEADER = authorize(
    SIGNER,
    Domain(7, NOWHERE),
    method="GET",
    target="/v1/models",
    body_sha256=sha256(b""),
    created=1_790_000_000,
    nonce=b"\3" * 32,
    cell="acme/tower",
)


def _archive() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, a=np.ones((2, 3), "float32"), b=np.arange(4))
    return out.getvalue()


def _array() -> bytes:
    out = io.BytesIO()
    np.save(out, np.ones((2, 3), "float32"))
    return out.getvalue()


def _message(field: int, body: bytes) -> bytes:
    return uvarint(field << 3 | 2) + uvarint(len(body)) + body


_TENSOR = b"\x08\x02\x10\x01" + _message(8, b"w") + _message(9, b"\0" * 8)
ONNX = b"\x08\x08" + _message(7, _message(1, _message(1, b"x")) + _message(2, b"g") + _message(5, _TENSOR))
WEIGHTS = (save({"w": np.ones((2, 3), "float32")}), _archive(), _array(), ONNX)
LOG_SIGNER = NoteSigner("example.com/log", b"\6" * 32)
CHECKPOINT = Checkpoint("example.com/log", 1, sha256(b"root"), sha256(b"map"), 1_790_000_000)
NOTE = Note(CHECKPOINT.text, (LOG_SIGNER.sign_note(CHECKPOINT.text),)).encode()
PROOF = TlogProof(0, (sha256(b"a"), sha256(b"b")), NOTE, b"extra").encode()
ENTRY = LogEntry("retrieval", 1_790_000_000, SIGNER.address, model="acme/twin", details={"bytes": 3})
BUNDLE = encode_bundle([ENTRY.encode(), b"second"])
PROMISE = make_promise(LOG_SIGNER, "example.com/log", ENTRY.encode(), issued=1_790_000_000, merge_delay_s=10)
TRUST = {
    "schema": "twinledger/trust/1",
    "chain_id": 7,
    "genesis_hash": HEX,
    "contracts": {"twin_registry": {"address": SIGNER.address, "code_hash": HEX}},
    "sealers": [SIGNER.address],
    "council_head": None,
    "logs": [{"origin": "example.com/log", "key": str(LOG_SIGNER.key)}],
    "witnesses": [{"name": "example.com/log", "key": str(LOG_SIGNER.key)}],
    "quorum": 1,
}
SUBMISSION = {
    "submission": {
        "version": {
            "namespace_id": 1,
            "name_hash": HEX,
            "weights_root": HEX,
            "manifest": HEX,
            "parents": [HEX],
            "size": 10,
            "salt": HEX,
            "submitter": SIGNER.address,
        },
        "fee_class": 0,
        "max_price": "100",
        "issued_at": 1_790_000_000,
        "deadline": 1_790_000_100,
    },
    "signature": "0x" + "11" * 65,
}
