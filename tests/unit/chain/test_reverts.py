"""What the contracts refuse, as classes of registry/errors.py: by selector, complete, and never by text."""

import inspect

import pytest
from eth_abi.abi import encode

from contracts import NAMES, artifact
from registry import errors
from registry.chain.refusals import CLASS_OF, HINT_OF, WHY, rejection
from registry.chain.reverts import decode_revert, error_codecs
from registry.core.ids import keccak
from registry.errors import (
    Conflict,
    Expired,
    FeeTooLow,
    NotAuthorized,
    RegistryError,
    Rejected,
    VerificationFailed,
)

TREE = {c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, RegistryError)}


def of(signature: str, *values: object) -> RegistryError:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return decode_revert(keccak(signature.encode())[:4] + encode(types if types != [""] else [], values))


def test_every_error_of_every_abi_has_one_class_and_no_row_is_left_over() -> None:
    declared = {e["name"] for name in NAMES for e in artifact(name).abi if e["type"] == "error"}
    assert declared == set(CLASS_OF)
    assert set(HINT_OF) <= declared
    assert set(CLASS_OF.values()) <= TREE - {RegistryError}


def test_a_name_has_one_selector_in_all_contracts() -> None:
    codecs = error_codecs()
    assert len({c.name for c in codecs.values()}) == len(codecs)


def test_every_declared_error_decodes_to_its_class() -> None:
    for selector, codec in error_codecs().items():
        zeros = [{"string": "x", "bytes": b"", "address": "0x" + "11" * 20}.get(t, 0) for t in codec.types]
        zeros = [bytes(32) if t == "bytes32" else z for t, z in zip(codec.types, zeros, strict=True)]
        found = decode_revert(selector + encode(codec.types, zeros))
        assert type(found) is CLASS_OF[codec.name]
        assert found.values["contract_error"] == codec.name


def test_the_values_are_in_the_sentence_and_beside_it() -> None:
    found = of("InsufficientEscrow(address,uint256,uint256)", "0x" + "11" * 20, 5, 7)
    assert type(found) is FeeTooLow
    assert str(found) == (
        "the contract refused the call: insufficient escrow"
        " (account 0x1111111111111111111111111111111111111111, balance 5, needed 7)"
    )
    assert found.values["needed"] == 7


def test_a_hint_names_the_next_command() -> None:
    assert "member add" in of("NotMember(address)", "0x" + "11" * 20).hint


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", Rejected, "without a reason"),
        (keccak(b"Error(string)")[:4] + encode(["string"], ["too late"]), Rejected, "too late"),
        (keccak(b"Error(string)")[:4] + b"\xff" * 40, Rejected, "cannot be read"),
        (keccak(b"Panic(uint256)")[:4] + (0x11).to_bytes(32, "big"), RegistryError, "arithmetic"),
        (keccak(b"Panic(uint256)")[:4] + (0x99).to_bytes(32, "big"), RegistryError, "0x99"),
        (b"\xde\xad\xbe\xef" + bytes(32), Rejected, "0xdeadbeef"),
        (keccak(b"NotMember(address)")[:4] + b"short", Rejected, "cannot be read"),
    ],
)
def test_other_revert_data_is_read_as_far_as_it_goes(
    data: bytes, kind: type[RegistryError], words: str
) -> None:
    found = decode_revert(data)
    assert type(found) is kind
    assert words in str(found)


def test_every_reason_to_skip_an_item_has_its_class() -> None:
    assert [type(rejection(why)) for why in (1, 4, 8, 14)] == [Conflict, Expired, NotAuthorized, FeeTooLow]
    assert sorted(WHY) == list(range(1, len(WHY) + 1))
    assert type(rejection(len(WHY) + 1)) is VerificationFailed


def test_the_reasons_are_those_of_the_interface() -> None:
    from pathlib import Path

    source = (Path(__file__).parents[3] / "contracts/src/interfaces/ITwinRegistry.sol").read_text()
    body = source.split("enum Why {")[1].split("}")[0]
    assert len([line for line in body.splitlines() if line.strip()]) == len(WHY) + 1
