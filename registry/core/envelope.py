"""Private models: files encrypted frame by frame in the client, under one key that each reader gets wrapped.

Scheme `twinledger/dtw1`, docs/private.md. A file's ciphertext is a row of frames of exactly 1 MiB, the
last one shorter: a frame is one leaf of its CID, so a range is read by its frames alone. Only
primitives of `cryptography`: AES-256-GCM, HKDF-SHA256, and HPKE (RFC 9180, base mode) for the wraps.
Fresh keys and salts come from the caller.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from registry.core.canonical import canonical
from registry.core.cid import Cid
from registry.core.ids import Address, hex32, sha256
from registry.errors import Malformed, TooLarge, VerificationFailed

SCHEME = "twinledger/dtw1"
SUITE = "X25519-HKDF-SHA256-AES-256-GCM"
FRAME = 1 << 20
TAG = 16
SEGMENT = FRAME - TAG
MAX_FRAMES = 1 << 32
_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class Context:
    """What a version's keys are bound to: nothing of one model, contract or chain opens in another."""

    chain_id: int
    contract: Address
    model: bytes
    salt: bytes

    def of(self, part: str, **more: object) -> bytes:
        """The digest of this context and of the part it is used for."""
        return sha256(
            canonical(
                {
                    "scheme": SCHEME,
                    "suite": SUITE,
                    "chain_id": str(self.chain_id),
                    "contract": self.contract,
                    "model": hex32(self.model),
                    "salt": hex32(self.salt),
                    "part": part,
                    **more,
                }
            )
        )


@dataclass(frozen=True, slots=True)
class StreamKey:
    """The key of one stream of frames, and the context that every frame is authenticated with."""

    key: bytes
    prefix: bytes
    context: bytes

    def seal(self, number: int, segment: bytes, *, is_last: bool) -> bytes:
        """One frame of ciphertext."""
        return AESGCM(self.key).encrypt(self._nonce(number, is_last), segment, self.context)

    def open(self, number: int, frame: bytes, *, is_last: bool) -> bytes:
        """One frame in the clear; VerificationFailed when it is not this frame of this stream."""
        try:
            return AESGCM(self.key).decrypt(self._nonce(number, is_last), frame, self.context)
        except InvalidTag as e:
            raise VerificationFailed(
                f"frame {number} of the encrypted file is changed, misplaced or not the end it should be"
            ) from e

    def _nonce(self, number: int, is_last: bool) -> bytes:
        if number >= MAX_FRAMES:
            raise TooLarge(f"an encrypted file has at most {MAX_FRAMES} frames of {FRAME} bytes")
        return self.prefix + number.to_bytes(4, "big") + bytes([is_last])


def file_key(secret: bytes, context: Context, path: str) -> StreamKey:
    """The key of the file at `path`; no two files of a version share one."""
    return _stream(secret, context, context.of("file", path=path))


def index_key(secret: bytes, context: Context) -> StreamKey:
    """The key of the version's index: what its files are in the clear."""
    return _stream(secret, context, context.of("index"))


def _stream(secret: bytes, context: Context, digest: bytes) -> StreamKey:
    drawn = HKDF(algorithm=SHA256(), length=39, salt=context.salt, info=digest).derive(secret)
    return StreamKey(drawn[:32], drawn[32:], digest)


def seal_stream(key: StreamKey, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The frames of a file; an empty file is one frame of nothing."""
    for number, segment, is_last in _cut(pieces, SEGMENT):
        yield key.seal(number, segment, is_last=is_last)


def open_stream(key: StreamKey, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The file in the clear, a frame at a time, each verified before it is given out.

    VerificationFailed for a stream that was cut, continued, reordered or changed: the consumer must drop
    what it has when this raises, because a cut is known only at the end.
    """
    for number, frame, is_last in _cut(pieces, FRAME):
        segment = key.open(number, frame, is_last=is_last)
        if not segment and number:
            raise VerificationFailed(f"frame {number} of the encrypted file is empty")
        yield segment


def _cut(pieces: Iterable[bytes], size: int) -> Iterator[tuple[int, bytes, bool]]:
    held, number = bytearray(), 0
    for piece in pieces:
        held += piece
        # A full frame waits for the next byte: only then is it known not to be the last.
        while len(held) > size:
            yield number, bytes(held[:size]), False
            del held[:size]
            number += 1
    yield number, bytes(held), True


def frame_count(size: int) -> int:
    """How many frames a file of `size` bytes in the clear has."""
    return max(1, -(-size // SEGMENT))


def sealed_size(size: int) -> int:
    """The ciphertext's size."""
    return size + TAG * frame_count(size)


@dataclass(frozen=True, slots=True)
class Window:
    """A range of a file in the clear, as the frames that hold it."""

    size: int
    offset: int
    length: int

    def __post_init__(self) -> None:
        if not 0 <= self.offset <= self.size or self.length < 0:
            raise Malformed(f"{self.length} bytes from {self.offset} are no part of {self.size} bytes")

    @property
    def end(self) -> int:
        """Where the range ends: at the file's end at the latest."""
        return min(self.size, self.offset + self.length)

    @property
    def frames(self) -> range:
        """The numbers of the frames to read, none for an empty range."""
        if self.end == self.offset:
            return range(0)
        return range(self.offset // SEGMENT, (self.end - 1) // SEGMENT + 1)

    @property
    def sealed(self) -> tuple[int, int]:
        """Offset and length of those frames in the ciphertext."""
        start = self.frames.start * FRAME
        return start, min(self.frames.stop * FRAME, sealed_size(self.size)) - start

    def open(self, key: StreamKey, sealed: bytes) -> bytes:
        """The range in the clear, from exactly those frames; VerificationFailed for anything else."""
        length = self.sealed[1]
        if len(sealed) != length:
            raise VerificationFailed(
                f"{len(sealed)} bytes of ciphertext arrived where {length} were asked for"
            )
        last = frame_count(self.size) - 1
        clear = b"".join(
            key.open(number, sealed[place : place + FRAME], is_last=number == last)
            for number, place in zip(self.frames, range(0, length, FRAME), strict=True)
        )
        skip = self.offset - self.frames.start * SEGMENT
        return clear[skip : skip + self.end - self.offset]


def wrap_info(context: Context, body: Cid, reader: Address, key_version: int) -> bytes:
    """What a wrap is bound to beside its reader's key: chain, contract, model, body, key version."""
    return context.of("wrap", body=str(body), reader=reader, key_version=key_version)


def wrap(secret: bytes, public_key: bytes, info: bytes) -> bytes:
    """A version's key for one reader: HPKE's enc and ciphertext, 80 bytes."""
    try:
        return _HPKE.encrypt(secret, X25519PublicKey.from_public_bytes(public_key), info)
    except ValueError as e:
        raise Malformed(f"0x{public_key.hex()} is no X25519 key one can encrypt to") from e


def unwrap(wrapped: bytes, private_key: bytes, info: bytes) -> bytes:
    """The version's key; VerificationFailed when it was not wrapped to this key for this very use."""
    try:
        return _HPKE.decrypt(wrapped, X25519PrivateKey.from_private_bytes(private_key), info)
    except (InvalidTag, ValueError) as e:
        raise VerificationFailed("this X25519 key does not open the wrapped key") from e
