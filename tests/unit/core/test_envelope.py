"""Encrypted files: what comes back, what is refused, and what each key is bound to."""

from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.core import envelope
from registry.core.cid import weights_cid
from registry.core.envelope import FRAME, SEGMENT, TAG, Context, Window, file_key, open_stream, seal_stream
from registry.core.ids import address_of
from registry.errors import Malformed, TooLarge, VerificationFailed

SECRET = sha256(b"secret").digest()
CONTEXT = Context(31337, address_of(b"\x0a" * 20), sha256(b"model").digest(), sha256(b"salt").digest())
KEY = file_key(SECRET, CONTEXT, "twin.safetensors")
SIZES = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 77]


def text(size: int) -> bytes:
    return (sha256(b"text").digest() * (size // 32 + 1))[:size]


def sealed(size: int) -> bytes:
    return b"".join(seal_stream(KEY, [text(size)]))


def opened(stream: bytes, piece: int = 300_000) -> bytes:
    return b"".join(open_stream(KEY, (stream[i : i + piece] for i in range(0, len(stream), piece))))


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_comes_back_whatever_the_pieces(size: int) -> None:
    stream = sealed(size)
    assert len(stream) == envelope.sealed_size(size)
    assert opened(stream) == opened(stream, piece=FRAME + 1) == text(size)


@pytest.mark.parametrize("size", SIZES)
def test_every_frame_but_the_last_is_exactly_one_mebibyte(size: int) -> None:
    frames = list(seal_stream(KEY, [text(size)]))
    assert [len(frame) for frame in frames[:-1]] == [FRAME] * (envelope.frame_count(size) - 1)
    assert TAG <= len(frames[-1]) <= FRAME


@pytest.mark.parametrize("cut", [1, TAG, FRAME, FRAME + 1, 2 * FRAME])
def test_a_stream_that_was_cut_is_refused(cut: int) -> None:
    with pytest.raises(VerificationFailed):
        opened(sealed(2 * SEGMENT + 77)[:-cut])


@pytest.mark.parametrize("size", [SEGMENT, 2 * SEGMENT, 2 * SEGMENT + 77])
def test_a_stream_cut_between_frames_is_refused(size: int) -> None:
    frames = list(seal_stream(KEY, [text(size)]))
    with pytest.raises(VerificationFailed):
        opened(b"".join(frames[:-1]))


@pytest.mark.parametrize("more", [b"\0", bytes(TAG), bytes(FRAME)])
def test_a_stream_that_goes_on_is_refused(more: bytes) -> None:
    for size in (SEGMENT, SEGMENT + 5):
        with pytest.raises(VerificationFailed):
            opened(sealed(size) + more)


def test_an_empty_frame_behind_a_full_one_is_refused_even_when_it_is_authentic() -> None:
    stream = KEY.seal(0, text(SEGMENT), is_last=False) + KEY.seal(1, b"", is_last=True)
    with pytest.raises(VerificationFailed, match="empty"):
        opened(stream)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 0, 2), (0, 1, 1, 2), (2,), (1, 2)])
def test_frames_out_of_their_order_are_refused(order: tuple[int, ...]) -> None:
    frames = list(seal_stream(KEY, [text(2 * SEGMENT + 77)]))
    with pytest.raises(VerificationFailed):
        opened(b"".join(frames[number] for number in order))


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, SEGMENT + 100 + 2 * TAG - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(place: int, bit: int) -> None:
    stream = bytearray(sealed(SEGMENT + 100))
    stream[place] ^= 1 << bit
    with pytest.raises(VerificationFailed):
        opened(bytes(stream))


