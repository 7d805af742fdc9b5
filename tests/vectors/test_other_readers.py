"""Readers that share no code with ours read both logs: one from the specifications alone, one in Go."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from registry.audit.chainlog import ChainEvent, ChainLog
from registry.audit.logstore import LogStore
from registry.audit.publisher import publish_once
from registry.audit.witness import Witness
from registry.core.ids import address_of
from registry.core.log import LogEntry
from registry.core.note import COSIGNATURE, NoteSigner
from registry.core.tiles import tile_path, tiles_of

SIZES = [1, 200, 256, 300, 700]


def gateway_entries(log: LogStore, first: int, end: int) -> None:
    log.append([LogEntry("retrieval", number, details={"bytes": number}) for number in range(first, end)])


def chain_entries(log: LogStore, first: int, end: int) -> None:
    chain = ChainLog(log, lambda: log.entry(len(log) - 1) if len(log) else None)
    who = address_of(bytes(19) + b"\x01")
    args = {"account": who, "from": who, "amount": 1}
    chain.extend(
        ChainEvent("TwinRegistry", "Deposited", args, number, number, bytes(32), 0)
        for number in range(first, end)
    )


@pytest.fixture(params=["gateway.example/log", f"31337/{address_of(bytes(20))}"], ids=["gateway", "chain"])
def files(request, tmp_path) -> Iterator[tuple[Path, str, str]]:
    """A log with co-signed checkpoint, as static files; its key and its witness's."""
    signer = NoteSigner(request.param, sha256(b"key").digest())
    log = LogStore(tmp_path / "log.db", signer, lambda: 1_700_000_000)
    cosigner = NoteSigner("witness.example/w", sha256(b"witness").digest(), COSIGNATURE)
    witness = Witness(
        tmp_path / "witness", cosigner, {request.param: [signer.key]}, lambda _, path: log.tile(path),
        lambda: 1_700_000_001,
    )  # fmt: skip
    fill = chain_entries if request.param[0].isdigit() else gateway_entries
    for first, end in zip([0, *SIZES], SIZES, strict=False):
        fill(log, first, end)
        assert publish_once(log, [witness], {}).cosigned_by
    folder = tmp_path / "public"
    for path in ["checkpoint", *map(tile_path, tiles_of(SIZES[-1]))]:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(log.checkpoint() if path == "checkpoint" else log.tile(path))
    yield folder, str(signer.key), str(cosigner.key)
    witness.close()
    log.close()


def h(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def key_of(text: str, kind: int) -> tuple[str, bytes, Ed25519PublicKey]:
    name, key_id, encoded = text.split("+", 2)
    raw = base64.b64decode(encoded)
    assert raw[0] == kind
    assert h(name.encode(), b"\n", raw)[:4].hex() == key_id
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(raw[1:])


def signature_of(note: str, name: str, key_id: bytes) -> bytes:
    for line in note.rpartition("\n\n")[2].splitlines():
        dash, who, encoded = line.split(" ")
        raw = base64.b64decode(encoded)
        if dash == "—" and who == name and raw[:4] == key_id:
            return raw[4:]
    raise AssertionError(f"no signature of {name}")


def numbered(index: int) -> str:
    text = f"{index:03d}"
    text = text.zfill(-(-len(text) // 3) * 3)
    groups = [text[i : i + 3] for i in range(0, len(text), 3)]
    return "/".join(["x" + group for group in groups[:-1]] + groups[-1:])


def mth(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return h(b"\x01", mth(leaves[:k]), mth(leaves[k:]))


def test_a_reader_from_the_specifications_alone_reads_the_log(files) -> None:
    folder, log_key, witness_key = files
    note = (folder / "checkpoint").read_text()
    text = note.rpartition("\n\n")[0] + "\n"
    name, key_id, key = key_of(log_key, 1)
    key.verify(signature_of(note, name, key_id), text.encode())
    name, key_id, key = key_of(witness_key, 4)
    line = signature_of(note, name, key_id)
    time = int.from_bytes(line[:8], "big")
    key.verify(line[8:], f"cosignature/v1\ntime {time}\n{text}".encode())

    origin, size_text, root_text = text.splitlines()[:3]
    assert origin == log_key.split("+")[0]
    size, root = int(size_text), base64.b64decode(root_text)
    level, hashes = 0, []
    for index in range(0, size, 256):
        width = min(256, size - index)
        part = "" if width == 256 else f".p/{width}"
        tile = (folder / f"tile/0/{numbered(index // 256)}{part}").read_bytes()
        bundle = (folder / f"tile/entries/{numbered(index // 256)}{part}").read_bytes()
        for place in range(width):
            length = int.from_bytes(bundle[:2], "big")
            assert h(b"\x00", bundle[2 : 2 + length]) == tile[32 * place : 32 * place + 32]
            bundle = bundle[2 + length :]
            hashes.append(tile[32 * place : 32 * place + 32])
        assert bundle == b""
    assert mth(hashes) == root
    upper = [mth(hashes[i : i + 256]) for i in range(0, size - 255, 256)]
    assert (folder / f"tile/{level + 1}/000.p/{len(upper)}").read_bytes() == b"".join(upper)


@pytest.fixture(scope="session")
def go_reader(tmp_path_factory) -> Path:
    """The Go program, built; skipped where Go or its modules are not to be had."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    program = tmp_path_factory.mktemp("go") / "reader"
    source = Path(__file__).parent / "go_reader"
    built = subprocess.run(
        ["go", "build", "-o", str(program), "."], cwd=source, capture_output=True, text=True, timeout=300
    )
    if built.returncode:
        pytest.skip(f"the Go reader cannot be built: {built.stderr[-300:]}")
    return program


def test_the_go_checksum_databases_own_code_reads_the_log(files, go_reader) -> None:
    folder, log_key, witness_key = files
    command = [str(go_reader), str(folder), log_key, witness_key, *map(str, SIZES[:-1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{log_key.split('+')[0]} holds 700 entries\n"


def test_the_go_reader_refuses_a_flipped_tile(files, go_reader) -> None:
    folder, log_key, witness_key = files
    tile = folder / "tile/0/001"
    raw = bytearray(tile.read_bytes())
    raw[40] ^= 1
    tile.write_bytes(bytes(raw))
    done = subprocess.run(
        [str(go_reader), str(folder), log_key, witness_key], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
