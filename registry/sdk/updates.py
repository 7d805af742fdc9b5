"""A model update on disk: what a contribution commits to and what a validator measures."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from registry.core.ids import parse_hex32, sha256
from registry.errors import Malformed, NotFound


def digest_of(given: str) -> bytes:
    """The sha-256 of a file, or the 32 bytes given as hex."""
    if given.startswith("0x"):
        return parse_hex32(given)
    return sha256(_read(given))


def read_update(path: str) -> NDArray[np.float32]:
    """The values of a safetensors file, its tensors in the order of their names."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, Any] = load(_read(path))
    except (SafetensorError, KeyError) as e:
        raise Malformed(f"{path} is no safetensors file: {e}") from e
    if not tensors:
        raise Malformed(f"{path} holds no tensor")
    return np.concatenate([np.asarray(tensors[name], dtype=np.float32).ravel() for name in sorted(tensors)])


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as e:
        raise NotFound(f"{path} cannot be read: {e}", hint="check the path") from e
