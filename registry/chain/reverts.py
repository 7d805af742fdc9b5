"""From what a contract refuses to the class of errors.py, by selector and never by message text.

Every custom error of every ABI stands in exactly one row of the table below; a test walks the ABIs and
fails on one that is missing. A name means the same in every contract that declares it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from contracts import NAMES, artifact
from registry.chain.abi import canonical_type, decode_values, signature_of
from registry.chain.refusals import CLASS_OF, HINT_OF
from registry.core.ids import Role, keccak
from registry.errors import RegistryError, Rejected, VerificationFailed

_PANIC = keccak(b"Panic(uint256)")[:4]
_ERROR = keccak(b"Error(string)")[:4]
_PANICS = {
    0x01: "an assertion does not hold",
    0x11: "arithmetic went out of range",
    0x12: "division by zero",
    0x21: "a number is no member of its enumeration",
    0x32: "an array index is out of range",
    0x41: "too much memory was asked for",
}


@dataclass(frozen=True, slots=True)
class ErrorCodec:
    """One custom error: its name, its arguments' names and types."""

    name: str
    arguments: tuple[str, ...]
    types: tuple[str, ...]


def decode_revert(data: bytes) -> RegistryError:
    """The error that revert data stands for; empty data is a refusal without a reason."""
    selector, body = data[:4], data[4:]
    if not data:
        return Rejected("the contract refused the call without a reason, or the call ran out of gas")
    if selector == _PANIC:
        code = int.from_bytes(body[:32], "big")
        return RegistryError(
            f"the contract stopped: {_PANICS.get(code, 'panic')} (code 0x{code:02x})", panic=code
        )
    if selector == _ERROR:
        return Rejected(f"the contract refused the call: {_text(body)}")
    codec = error_codecs().get(selector)
    if codec is None:
        return Rejected(f"the contract refused the call with an error of no known ABI: 0x{data[:68].hex()}")
    return _custom(codec, body)


@cache
def error_codecs() -> Mapping[bytes, ErrorCodec]:
    """Every custom error of every contract, by selector."""
    return {
        keccak(signature_of(entry).encode())[:4]: ErrorCodec(
            entry["name"],
            tuple(i["name"] for i in entry["inputs"]),
            tuple(canonical_type(i) for i in entry["inputs"]),
        )
        for name in NAMES
        for entry in artifact(name).abi
        if entry["type"] == "error"
    }


def _custom(codec: ErrorCodec, body: bytes) -> RegistryError:
    try:
        values = dict(zip(codec.arguments, decode_values(codec.types, body), strict=True))
    except VerificationFailed:
        return Rejected(
            f"the contract refused the call: {_words(codec.name)}, with values that cannot be read"
        )
    shown = ", ".join(f"{name} {_shown(name, value)}" for name, value in values.items())
    message = f"the contract refused the call: {_words(codec.name)}" + (f" ({shown})" if shown else "")
    refusal = CLASS_OF.get(codec.name, Rejected)(message, hint=HINT_OF.get(codec.name))
    refusal.values.update(values, contract_error=codec.name)
    return refusal


def _shown(name: str, value: object) -> str:
    if name in ("role", "roles") and isinstance(value, int):
        return " and ".join(role.name.lower() for role in Role if role & value and role.name) or "none"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _text(body: bytes) -> str:
    try:
        return str(decode_values(("string",), body)[0])
    except VerificationFailed:
        return "its reason cannot be read"


def _words(name: str) -> str:
    """`NotYourTurn` as a person says it: not your turn."""
    return "".join(" " + c.lower() if c.isupper() else c for c in name).strip()
