"""The calldata of `seal`, encoded by hand: the one call that is hot.

eth_abi takes 28 times as long for a batch; tests/unit/chain/test_seal_encoding.py holds the two equal.
"""

from collections.abc import Sequence

from registry.core.ids import address_bytes, keccak
from registry.core.signing import to_compact
from registry.core.version import Submission, Version
from registry.errors import Malformed

SEAL_SIGNATURE = (
    "seal(((uint64,bytes32,bytes32,bytes32,bytes32[],uint64,bytes32,address),"
    "uint8,uint128,uint64,uint64)[],(bytes32,bytes32)[])"
)
_SELECTOR = keccak(SEAL_SIGNATURE.encode())[:4]


def encode_seal(submissions: Sequence[Submission], signatures: Sequence[bytes]) -> bytes:
    """The calldata for these submissions; the 65-byte signatures become EIP-2098 pairs."""
    if len(submissions) != len(signatures):
        raise Malformed(f"{len(submissions)} submissions came with {len(signatures)} signatures")
    items = _array_of_dynamic([_submission(s) for s in submissions])
    pairs = _word(len(signatures)) + b"".join(b"".join(to_compact(s)) for s in signatures)
    return _SELECTOR + _word(64) + _word(64 + len(items)) + items + pairs


def item_size(parents: int) -> int:
    """The calldata of one submission with so many parents, signature included; a batch has 132 bytes more."""
    return 544 + 32 * parents


def _submission(s: Submission) -> bytes:
    head = (_word(160), _word(s.fee_class), _word(s.max_price), _word(s.issued_at), _word(s.deadline))
    return b"".join(head) + _version(s.version)


def _version(v: Version) -> bytes:
    return b"".join(
        (
            *(_word(v.namespace_id), v.name_hash, v.weights_root, v.manifest, _word(256)),
            *(_word(v.size), v.salt, bytes(12), address_bytes(v.submitter)),
            *(_word(len(v.parents)), *v.parents),
        )
    )


def _array_of_dynamic(items: Sequence[bytes]) -> bytes:
    offsets, offset = [], 32 * len(items)
    for item in items:
        offsets.append(_word(offset))
        offset += len(item)
    return _word(len(items)) + b"".join(offsets) + b"".join(items)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
