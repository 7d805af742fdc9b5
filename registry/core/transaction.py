"""Ordinary transactions, signed by the member.

We sign the EIP-155 legacy form, which every chain we target takes, and read EIP-2930 and EIP-1559 too,
because members bring wallets of their own. Only the digest goes to the signer, so a key may live in a
hardware wallet or a vault.
"""

from dataclasses import dataclass

from registry.core import rlp
from registry.core.ids import Address, address_bytes, address_of, keccak
from registry.core.signing import Signer, recover
from registry.errors import Malformed

# Where the named fields stand in each typed transaction: nonce, price, gas, to, value, payload.
_TYPED = {1: (11, (1, 2, 3, 4, 5, 6)), 2: (12, (1, 3, 4, 5, 6, 7))}
_HINT = "sign it for the chain id of `GET /v1/deployment`, as a legacy or EIP-1559 call"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A call or a payment; `gas_price` and `value` in wei."""

    chain_id: int
    nonce: int
    gas_price: int
    gas: int
    to: Address
    value: int
    payload: bytes

    @property
    def fields(self) -> list[bytes]:
        """The legacy form without chain id and signature."""
        head = [_raw(self.nonce), _raw(self.gas_price), _raw(self.gas)]
        return [*head, address_bytes(self.to), _raw(self.value), self.payload]

    @property
    def digest(self) -> bytes:
        """What the member signs (EIP-155)."""
        return keccak(rlp.encode([*self.fields, _raw(self.chain_id), b"", b""]))


def sign_transaction(transaction: Transaction, signer: Signer) -> bytes:
    """The raw bytes to send."""
    signature = signer.sign_hash(transaction.digest)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    v = signature[64] - 27 + 35 + 2 * transaction.chain_id
    return rlp.encode([*transaction.fields, _raw(v), _raw(r), _raw(s)])


def read_transaction(raw: bytes) -> tuple[Transaction, Address]:
    """The transaction in `raw` and the address that signed it; Malformed when it is no call."""
    try:
        return _legacy(raw) if raw[:1] >= b"\xc0" else _typed(raw)
    except (Malformed, ValueError, TypeError) as e:
        raise Malformed(f"{len(raw)} bytes are no signed transaction", hint=_HINT) from e


def _legacy(raw: bytes) -> tuple[Transaction, Address]:
    nonce, price, gas, to, value, payload, v, r, s = _fields(raw, 9)
    chain_id, parity = divmod(_number(v) - 35, 2)
    if chain_id <= 0:
        raise Malformed("the transaction names no chain (EIP-155)", hint=_HINT)
    transaction = _transaction(chain_id, [nonce, price, gas, to, value, payload])
    return transaction, recover(transaction.digest, _signature(r, s, parity))


def _typed(raw: bytes) -> tuple[Transaction, Address]:
    if not raw or raw[0] not in _TYPED:
        raise Malformed(f"transaction type {raw[:1].hex() or 'empty'} is not supported", hint=_HINT)
    length, places = _TYPED[raw[0]]
    fields = rlp.decode(raw[1:])
    if not isinstance(fields, list) or len(fields) != length:
        raise Malformed(f"a type {raw[0]} transaction has {length} fields", hint=_HINT)
    transaction = _transaction(_number(fields[0]), [_bytes(fields[place]) for place in places])
    digest = keccak(raw[:1] + rlp.encode(fields[:-3]))
    parity, r, s = map(_bytes, fields[-3:])
    return transaction, recover(digest, _signature(r, s, _number(parity)))


def _transaction(chain_id: int, fields: list[bytes]) -> Transaction:
    nonce, price, gas, to, value, payload = fields
    if len(to) != 20:
        raise Malformed("the transaction calls no contract: it has no recipient", hint=_HINT)
    return Transaction(
        chain_id, _number(nonce), _number(price), _number(gas), address_of(to), _number(value), payload
    )


def _signature(r: bytes, s: bytes, parity: int) -> bytes:
    if max(len(r), len(s)) > 32 or parity > 1:
        raise Malformed("the transaction's signature is out of range", hint=_HINT)
    return r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([27 + parity])


def _fields(raw: bytes, count: int) -> list[bytes]:
    decoded = rlp.decode(raw)
    if not isinstance(decoded, list) or len(decoded) != count:
        raise Malformed(f"a legacy transaction has {count} fields", hint=_HINT)
    return [_bytes(field) for field in decoded]


def _bytes(item: rlp.Item) -> bytes:
    if not isinstance(item, bytes):
        raise Malformed("the transaction holds a list where bytes belong", hint=_HINT)
    return item


def _number(item: rlp.Item) -> int:
    return int.from_bytes(_bytes(item), "big")


def _raw(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
