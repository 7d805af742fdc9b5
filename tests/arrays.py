"""Weights as numpy writes them, for the tests of those that read them."""

import io
import zipfile

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from registry.core.weights import inspect

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


DTYPES = st.sampled_from(("<f4", "<f8", "<f2", "<i8", "<i4", "|u1", "|b1"))
ARRAYS = st.dictionaries(
    st.text("abcw_0", min_size=1, max_size=6),
    DTYPES.flatmap(lambda d: nps.arrays(d, nps.array_shapes(min_dims=0, max_dims=3, max_side=4))),
    min_size=1,
    max_size=4,
)


ARRAY = {"w": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.zeros(3, "<f8")}


def read(name, raw):
    return inspect(name, io.BytesIO(raw))


def npz(arrays, **options):
    buffer = io.BytesIO()
    (np.savez_compressed if options.get("packed") else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, raw in members.items():
            z.writestr(name.replace("__", "."), raw)
    return buffer.getvalue()
