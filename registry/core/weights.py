"""Files of weights: which formats are taken, and what a file must be to be taken.

Nothing is ever loaded. A pickle runs code when it is read, so pickles and what carries them (torch's
archives, object arrays, joblib, HDF5 with Lambda layers) are refused by content, whatever the name says.
Formats with a parser here are checked to the last byte; the others are opaque and only searched for pickles.
"""

import bz2
import lzma
import pickletools
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import BinaryIO

from registry.core.weights_base import Tensor, length_of
from registry.core.weights_numpy import NPY_MAGIC, read_npy, read_npz
from registry.core.weights_onnx import read_onnx
from registry.core.weights_safetensors import read_safetensors
from registry.errors import Malformed

_PARSERS: Mapping[str, Callable[[BinaryIO], tuple[Tensor, ...]]] = MappingProxyType(
    {"safetensors": read_safetensors, "npz": read_npz, "npy": read_npy, "onnx": read_onnx}
)
_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        **{f".{name}": name for name in _PARSERS},
        **dict.fromkeys((".json", ".jsonl"), "json"),
        **dict.fromkeys((".txt", ".log"), "text"),
        **dict.fromkeys((".yaml", ".yml"), "yaml"),
        **dict.fromkeys((".jpg", ".jpeg"), "jpeg"),
        ".md": "markdown",
        **{f".{name}": name for name in ("gguf", "parquet", "csv", "toml", "xml", "ply", "obj", "glb")},
        **{f".{name}": name for name in ("png", "svg", "pdf")},
    }
)
OPAQUE, ENCRYPTED = "binary", "encrypted"
FORMATS = (*dict.fromkeys(_SUFFIXES.values()), OPAQUE, ENCRYPTED)

HEAD = 1 << 16
_HINT = "save the weights as safetensors"
_CONTAINERS = (
    (b"PK\x03\x04", "a ZIP archive, as torch and keras write"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5, as keras writes"),
)
_BINARY_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_RUNS_CODE = frozenset(
    (
        "GLOBAL",
        "STACK_GLOBAL",
        "INST",
        "OBJ",
        "NEWOBJ",
        "NEWOBJ_EX",
        "REDUCE",
        "BUILD",
        "EXT1",
        "EXT2",
        "EXT4",
    )
)


def format_of(path: str) -> str:
    """The format that a file's name announces; an unknown ending is opaque."""
    return _SUFFIXES.get(PurePosixPath(path).suffix.lower(), OPAQUE)


def inspect(name: str, file: BinaryIO) -> tuple[Tensor, ...]:
    """Check a seekable file against its format; answers its tensors, or none for what has no parser.

    Malformed says what is wrong. Encrypted files cannot be checked by anyone without their key.
    """
    if name not in FORMATS:
        raise Malformed(f"{name!r} is no format", hint=f"one of {', '.join(FORMATS)}")
    if name == ENCRYPTED:
        return ()
    if name in _PARSERS:
        return _PARSERS[name](file)
    refuse_pickle(file)
    return ()


def refuse_pickle(file: BinaryIO) -> None:
    """Refuse a file that is a pickle, plain or compressed, or that carries pickles."""
    length_of(file)
    head = file.read(HEAD)
    for magic, what in _CONTAINERS:
        if head.startswith(magic):
            raise Malformed(f"this file is {what}: it may hold pickles, which run code when read", hint=_HINT)
    # HDF5 may begin after a user block of 512, 1024, 2048, ... bytes.
    if any(head[1 << n :].startswith(_CONTAINERS[2][0]) for n in range(9, 16)):
        raise Malformed(f"this file is {_CONTAINERS[2][1]}, behind a user block", hint=_HINT)
    if head.startswith(NPY_MAGIC):
        read_npy(file)  # numpy knows it by its content too, and an array of objects is a pickle
    for shown in (head, _unpacked(head)):
        if _is_pickle(shown):
            raise Malformed("this file is a pickle, which runs code when read", hint=_HINT)


def _is_pickle(head: bytes) -> bool:
    if _BINARY_PICKLE.match(head):
        return True
    # Protocols 0 and 1 have no magic: it is one if it reads as one and would call something.
    calls = False
    try:
        for opcode, _, _ in pickletools.genops(head):
            calls = calls or opcode.name in _RUNS_CODE
            if opcode.name == "STOP":
                return calls
    except (ValueError, IndexError, KeyError, OverflowError, DeprecationWarning):
        # Cut off by HEAD, not wrong: what was read until there decides.
        return calls and len(head) == HEAD and head[:1] in b"(c]}"
    return False


def _unpacked(head: bytes) -> bytes:
    """The beginning of what the bytes are the compressed form of, as joblib writes; else nothing."""
    attempts: tuple[tuple[bytes, Callable[[], bytes]], ...] = (
        (b"\x1f\x8b", lambda: zlib.decompressobj(31).decompress(head, HEAD)),
        (b"\x78", lambda: zlib.decompressobj().decompress(head, HEAD)),
        (b"BZh", lambda: bz2.BZ2Decompressor().decompress(head, HEAD)),
        (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(memlimit=1 << 26).decompress(head, HEAD)),
        (b"\x5d\x00", lambda: lzma.LZMADecompressor(memlimit=1 << 26).decompress(head, HEAD)),
    )
    for magic, unpack in attempts:
        if head.startswith(magic):
            try:
                return unpack()
            except (zlib.error, lzma.LZMAError, OSError, EOFError):
                return b""
    return b""
