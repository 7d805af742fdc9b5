"""What an update's bytes mean: a safetensors file or plain float32, and never one for the other."""

import numpy as np
import pytest
from safetensors.numpy import save

from registry.errors import Malformed
from registry.sdk.updates import values_of


def test_a_safetensors_file_is_its_tensors_by_name():
    raw = save({"b": np.float32([[3, 4]]), "a": np.float32([1, 2])})
    assert values_of(raw).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("third", [b"{\0\0\0", b'{"a"', b"{{{{"])
def test_floats_that_begin_like_a_header_stay_floats(third):
    values = np.float32([0.25, -1.5])
    raw = values.tobytes() + third + np.float32([7]).tobytes()
    assert values_of(raw)[[0, 1, 3]].tolist() == [0.25, -1.5, 7]


@pytest.mark.parametrize("raw", [b"", b"\0\0\0", b"\x02" + bytes(7) + b"{}", b"\x04" + bytes(7) + b"{no}"])
def test_what_is_neither_is_malformed(raw):
    with pytest.raises(Malformed):
        values_of(raw)
