"""A device's update on its way to who may see it: encrypted to the task's aggregator and validators.

    8 bytes, header length | header (canonical JSON: salt, one wrapped key per reader) | frames of the update

The frames, the wraps and their keys are those of private models (envelope.py). What they are bound to is the
contribution: a chain, a contract, a task, a round, a device and the digest it committed to, so a sealed
update that somebody copies opens as nobody else's. Whoever is given the update's key can check all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry.core.canonical import canonical, strict_json
from registry.core.cid import RAW, Cid
from registry.core.envelope import SUITE, Context, file_key, open_stream, seal_stream, unwrap, wrap, wrap_info
from registry.core.ids import Address, address_bytes, hex32, keccak, parse_hex32, sha256, to_address
from registry.core.private import Wrap
from registry.core.version import Contribution, Domain
from registry.errors import Malformed, NotAuthorized, VerificationFailed

SCHEMA = "twinledger/sealed-update/1"
MAX_READERS = 128
_MAX_HEADER = 1 << 20
_HANDOVER_TYPE = "Handover(uint64 task,uint32 round,address device,bytes32 updateSha256,string sealed)"
HANDOVER_TYPEHASH = keccak(_HANDOVER_TYPE.encode())


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom an update is encrypted to: the X25519 key that the chain has of a member."""

    address: Address
    key_version: int
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Handover:
    """A device's word that the content `sealed` is its encrypted update of a round."""

    task: int
    round: int
    device: Address
    update_sha256: bytes
    sealed: Cid


def handover_digest(domain: Domain, given: Handover) -> bytes:
    """The 32 bytes that the device signs."""
    words = (
        HANDOVER_TYPEHASH,
        given.task.to_bytes(32, "big"),
        given.round.to_bytes(32, "big"),
        bytes(12) + address_bytes(given.device),
        given.update_sha256,
        keccak(str(given.sealed).encode()),
    )
    return keccak(b"\x19\x01" + domain.separator + keccak(b"".join(words)))


@dataclass(frozen=True, slots=True)
class SealedUpdate:
    """The parts of a sealed update."""

    salt: bytes
    wraps: tuple[Wrap, ...]
    frames: bytes

    def encode(self) -> bytes:
        """The bytes that are handed over."""
        readers = [
            {
                "member": wrap.reader,
                "key_version": wrap.key_version,
                "wrapped_key": "0x" + wrap.wrapped_key.hex(),
            }
            for wrap in self.wraps
        ]
        header = canonical({"schema": SCHEMA, "suite": SUITE, "salt": hex32(self.salt), "readers": readers})
        return len(header).to_bytes(8, "big") + header + self.frames

    def secret_of(
        self, domain: Domain, given: Contribution, reader: Address, private_keys: Sequence[bytes]
    ) -> bytes:
        """The update's key as one reader gets it; NotAuthorized when none of its keys opens it."""
        context = _context(domain, given, self.salt)
        for wrapped in self.wraps:
            if wrapped.reader != reader:
                continue
            info = wrap_info(context, _body(self.frames), reader, wrapped.key_version)
            for private_key in private_keys:
                try:
                    return unwrap(wrapped.wrapped_key, private_key, info)
                except VerificationFailed:
                    continue  # a secret of another time
        raise NotAuthorized(
            f"the update of {given.device} is not encrypted to a key that {reader} holds here",
            hint="bring the .x25519 file of that key, or run `twinledger key register` before the next round",
        )

    def open(self, domain: Domain, given: Contribution, secret: bytes) -> bytes:
        """The update in the clear; VerificationFailed unless it is what the contribution committed to."""
        key = file_key(secret, _context(domain, given, self.salt), _PATH)
        clear = b"".join(open_stream(key, [self.frames]))
        if sha256(clear) != given.update_sha256:
            raise VerificationFailed(
                f"{given.device} sealed an update of digest {hex32(sha256(clear))} and committed to "
                f"{hex32(given.update_sha256)}"
            )
        return clear


_PATH = "update"


def seal_update(
    domain: Domain,
    given: Contribution,
    update: bytes,
    readers: Sequence[Reader],
    *,
    secret: bytes,
    salt: bytes,
) -> SealedUpdate:
    """The update, encrypted under a fresh `secret` that each reader gets wrapped."""
    if sha256(update) != given.update_sha256:
        raise Malformed(f"these {len(update)} bytes are not the update {hex32(given.update_sha256)}")
    context = _context(domain, given, salt)
    frames = b"".join(seal_stream(file_key(secret, context, _PATH), [update]))
    wraps = tuple(
        Wrap(
            reader.address,
            reader.key_version,
            wrap(
                secret,
                reader.public_key,
                wrap_info(context, _body(frames), reader.address, reader.key_version),
            ),
        )
        for reader in readers
    )
    return SealedUpdate(salt, wraps, frames)


def read_sealed(raw: bytes) -> SealedUpdate:
    """The parts of what was handed over; Malformed says what is wrong."""
    length = int.from_bytes(raw[:8], "big")
    if len(raw) < 8 or not 0 < length <= min(_MAX_HEADER, len(raw) - 8):
        raise Malformed(f"{len(raw)} bytes are no sealed update")
    try:
        header: Any = strict_json(raw[8 : 8 + length])
        if set(header) != {"schema", "suite", "salt", "readers"} or len(header["readers"]) > MAX_READERS:
            raise Malformed("a sealed update's header has schema, suite, salt and readers")
        if (header["schema"], header["suite"]) != (SCHEMA, SUITE):
            raise Malformed(f"a sealed update of {header['schema']} in {header['suite']} cannot be read")
        wraps = tuple(
            Wrap(
                to_address(reader["member"]),
                int(reader["key_version"]),
                bytes.fromhex(reader["wrapped_key"][2:]),
            )
            for reader in header["readers"]
        )
        return SealedUpdate(parse_hex32(header["salt"]), wraps, raw[8 + length :])
    except (TypeError, KeyError, ValueError, AttributeError) as e:
        raise Malformed(f"the header of a sealed update cannot be read: {e}") from e


def _body(frames: bytes) -> Cid:
    return Cid(RAW, sha256(frames))


def _context(domain: Domain, given: Contribution, salt: bytes) -> Context:
    place = (given.task, given.round, given.device, hex32(given.update_sha256))
    return Context(domain.chain_id, domain.contract, sha256(canonical(list(place))), salt)
