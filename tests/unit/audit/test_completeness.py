"""A gateway that hides, reorders, inserts or alters one entry of an answer is caught by the client."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.audit.completeness import (
    page,
    page_from_json,
    page_to_json,
    verify_answer,
    verify_page,
)
from registry.core.canonical import canonical, strict_json
from registry.core.log import Recorded
from registry.core.smt import MapLeaf, MapProof
from registry.errors import Malformed, VerificationFailed


@pytest.fixture
def key(member) -> str:
    return f"actor:{member(1)}"


@pytest.fixture
def filled(log, entry):
    log.append([entry(number) for number in range(400)])
    log.publish()
    return log


def pages_of(log, key, limit):
    first = 0
    while True:
        one = page(log, key, first=first, limit=limit)
        yield one
        if one.next is None:
            return
        first = one.next


@pytest.mark.parametrize("limit", [1, 7, 80, 1000])
def test_the_pages_of_a_key_are_all_its_entries(bench, filled, key, limit) -> None:
    answer = verify_answer(pages_of(filled, key, limit), bench.trust())
    assert [record.index for record in answer.entries] == list(range(1, 400, 5))
    assert not answer.is_proved


def test_a_page_costs_logarithmically_many_hashes(filled, key) -> None:
    one = page(filled, key, first=30, limit=10)
    assert len(one.range_proof) <= 2 * 7
    assert len(one.map_proof.siblings) <= 20


def test_a_key_without_entries_is_proved_to_have_none(bench, filled) -> None:
    answer = verify_answer(pages_of(filled, "kind:stop", 10), bench.trust())
    assert (answer.count, answer.entries) == (0, ())


def test_a_page_survives_the_wire(bench, filled, key) -> None:
    for one in (page(filled, key, first=3, limit=5), page(filled, "kind:stop")):
        raw = canonical(page_to_json(one))
        again = page_from_json(strict_json(raw))
        assert again == one
        verify_page(again, bench.trust())


def test_the_log_may_grow_between_two_pages(bench, filled, entry, key) -> None:
    first = page(filled, key, first=0, limit=50)
    filled.append([entry(number) for number in range(400, 500)])
    filled.publish()
    rest = page(filled, key, first=50, limit=1000)
    assert verify_answer([first, rest], bench.trust()).count == 100


def alter(one, place, raw):
    entries = list(one.entries)
    entries[place] = Recorded(entries[place].index, raw)
    return replace(one, entries=tuple(entries))


LIES = {
    "hides the first entry": lambda p: replace(p, entries=p.entries[1:]),
    "hides the last entry": lambda p: replace(p, entries=p.entries[:-1]),
    "hides one and says so in the count": lambda p: replace(p, entries=p.entries[:-1], count=p.count - 1),
    "hides one in the middle": lambda p: replace(p, entries=(*p.entries[:3], *p.entries[4:])),
    "hides everything": lambda p: replace(p, entries=(), count=0),
    "hides everything behind an absence": lambda p: replace(
        p, entries=(), count=0, map_proof=MapProof(p.map_proof.siblings, None)
    ),
    "reorders two": lambda p: replace(p, entries=(p.entries[1], p.entries[0], *p.entries[2:])),
    "reorders two and renumbers them": lambda p: replace(
        p,
        entries=(
            Recorded(p.entries[0].index, p.entries[1].raw),
            Recorded(p.entries[1].index, p.entries[0].raw),
            *p.entries[2:],
        ),
    ),
    "repeats one": lambda p: replace(p, entries=(p.entries[0], *p.entries)),
    "inserts a foreign entry": lambda p: alter(p, 2, p.entries[3].raw),
    "alters one": lambda p: alter(p, 2, p.entries[2].raw.replace(b'"number":11', b'"number":12')),
    "alters one into no entry": lambda p: alter(p, 2, b"{}"),
    "shifts the page": lambda p: replace(p, first=p.first + 1),
    "answers another key": lambda p: replace(p, key="kind:retrieval"),
    "counts more": lambda p: replace(p, count=p.count + 1),
    "drops a proof hash": lambda p: replace(p, range_proof=p.range_proof[1:]),
    "lies about the map's leaf": lambda p: replace(
        p, map_proof=MapProof(p.map_proof.siblings, MapLeaf(p.map_proof.leaf.key, 3, p.map_proof.leaf.root))
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_gateway_that_lies_is_caught(bench, filled, key, lie) -> None:
    honest = page(filled, key, first=0, limit=30)
    verify_page(honest, bench.trust())
    with pytest.raises(VerificationFailed):
        verify_page(LIES[lie](honest), bench.trust())


def test_a_page_left_out_of_the_middle_is_caught(bench, filled, key) -> None:
    pages = list(pages_of(filled, key, 20))
    for lacking in (pages[1:], pages[:-1], [pages[0], *pages[2:]], []):
        with pytest.raises(VerificationFailed):
            verify_answer(lacking, bench.trust())


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_byte_anywhere_in_a_page_is_caught(bench, filled, key, data) -> None:
    honest = page(filled, key, first=10, limit=5)
    raw = bytearray(canonical(page_to_json(honest)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        answer = verify_page(page_from_json(strict_json(bytes(raw))), bench.trust())
    except (Malformed, VerificationFailed):
        return
    # The number of an entry within the log is the one thing that only witnesses vouch for.
    assert [record.raw for record in answer.entries] == [record.raw for record in honest.entries]


def test_an_answer_is_proved_when_enough_witnesses_cosigned(bench, filled, key) -> None:
    witness = bench.witness(lambda origin, path: filled.tile(path))
    from registry.audit.publisher import publish_once

    assert publish_once(filled, [witness], {}).cosigned_by == (witness.key.name,)
    one = page(filled, key)
    assert verify_page(one, bench.trust(witness.key)).is_proved
    assert not verify_page(one, bench.trust(witness.key, quorum=2)).is_proved
    assert not verify_page(one, bench.trust()).is_proved
    witness.close()


@pytest.mark.parametrize(("first", "limit"), [(-1, 5), (0, 0), (0, 1001), (81, 5)])
def test_a_page_outside_of_the_answer_is_malformed(filled, key, first, limit) -> None:
    with pytest.raises(Malformed):
        page(filled, key, first=first, limit=limit)


def test_an_unknown_kind_of_key_is_malformed(filled) -> None:
    with pytest.raises(Malformed, match="no key of a log"):
        page(filled, "colour:red")
