"""RFC 8785: the RFC's own examples, and the ways in which JSON is not canonical."""

import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.canonical import canonical, read_canonical, strict_json
from registry.errors import Malformed

# RFC 8785 appendix B: the IEEE 754 bits and the text.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
# RFC 8785 section 3.2.2 and 3.2.3.
LITERALS = rb"""{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
SORTED = rb"""{
  "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
  "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
  "\u00f6": "Latin Small Letter O With Diaeresis"
}"""
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_the_rfc_lists_them(bits, text):
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number).decode() == text
    assert read_canonical(text.encode()) == number


def test_literals_are_written_as_the_rfc_shows():
    assert canonical(strict_json(LITERALS)) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_members_are_sorted_by_utf16_code_units():
    assert list(json.loads(canonical(strict_json(SORTED)))) == ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]


@given(VALUES)
def test_what_is_written_is_read_back_and_is_its_own_form(value):
    raw = canonical(value)
    assert canonical(read_canonical(raw)) == raw


@given(VALUES)
def test_any_other_spelling_of_a_value_is_refused(value):
    raw = json.dumps(value, indent=1, ensure_ascii=True).encode()
    if raw != canonical(value):
        with pytest.raises(Malformed):
            read_canonical(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nan",
        b"NaN",
        b"-Infinity",
        b"1e400",
        b'{"a":1,"a":1}',
        b'{"x":{"b":1,"b":2}}',
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5_000,
        b"01",
        b"[1,]",
        b"'a'",
        b"1 2",
    ],
)
def test_what_only_some_readers_take_is_refused(raw):
    with pytest.raises(Malformed):
        strict_json(raw)


def test_integers_stay_integers_and_beyond_doubles_have_no_canonical_form():
    assert strict_json(b"[9007199254740993, 1.0]") == [9007199254740993, 1.0]
    with pytest.raises(Malformed):
        canonical(2**53)
    with pytest.raises(Malformed):
        read_canonical(b"9007199254740993")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1: 2}, b"bytes", {"a": object()}])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(Malformed):
        canonical(value)


@given(st.binary(max_size=60))
def test_reading_any_bytes_answers_or_refuses(raw):
    with suppress(Malformed):
        strict_json(raw)
