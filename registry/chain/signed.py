"""Transactions as backends sign and check them: core.transaction's, and creations and EIP-1559 fees."""

from dataclasses import dataclass

from registry.chain.base import FeePolicy
from registry.core.ids import Address, address_bytes, keccak
from registry.core.rlp import Encodable, Item, as_bytes, as_int, as_list, decode, encode
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
    last = [_minimal(draft.gas), to, _minimal(draft.value), draft.payload]
    nonce, chain_id, cap = _minimal(draft.nonce), _minimal(draft.chain_id), _minimal(draft.fee.gas_price)
    if draft.fee.tip is None:
        fields = [nonce, cap, *last]
        signature = signer.sign_hash(keccak(encode([*fields, chain_id, b"", b""])))
        v = signature[64] - 27 + 35 + 2 * draft.chain_id
        return encode([*fields, _minimal(v), *_r_s(signature)])
    dynamic: list[Encodable] = [chain_id, nonce, _minimal(draft.fee.tip), cap, *last, []]
    signature = signer.sign_hash(keccak(_DYNAMIC_FEE + encode(dynamic)))
    return _DYNAMIC_FEE + encode([*dynamic, _minimal(signature[64] - 27), *_r_s(signature)])


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
    return _read_legacy(raw) if raw[:1] >= b"\xc0" else _read_typed(raw)


def _read_legacy(raw: bytes) -> SignedTransaction:
    fields = as_list(decode(raw))
    if len(fields) != 9:
        raise Malformed(f"a legacy transaction has 9 fields, got {len(fields)}")
    chain_id, parity = divmod(as_int(fields[6]) - 35, 2)
    if chain_id <= 0:
        raise Malformed("the transaction names no chain (EIP-155)")
    digest = keccak(encode([*fields[:6], _minimal(chain_id), b"", b""]))
    sender = recover(digest, _signature(fields[7], fields[8], parity))
    return _read(chain_id, as_int(fields[0]), sender, fields[1:6])


def _read_typed(raw: bytes) -> SignedTransaction:
    if not raw or raw[0] not in _TYPED:
        raise Malformed(f"transaction type {raw[:1].hex() or 'empty'} is not supported")
    length, price = _TYPED[raw[0]]
    fields = as_list(decode(raw[1:]))
    if len(fields) != length:
        raise Malformed(f"a type {raw[0]} transaction has {length} fields, got {len(fields)}")
    digest = keccak(raw[:1] + encode(fields[:-3]))
    sender = recover(digest, _signature(fields[-2], fields[-1], as_int(fields[-3])))
    return _read(as_int(fields[0]), as_int(fields[1]), sender, fields[price : price + 5])


def _read(chain_id: int, nonce: int, sender: Address, fields: list[Item]) -> SignedTransaction:
    price, gas, value = as_int(fields[0]), as_int(fields[1]), as_int(fields[3])
    to, payload = as_bytes(fields[2]), as_bytes(fields[4])
    zeros = payload.count(0)
    intrinsic = (21_000 if to else 53_000) + 4 * zeros + 16 * (len(payload) - zeros)
    return SignedTransaction(chain_id, nonce, sender, value + gas * price, gas, intrinsic)


def _signature(r: Item, s: Item, parity: int) -> bytes:
    if max(as_int(r), as_int(s)) >> 256 or parity > 1:
        raise Malformed("the transaction's signature is out of range")
    return as_int(r).to_bytes(32, "big") + as_int(s).to_bytes(32, "big") + bytes((27 + parity,))


def _r_s(signature: bytes) -> tuple[bytes, bytes]:
    return signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0")


def _minimal(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
