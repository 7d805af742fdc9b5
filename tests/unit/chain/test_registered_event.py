"""The hand-written reader of `Registered` equals eth_abi, and refuses what is no such event."""

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from registry.chain.base import Log
from registry.chain.events import decode_log, event_topic
from registry.core.ids import address_of
from registry.errors import VerificationFailed

TYPES = (
    *("uint64", "bytes32", "bytes32", "bytes32", "bytes32[]", "uint64"),
    *("bytes32", "uint8", "uint128", "uint128", "uint64", "uint64"),
)
NAMES = (
    *("namespaceId", "nameHash", "weightsRoot", "manifest", "parents", "size"),
    *("salt", "feeClass", "fee", "tax", "epoch", "slot"),
)
WORD = st.binary(min_size=32, max_size=32)
U64, U128 = st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1)
VALUES = st.tuples(
    *(U64, WORD, WORD, WORD, st.lists(WORD, max_size=8).map(tuple), U64),
    *(WORD, st.integers(0, 255), U128, U128, U64, U64),
)
ADDRESS = st.binary(min_size=20, max_size=20)


def log(data: bytes, submitter: bytes = bytes(32)) -> Log:
    topics = (event_topic("TwinRegistry", "Registered"), b"\1" * 32, submitter, b"\2" * 32)
    return Log(address_of(bytes(20)), topics, data, 7, b"\3" * 32, b"\4" * 32, 0, 5)


@given(VALUES, ADDRESS)
def test_the_arguments_are_those_of_eth_abi(values: tuple[object, ...], submitter: bytes) -> None:
    event = decode_log("TwinRegistry", log(encode(TYPES, values), bytes(12) + submitter))
    indexed = {"versionId": b"\1" * 32, "submitter": address_of(submitter), "modelId": b"\2" * 32}
    assert dict(event.args) == indexed | dict(zip(NAMES, values, strict=True))


@given(VALUES, st.data())
def test_what_is_cut_or_out_of_range_is_refused(values: tuple[object, ...], choice: st.DataObject) -> None:
    data = encode(TYPES, values)
    cut = choice.draw(st.integers(0, len(data) - 1))
    with pytest.raises(VerificationFailed):
        decode_log("TwinRegistry", log(data[:cut]))
    for place in (0, 4, 5, 7, 8, 9, 10, 11):
        wide = data[: 32 * place] + b"\xff" * 32 + data[32 * place + 32 :]
        with pytest.raises(VerificationFailed):
            decode_log("TwinRegistry", log(wide))


def test_a_topic_that_is_no_address_is_refused() -> None:
    data = encode(TYPES, (1, *[bytes(32)] * 3, (), 1, bytes(32), 0, 1, 1, 1, 1))
    with pytest.raises(VerificationFailed, match="no address"):
        decode_log("TwinRegistry", log(data, b"\1" * 32))
