"""The average of a round, the same on every machine: what an aggregator states and a challenge recomputes.

Each update is float32; the sum of samples x update runs in double precision, device by device in the order
of their addresses, and is divided once. IEEE 754 fixes every one of these steps, so the bytes are too.

>>> from registry.core.ids import to_address
>>> average({to_address("0x" + "0a" * 20): (1, np.float32([1, 0])),
...          to_address("0x" + "0b" * 20): (3, np.float32([5, 2]))}).tolist()
[4.0, 1.5]
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from registry.core.ids import Address, address_bytes, sha256
from registry.errors import Malformed


def average(updates: Mapping[Address, tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """The mean of (samples, update) by device, weighted by samples; equally when no device states any."""
    if not updates:
        raise Malformed("nothing has no average")
    ordered = [updates[device] for device in sorted(updates, key=address_bytes)]
    if len({len(update) for _, update in ordered}) != 1:
        raise Malformed("updates of different lengths have no average")
    total = sum(samples for samples, _ in ordered)
    running = np.zeros(len(ordered[0][1]), dtype=np.float64)
    for samples, update in ordered:
        running += np.float64(samples if total else 1) * update.astype(np.float64)
    return np.asarray(running / np.float64(total or len(ordered)), dtype=np.float32)


def average_bytes(mean: NDArray[np.float32]) -> bytes:
    """An average as it is written: float32, little-endian."""
    return np.asarray(mean, dtype="<f4").tobytes()


def average_digest(mean: NDArray[np.float32]) -> bytes:
    """The sha-256 of an average as it is written."""
    return sha256(average_bytes(mean))