@settings(max_examples=60, deadline=None)
@given(offset=st.integers(0, 2 * SEGMENT + 77), length=st.integers(0, 2 * SEGMENT + 200))
def test_a_range_needs_only_its_frames(offset: int, length: int) -> None:
    size = 2 * SEGMENT + 77
    window = Window(size, offset, length)
    start, count = window.sealed
    assert count <= min(length // SEGMENT + 2, 3) * FRAME
    assert window.open(KEY, STREAM[start : start + count]) == text(size)[offset : offset + length]


STREAM = sealed(2 * SEGMENT + 77)


def test_a_range_of_the_wrong_frames_is_refused() -> None:
    window = Window(2 * SEGMENT + 77, 5, 10)
    with pytest.raises(VerificationFailed):
        window.open(KEY, STREAM[FRAME : 2 * FRAME])
    with pytest.raises(VerificationFailed):
        window.open(KEY, STREAM[: FRAME - 1])


def test_a_range_shows_a_file_that_is_shorter_than_its_index_says() -> None:
    with pytest.raises(VerificationFailed):
        Window(3 * SEGMENT, SEGMENT, 5).open(KEY, sealed(2 * SEGMENT)[FRAME:])


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (11, 1), (0, -1)])
def test_a_range_outside_the_file_is_malformed(offset: int, length: int) -> None:
    with pytest.raises(Malformed):
        Window(10, offset, length)


def test_a_counter_never_wraps() -> None:
    with pytest.raises(TooLarge):
        KEY.seal(1 << 32, b"", is_last=True)


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTEXT, chain_id=1),
        replace(CONTEXT, contract=address_of(b"\x0b" * 20)),
        replace(CONTEXT, model=bytes(32)),
        replace(CONTEXT, salt=bytes(32)),
    ],
)
def test_a_file_opens_only_where_it_was_sealed(other: Context) -> None:
    with pytest.raises(VerificationFailed):
        list(open_stream(file_key(SECRET, other, "twin.safetensors"), [sealed(5)]))


def test_files_of_a_version_cannot_be_exchanged() -> None:
    with pytest.raises(VerificationFailed):
        list(open_stream(file_key(SECRET, CONTEXT, "other.safetensors"), [sealed(5)]))
    assert file_key(SECRET, CONTEXT, "a").key != file_key(SECRET, CONTEXT, "b").key


BODY = weights_cid(bytes(32))
READER = address_of(b"\x0c" * 20)
INFO = envelope.wrap_info(CONTEXT, BODY, READER, 1)
PAIR = X25519PrivateKey.from_private_bytes(sha256(b"reader").digest())


def test_a_wrapped_key_opens_for_its_reader_alone() -> None:
    wrapped = envelope.wrap(SECRET, PAIR.public_key().public_bytes_raw(), INFO)
    assert len(wrapped) == 80
    assert envelope.unwrap(wrapped, PAIR.private_bytes_raw(), INFO) == SECRET
    with pytest.raises(VerificationFailed):
        envelope.unwrap(wrapped, sha256(b"eve").digest(), INFO)


@pytest.mark.parametrize(
    "info",
    [
        envelope.wrap_info(replace(CONTEXT, chain_id=1), BODY, READER, 1),
        envelope.wrap_info(replace(CONTEXT, contract=READER), BODY, READER, 1),
        envelope.wrap_info(replace(CONTEXT, model=bytes(32)), BODY, READER, 1),
        envelope.wrap_info(CONTEXT, weights_cid(b"\1" * 32), READER, 1),
        envelope.wrap_info(CONTEXT, BODY, CONTEXT.contract, 1),
        envelope.wrap_info(CONTEXT, BODY, READER, 2),
    ],
)
def test_a_wrapped_key_is_bound_to_chain_contract_model_body_reader_and_key_version(info: bytes) -> None:
    wrapped = envelope.wrap(SECRET, PAIR.public_key().public_bytes_raw(), INFO)
    with pytest.raises(VerificationFailed):
        envelope.unwrap(wrapped, PAIR.private_bytes_raw(), info)


@pytest.mark.parametrize("wrapped", [b"", bytes(31), bytes(32), bytes(80)])
def test_a_wrapped_key_that_is_none_is_refused(wrapped: bytes) -> None:
    with pytest.raises(VerificationFailed):
        envelope.unwrap(wrapped, PAIR.private_bytes_raw(), INFO)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32)])
def test_nothing_is_wrapped_to_a_key_that_is_none(public: bytes) -> None:
    with pytest.raises(Malformed):
        envelope.wrap(SECRET, public, INFO)
