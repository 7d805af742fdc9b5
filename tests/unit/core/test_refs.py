"""References: the four forms, and what may be a name."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.refs import (
    CellName,
    Reference,
    check_alias,
    check_name,
    check_namespace,
    parse_cell,
    parse_reference,
)
from registry.errors import Malformed

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?", fullmatch=True)
NAMESPACES = NAMES.filter(lambda name: not name.startswith("0x"))
ALIASES = NAMESPACES.filter(lambda name: name != "latest" and not (name[0] == "v" and name[1:].isdigit()))


@given(NAMESPACES, NAMES, ALIASES, st.integers(1, 10**17))
def test_every_form_is_read_and_written_back(namespace, name, alias, number):
    model = f"{namespace}/{name}"
    assert parse_reference(model) == Reference(namespace, name)
    assert parse_reference(f"{model}@{alias}") == Reference(namespace, name, alias=alias)
    assert parse_reference(f"{model}@v{number}") == Reference(namespace, name, number=number)
    for text in (model, f"{model}@{alias}", f"{model}@v{number}"):
        assert str(parse_reference(text)) == text
        assert parse_reference(text).model == model


@given(st.text("0123456789abcdef", min_size=8, max_size=64))
def test_hex_digits_are_a_version_id_or_the_beginning_of_one(digits):
    reference = parse_reference("0X" + digits.upper())
    assert reference.version_prefix == "0x" + digits
    assert reference.version_id == (bytes.fromhex(digits) if len(digits) == 64 else None)
    assert reference.model is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "acme", "acme/", "/ran", "acme/ran/x", "acme/ran@", "acme/ran@@a", "acme/ran@a@b"),
        *("0x1234567", "0x" + "a" * 65, "0x1234567g", "0xacme/ran", "acme/ran\n", " acme/ran"),
        *("Acme/ran", "acme/-ran", "acme/ran-", "acme/.ran", "acme/r an", "acme/" + "a" * 65, "acme/rän"),
        *("acme/ran@latest", "acme/ran@0xab", "acme/ran@v0", "acme/ran@v01", "acme/ran@v" + "9" * 30),
        *("../ran", "acme/..", "acme%2Fran"),
    ],
)
def test_what_has_none_of_the_forms_is_malformed(text):
    with pytest.raises(Malformed):
        parse_reference(text)


@pytest.mark.parametrize("text", ["a", "0", "a" * 64, "a.b_c-d", "0xname"])
def test_names_take_letters_digits_and_three_signs(text):
    assert check_name(text) == text


def test_a_namespace_cannot_look_like_a_version_id():
    with pytest.raises(Malformed):
        check_namespace("0xacme")


@pytest.mark.parametrize("text", ["v1", "v007", "latest", "0xff"])
def test_reserved_words_are_no_alias(text):
    with pytest.raises(Malformed):
        check_alias(text)


@pytest.mark.parametrize("text", ["v", "v1a", "champion", "latest-2"])
def test_words_that_only_resemble_them_are(text):
    assert check_alias(text) == text


def test_a_cell_is_named_by_its_namespace():
    assert parse_cell("acme/tower-7") == CellName("acme", "tower-7")
    assert str(parse_cell("acme/tower-7")) == "acme/tower-7"
    for text in ("tower-7", "acme/", "acme/a/b", "0xa/b"):
        with pytest.raises(Malformed):
            parse_cell(text)


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_malformed(text):
    with suppress(Malformed):
        assert str(parse_reference(text)) == (text.lower() if text[:2] in ("0x", "0X") else text)
