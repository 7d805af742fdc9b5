"""A twin's weights as safetensors: `layer.N.weight` and `layer.N.bias`, float32."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from registry.demo.learner import Twin, layers
from registry.errors import VerificationFailed


def write_twin(twin: Twin, path: Path) -> None:
    """Write the weights; the same twin always gives the same bytes."""
    tensors = {}
    for i, (weight, bias) in enumerate(layers(twin)):
        tensors[f"layer.{i}.weight"] = np.ascontiguousarray(weight, dtype=np.float32)
        tensors[f"layer.{i}.bias"] = np.ascontiguousarray(bias, dtype=np.float32)
    save_file(tensors, path)


def read_twin(path: Path, sizes: tuple[int, ...]) -> Twin:
    """Read weights of exactly these layer sizes; anything else is VerificationFailed."""
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as e:
        raise VerificationFailed(f"{path.name} is not a readable safetensors file: {e}") from e
    expected: dict[str, tuple[int, ...]] = {}
    for i, (m, n) in enumerate(pairwise(sizes)):
        expected[f"layer.{i}.weight"], expected[f"layer.{i}.bias"] = (m, n), (n,)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != expected:
        raise VerificationFailed(f"{path.name} holds {found}, a twin of sizes {sizes} was expected")
    if not all(np.isfinite(t).all() for t in tensors.values()):
        raise VerificationFailed(f"{path.name} holds values that are not finite")
    ordered = [tensors[name].astype(np.float64).ravel() for name in expected]
    return Twin(sizes, np.concatenate(ordered))
