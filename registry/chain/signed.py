"""Transactions as backends sign and check them: core.transaction's, and creations and EIP-1559 fees."""

from dataclasses import dataclass
from typing import Any

import rlp

from registry.chain.base import FeePolicy
from registry.core.ids import Address, address_bytes, keccak
from registry.core.signing import Signer, recover
from registry.errors import Malformed

_DYNAMIC_FEE = b"\x02"
# Of each typed transaction: how many fields, and where the price cap stands; gas, to, value, payload follow.
_TYPED = {1: (11, 2), 2: (12, 3)}


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


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """What a backend must know of a raw transaction; `cost` is the most wei it can take from its sender."""

    chain_id: int
    nonce: int
    sender: Address
    cost: int
    gas: int
    intrinsic_gas: int  # what the bytes cost before anything runs; access lists and later forks ask for more


def read_signed(raw: bytes) -> SignedTransaction:
    """The sender and the cost of a raw transaction; Malformed when it is none, or names no chain."""
    try:
        return _read_legacy(raw) if raw[:1] >= b"\xc0" else _read_typed(raw)
    except (rlp.RLPException, ValueError, TypeError, IndexError) as e:
        raise Malformed(f"{len(raw)} bytes are no signed transaction") from e


def _read_legacy(raw: bytes) -> SignedTransaction:
    *fields, v, r, s = rlp.decode(raw)
    nonce, price, gas, to, value, payload = fields
    chain_id, parity = divmod(_number(v) - 35, 2)
    if chain_id <= 0:
        raise Malformed("the transaction names no chain (EIP-155)")
    digest = keccak(rlp.encode([*fields, chain_id, 0, 0]))
    sender = recover(digest, _signature(r, s, parity))
    cost = _number(value) + _number(gas) * _number(price)
    return SignedTransaction(chain_id, _number(nonce), sender, cost, _number(gas), _intrinsic(to, payload))


def _read_typed(raw: bytes) -> SignedTransaction:
    if not raw or raw[0] not in _TYPED:
        raise Malformed(f"transaction type {raw[:1].hex() or 'empty'} is not supported")
    length, price = _TYPED[raw[0]]
    fields: list[Any] = rlp.decode(raw[1:])
    if len(fields) != length:
        raise Malformed(f"a type {raw[0]} transaction has {length} fields, got {len(fields)}")
    parity, r, s = fields[-3:]
    sender = recover(keccak(raw[:1] + rlp.encode(fields[:-3])), _signature(r, s, _number(parity)))
    cap, gas, to, value, payload = fields[price : price + 5]
    cost = _number(value) + _number(gas) * _number(cap)
    chain_id, nonce = _number(fields[0]), _number(fields[1])
    return SignedTransaction(chain_id, nonce, sender, cost, _number(gas), _intrinsic(to, payload))


def _intrinsic(to: bytes, payload: bytes) -> int:
    zeros = payload.count(0)
    return (21_000 if to else 53_000) + 4 * zeros + 16 * (len(payload) - zeros)


def _signature(r: bytes, s: bytes, parity: int) -> bytes:
    if max(len(r), len(s)) > 32 or parity > 1:
        raise Malformed("the transaction's signature is out of range")
    return r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes((27 + parity,))


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _sign_legacy(draft: Draft, to: bytes, signer: Signer) -> bytes:
    fields = [draft.nonce, draft.fee.gas_price, draft.gas, to, draft.value, draft.payload]
    signature = signer.sign_hash(keccak(rlp.encode([*fields, draft.chain_id, 0, 0])))
    v = signature[64] - 27 + 35 + 2 * draft.chain_id
    return bytes(rlp.encode([*fields, v, *_r_s(signature)]))


def _r_s(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
