"""Rekor v2's own server on loopback, with entries to send it and a reader of its tiles."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from crowd import crowd, post
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from engines import built, free_ports, program

from registry.core.checkpoint import Checkpoint
from registry.core.merkle import Frontier, leaf_hash
from registry.core.note import Note
from registry.core.tiles import ENTRIES, decode_bundle, tile_path, tiles_of

VERSION = "2.3.0"  # as modules/rekor pins it
PACKAGE = "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"


class Rekor:
    """One running log, and many keys that sign for it in turn."""

    def __init__(self, port: int, folder: Path, keys: int) -> None:
        self._port = port
        self._folder = folder
        self._keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(keys)]
        self._signed = 0

    def send(self, how_many: int, clients: int) -> float:
        """Seconds until new entries are in the log under a checkpoint; their signing is not timed."""
        requests = [self._entry(number) for number in range(self._signed, self._signed + how_many)]
        self._signed += how_many
        took, answers = crowd(self._port, requests, clients)
        proofs = [json.loads(answer)["inclusionProof"] for answer in answers]
        if len(proofs) != how_many or not all(proof["checkpoint"]["envelope"] for proof in proofs):
            raise RuntimeError("Rekor answered without a checkpoint")
        return took

    def public_key(self, number: int) -> str:
        """A key as an entry names it."""
        public = self._keys[number].public_key()
        return b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    def of_key(self, public_key: str) -> tuple[list[bytes], int]:
        """Every entry of one key, and how many bytes were read for it.

        A log without an index has one way to know that none is missing: read all, check them against the
        checkpoint's root, look at each. From the files themselves, without a server between.
        """
        note = (self._folder / "checkpoint").read_bytes()
        at = Checkpoint.parse(Note.parse(note).text)
        tree, found, read = Frontier(), list[bytes](), len(note)
        for tile in tiles_of(at.size):
            if tile.level != ENTRIES:
                continue
            raw = (self._folder / tile_path(tile)).read_bytes()
            read += len(raw)
            entries = decode_bundle(raw, tile.width)
            tree.extend(map(leaf_hash, entries), step=1)
            found += [entry for entry in entries if public_key.encode() in entry]
        if tree.root() != at.root:
            raise RuntimeError("Rekor's entries are not those of its checkpoint")
        return found, read

    def __len__(self) -> int:
        return Checkpoint.parse(Note.parse((self._folder / "checkpoint").read_bytes()).text).size

    def _entry(self, number: int) -> bytes:
        key = number % len(self._keys)
        digest = sha256(number.to_bytes(8, "big")).digest()
        signature = self._keys[key].sign(digest, ec.ECDSA(Prehashed(SHA256())))
        verifier = {
            "publicKey": {"rawBytes": self.public_key(key)},
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        }
        signed = {"content": b64encode(signature).decode(), "verifier": verifier}
        asked = {"digest": b64encode(digest).decode(), "signature": signed}
        return post("/api/v2/log/entries", {"hashedRekordRequestV002": asked})


@contextmanager
def rekor(folder: Path, checkpoint_interval: str, keys: int) -> Iterator[Rekor]:
    """A fresh log that stores in files; no witness, antispam or request log: it is spared all three."""
    binary = built("rekor", PACKAGE)
    folder.mkdir()
    secret = folder / "signer.pem"
    secret.touch(mode=0o600)
    signer = ed25519.Ed25519PrivateKey.generate()
    secret.write_bytes(signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    http, grpc, metrics = map(str, free_ports(3))
    command = [str(binary), "serve", "--hostname", "bench", "--log-level", "warn"]
    command += ["--http-port", http, "--grpc-port", grpc, "--http-metrics-port", metrics]
    command += ["--storage-dir", str(folder / "tiles"), "--signer-filepath", str(secret)]
    command += ["--checkpoint-interval", checkpoint_interval]
    with program(command, folder / "log", f"http://127.0.0.1:{http}/healthz"):
        yield Rekor(int(http), folder / "tiles", keys)
