"""Content identifiers: one text for one content."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.cid import DAG_PB, RAW, Cid, manifest_cid, weights_cid
from registry.errors import Malformed

CIDS = st.builds(Cid, st.sampled_from((RAW, DAG_PB)), st.binary(min_size=32, max_size=32))
EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


@given(CIDS)
def test_text_and_bytes_name_the_same_content(cid):
    assert Cid.parse(str(cid)) == cid == Cid.of_raw(cid.raw)
    assert (len(str(cid)), len(cid.raw)) == (59, 36)


def test_the_empty_file_has_the_name_that_ipfs_gives_it():
    assert Cid.parse(EMPTY).digest.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_32_bytes_on_chain_are_the_cid():
    assert manifest_cid(bytes(32)).raw == bytes.fromhex("01551220") + bytes(32)
    assert weights_cid(bytes(32)).raw == bytes.fromhex("01701220") + bytes(32)


@pytest.mark.parametrize(
    "text",
    [
        "",
        EMPTY.upper(),
        EMPTY[:-1],
        EMPTY + "a",
        EMPTY + "=",
        EMPTY[:-1] + "v",  # the same bytes with stray low bits
        "B" + EMPTY[1:],
        "z" + EMPTY[1:],
        "b" + "é" * 58,
        "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
        "b" + base64.b32encode(b"\1\x71\x12\x20" + bytes(32)).decode().lower().rstrip("="),  # dag-cbor
        "b" + base64.b32encode(b"\1\x55\x1b\x20" + bytes(32)).decode().lower().rstrip("="),  # keccak-256
        "b" + base64.b32encode(b"\0\x55\x12\x20" + bytes(32)).decode().lower().rstrip("="),
    ],
)
def test_every_other_spelling_is_malformed(text):
    with pytest.raises(Malformed):
        Cid.parse(text)


@given(CIDS, st.integers(0, 58), st.characters())
def test_a_changed_character_is_another_content_or_malformed(cid, place, character):
    text = str(cid)
    changed = text[:place] + character + text[place + 1 :]
    try:
        assert str(Cid.parse(changed)) == changed
    except Malformed:
        assert changed != text


@given(st.binary(max_size=40))
def test_raw_bytes_are_a_cid_or_malformed(raw):
    with suppress(Malformed):
        assert Cid.of_raw(raw).raw == raw
