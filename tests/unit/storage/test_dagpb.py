"""dag-pb and UnixFS messages have one spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.cid import DAG_PB, RAW, Cid
from registry.errors import Malformed
from registry.storage.dagpb import (
    DIRECTORY,
    FILE,
    Node,
    NodeLink,
    UnixFs,
    decode_node,
    decode_unixfs,
    encode_node,
    encode_unixfs,
    read_uvarint,
    uvarint,
)

CIDS = st.builds(Cid, st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32))
SIZES = st.integers(0, 2**62)
LINKS = st.builds(NodeLink, CIDS.map(lambda c: c.raw), st.binary(max_size=20), SIZES)


@given(links=st.lists(LINKS, max_size=5).map(tuple), data=st.none() | st.binary(max_size=30))
def test_a_node_is_read_as_written(links: tuple[NodeLink, ...], data: bytes | None) -> None:
    assert decode_node(encode_node(links, data)) == Node(links, data)


@given(
    st.builds(
        UnixFs,
        st.sampled_from([FILE, DIRECTORY]),
        st.none() | st.binary(max_size=9),
        st.none() | SIZES,
        st.lists(SIZES, max_size=4).map(tuple),
    )
)
def test_a_unixfs_message_is_read_as_written(message: UnixFs) -> None:
    assert decode_unixfs(Node((), encode_unixfs(message))) == message


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_their_own_canonical_form_or_malformed(raw: bytes) -> None:
    try:
        node = decode_node(raw)
    except Malformed:
        return
    assert encode_node(node.links, node.data) == raw


@given(SIZES)
def test_a_varint_is_read_as_written(number: int) -> None:
    assert read_uvarint(uvarint(number), 0) == (number, len(uvarint(number)))


CID = Cid(RAW, bytes(32)).raw


@pytest.mark.parametrize(
    ("why", "block"),
    [
        ("data before links", b"\x0a\x02\x08\x01" + encode_node((NodeLink(CID, b"", 1),), None)),
        ("no name in the link", b"\x12\x28\x0a\x24" + CID + b"\x18\x01"),
        ("a long varint", b"\x0a\x82\x00\x08\x01"),
        ("a varint without end", b"\x0a" + b"\x80" * 20),
        ("an unknown field", b"\x1a\x01x"),
        ("a length over the end", b"\x0a\x09x"),
        ("a link to no CID", encode_node((NodeLink(b"\x01\x55nonsense", b"", 1),), None)),
        ("a tag and nothing", b"\x0a"),
    ],
)
def test_another_spelling_is_refused(why: str, block: bytes) -> None:
    with pytest.raises(Malformed):
        decode_node(block)


@pytest.mark.parametrize("data", [None, b"", b"\x08\x05", b"\x08\x04", b"\x18\x01", b"\x08\x02\x38\x01"])
def test_what_is_neither_file_nor_plain_directory_is_refused(data: bytes | None) -> None:
    with pytest.raises(Malformed):
        decode_unixfs(Node((), data))


def test_a_link_in_cidv0_names_the_same_content() -> None:
    assert NodeLink(b"\x12\x20" + bytes(32), b"", 0).cid == Cid(DAG_PB, bytes(32))


def test_a_sharded_directory_is_named_as_what_it_is():
    # What Kubo writes for 6,000 names: type 5, a bitmap, hash 0x22, a fanout of 256.
    data = b"\x08\x05\x12\x01\xff\x28\x22\x30\x80\x02"
    with pytest.raises(Malformed, match="sharded directory") as found:
        decode_unixfs(Node((), data))
    assert found.value.hint == "make smaller directories"
