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
    return sha256(read_bytes(given))


def read_update(path: str) -> NDArray[np.float32]:
    """The values of an update's file."""
    return values_of(read_bytes(path), path)


def values_of(update: bytes, name: str = "the update") -> NDArray[np.float32]:
    """The values of a safetensors file, its tensors in the order of their names; else plain float32."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    # The length of a header, and its first character: bytes of two floats pass for both in no real update.
    length = int.from_bytes(update[:8], "little")
    if update[8:9] != b"{" or length > len(update) - 8:
        if not update or len(update) % 4:
            raise Malformed(f"{name} is neither a safetensors file nor float32 values")
        return np.frombuffer(update, dtype="<f4").astype(np.float32)
    try:
        tensors: dict[str, Any] = load(update)
    except (SafetensorError, KeyError) as e:
        raise Malformed(f"{name} is no safetensors file: {e}") from e
    if not tensors:
        raise Malformed(f"{name} holds no tensor")
    return np.concatenate([np.asarray(tensors[name], dtype=np.float32).ravel() for name in sorted(tensors)])


def read_bytes(path: str) -> bytes:
    """A file, or NotFound."""
    try:
        return Path(path).read_bytes()
    except OSError as e:
        raise NotFound(f"{path} cannot be read: {e}", hint="check the path") from e
