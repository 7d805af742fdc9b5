"""Transactions this process signs itself: like core.transaction, with creations and EIP-1559 fees as well."""

from dataclasses import dataclass

import rlp

from registry.chain.base import FeePolicy
from registry.core.ids import Address, address_bytes, keccak
from registry.core.signing import Signer

_DYNAMIC_FEE = b"\x02"


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction before its signature; `to` is None to create a contract from `payload`."""

    chain_id: int
    nonce: int
    fee: FeePolicy
    gas: int
    to: Address | None
    value: int
    payload: bytes


def sign_draft(draft: Draft, signer: Signer) -> bytes:
    """The raw bytes to send, legacy (EIP-155) or EIP-1559 as the fee policy asks."""
    to = address_bytes(draft.to) if draft.to else b""
    if draft.fee.tip is None:
        return _sign_legacy(draft, to, signer)
    fields = [draft.chain_id, draft.nonce, draft.fee.tip, draft.fee.gas_price, draft.gas, to]
    fields += [draft.value, draft.payload, []]
    signature = signer.sign_hash(keccak(_DYNAMIC_FEE + rlp.encode(fields)))
    return _DYNAMIC_FEE + bytes(rlp.encode([*fields, signature[64] - 27, *_r_s(signature)]))


def _sign_legacy(draft: Draft, to: bytes, signer: Signer) -> bytes:
    fields = [draft.nonce, draft.fee.gas_price, draft.gas, to, draft.value, draft.payload]
    signature = signer.sign_hash(keccak(rlp.encode([*fields, draft.chain_id, 0, 0])))
    v = signature[64] - 27 + 35 + 2 * draft.chain_id
    return bytes(rlp.encode([*fields, v, *_r_s(signature)]))


def _r_s(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
