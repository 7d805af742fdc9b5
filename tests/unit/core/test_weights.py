"""Files of weights: a pickle is refused under every name, and no bytes make a parser fail otherwise."""

import bz2
import gzip
import io
import lzma
import pickle
import zlib
from contextlib import suppress

import numpy as np
import pytest
from arrays import ARRAY, ARRAYS, FEW, archive, npy, npz, read
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from registry.core.weights import FORMATS, HEAD, format_of, refuse_pickle
from registry.errors import Malformed


class Exploit:
    def __reduce__(self):
        return (print, ("a pickle ran",))


PICKLES = {
    **{f"protocol {p}": pickle.dumps(Exploit(), protocol=p) for p in range(6)},
    **{f"state dict {p}": pickle.dumps(ARRAY, protocol=p) for p in range(6)},
    "cut off": pickle.dumps({"w": np.zeros(HEAD)}, protocol=2)[:1000],
    "zlib": zlib.compress(pickle.dumps(Exploit())),
    "gzip": gzip.compress(pickle.dumps(Exploit(), protocol=0)),
    "bz2": bz2.compress(pickle.dumps(Exploit())),
    "xz": lzma.compress(pickle.dumps(Exploit())),
    "lzma": lzma.compress(pickle.dumps(Exploit()), format=lzma.FORMAT_ALONE),
    "torch archive": archive(**{"model/data__pkl": pickle.dumps(Exploit()), "model/data/0": b"1234"}),
    "keras archive": archive(config__json=b"{}", model__weights__h5=b"\x89HDF\r\n\x1a\n"),
    "object npy": npy(np.array([Exploit()], dtype=object)),
    "object npz": archive(w__npy=npy(np.array([Exploit()], dtype=object))),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "hdf5 after a user block": bytes(2048) + b"\x89HDF\r\n\x1a\n" + bytes(100),
}
CHECKED = ("safetensors", "npz", "npy", "onnx")


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", [*CHECKED, "binary", "text", "json", "gguf"])
def test_a_pickle_is_refused_under_every_name(kind, name):
    with pytest.raises(Malformed) as refusal:
        read(name, PICKLES[kind])
    assert refusal.value.hint


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"",
            b"{}",
            b"cell,rsrp_dbm\nacme/c1,-80.5\n",
            b"cell\nacme\nend.",
            b"(a, b)",
            b"# Card\n\nText.",
            bytes(5000),
        ),
        *(
            zlib.compress(b"plain"),
            gzip.compress(b"csv\n", mtime=0),
            b"\x78\x9c broken",
            b"\x1f\x8b broken",
            b"BZh9 broken",
        ),
        "наблюдения.".encode(),
    ],
)
def test_plain_files_are_taken_as_they_are(raw):
    assert read("binary", raw) == read("csv", raw) == ()


@FEW
@given(ARRAYS, st.integers(min_value=0), st.binary(min_size=1, max_size=4))
@pytest.mark.parametrize("name", ["safetensors", "npz", "npy"])
def test_changed_bytes_are_read_or_refused_and_nothing_else_is_raised(name, arrays, place, patch):
    write = {"safetensors": save, "npz": npz, "npy": lambda a: npy(next(iter(a.values())))}[name]
    raw = write(arrays)
    place %= len(raw)
    changed = raw[:place] + patch + raw[place + len(patch) :]
    try:
        read(name, changed)
    except Malformed:
        return
    if name == "npz":
        with np.load(io.BytesIO(changed), allow_pickle=False) as loaded:
            assert all(loaded[key] is not None for key in loaded.files)


@given(st.binary(max_size=300), st.sampled_from(FORMATS))
def test_any_bytes_are_read_or_refused_under_every_format(raw, name):
    with suppress(Malformed):
        read(name, raw)


@given(
    st.binary(max_size=60),
    st.sampled_from((b"c", b"(", b"S'", b"\x1f\x8b", b"\x78\x9c", b"BZh9", b"\x5d\0", b"V", b"I")),
)
def test_hostile_beginnings_are_read_or_refused(raw, start):
    with suppress(Malformed):
        refuse_pickle(io.BytesIO(start + raw))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("w.safetensors", "safetensors"), ("A/W.NPZ", "npz"), ("m.onnx", "onnx"), ("t.npy", "npy")),
        *(
            ("data.csv", "csv"),
            ("readme.md", "markdown"),
            ("w.pt", "binary"),
            ("w", "binary"),
            (".npz", "binary"),
        ),
    ],
)
def test_the_format_follows_from_the_ending(path, name):
    assert format_of(path) == name in FORMATS


def test_encrypted_files_are_not_looked_into_and_unknown_formats_are_refused():
    assert read("encrypted", PICKLES["protocol 4"]) == ()
    with pytest.raises(Malformed):
        read("pickle", b"")
