"""The chain log is a pure function of final events: every event of every contract becomes one entry."""

from hashlib import sha256

import pytest

from contracts import NAMES, artifact
from registry.audit.chainlog import (
    ACTED_BY,
    ChainEvent,
    ChainLog,
    chain_kinds,
    check_same_prefix,
    entry_of,
    kind_of,
    origin_of,
)
from registry.core.ids import address_of
from registry.core.log import decode_entry, keys_of
from registry.errors import ChainReorganised

EVENTS = [
    (contract, entry) for contract in NAMES for entry in artifact(contract).abi if entry["type"] == "event"
]
SAMPLES = {"address": address_of(b"\x0a" * 20), "string": "text", "bool": True, "bytes": b"\x01\x02"}


def sample(given: dict) -> object:
    kind = given["type"]
    if kind.endswith("[]"):
        return (sample({**given, "type": kind[:-2]}),)
    if kind == "tuple":
        return tuple(sample(part) for part in given["components"])
    if kind.startswith("bytes") and kind != "bytes":
        return bytes(int(kind[5:]))
    return SAMPLES.get(kind, 7)


def event(contract="TwinRegistry", event_name="Registered", block=5, index=0, **args):
    inputs = next(e["inputs"] for c, e in EVENTS if (c, e["name"]) == (contract, event_name))
    given = {i["name"]: sample(i) for i in inputs} | args
    return ChainEvent(
        contract, event_name, given, block, 1_700_000_000 + block, sha256(b"tx").digest(), index
    )


@pytest.mark.parametrize(("contract", "abi"), EVENTS, ids=[f"{c}.{e['name']}" for c, e in EVENTS])
def test_every_event_becomes_an_entry_that_reads_back(contract, abi) -> None:
    made = entry_of(event(contract, abi["name"]))
    again = decode_entry(made.encode())
    assert again.encode() == made.encode()
    assert contract in chain_kinds()[made.kind]
    assert again.at is not None
    assert again.at.event == abi["name"]


def test_every_named_actor_is_an_argument_of_its_event() -> None:
    for _, abi in EVENTS:
        named = ACTED_BY.get(abi["name"])
        if named is not None:
            assert (named, "address") in {(i["name"], i["type"]) for i in abi["inputs"]}, abi["name"]


def test_a_sealed_version_is_found_under_its_parents_too() -> None:
    parents = (b"\x01" * 32, b"\x02" * 32)
    made = entry_of(event(parents=parents, versionId=b"\x03" * 32, modelId=b"\x04" * 32))
    assert {f"version:0x{value.hex()}" for value in (*parents, b"\x03" * 32)} <= set(keys_of(made))
    assert f"model:0x{'04' * 32}" in keys_of(made)


def test_the_actor_is_who_signed_and_others_are_subjects() -> None:
    ana, bo = address_of(b"\x0a" * 20), address_of(b"\x0b" * 20)
    made = entry_of(event(event_name="Deposited", **{"account": ana, "from": bo}))
    assert (made.actor, made.subjects) == (bo, (ana,))
    admitted = entry_of(event("Consortium", "MemberAdmitted", member=ana))
    assert (admitted.actor, admitted.subjects) == (None, (ana,))


def test_money_is_text_and_seconds_are_numbers() -> None:
    details = entry_of(event(fee=10**18, size=4096)).details
    assert (details["fee"], details["size"]) == (str(10**18), 4096)
    assert entry_of(event(size=2**63)).details["size"] == str(2**63)


def test_a_struct_is_written_by_its_names() -> None:
    terms = entry_of(event("RewardPool", "TaskOpened")).details["terms"]
    assert isinstance(terms, dict)
    assert all(name == name.lower() for name in terms)


def test_text_of_any_length_or_kind_cannot_stop_the_log() -> None:
    for reason in ("x" * 200_000, "\ud800", "\0" * 5000, ""):
        made = entry_of(event(event_name="StatusChanged", reason=reason))
        assert decode_entry(made.encode()).kind == "status_changed"


def test_arguments_too_many_for_an_entry_are_cut_to_their_digest() -> None:
    miners = tuple(address_of(number.to_bytes(20, "big")) for number in range(1, 3000))
    made = entry_of(event(event_name="RosterChanged", miners=miners, prices=tuple(range(1, 3000))))
    assert set(made.details) == {"cut"}
    assert len(made.subjects) == 256


def test_a_cell_is_registered_by_its_operator() -> None:
    made = entry_of(event("Consortium", "CellAdded", namespace_="lab", name="north"))
    assert made.cell is not None
    assert (made.cell.name, made.cell.basis) == ("lab/north", "registered")
    assert "cell:lab/north" in keys_of(made)


def test_a_cell_name_that_is_none_stays_in_the_details() -> None:
    made = entry_of(event("Consortium", "CellAdded", namespace_="lab", name="No Such"))
    assert (made.cell, made.details["name"]) == (None, "No Such")


def feed(log, events):
    chain = ChainLog(log, lambda: log.entry(len(log) - 1) if len(log) else None)
    return chain, chain.extend(events)


def test_events_enter_once_in_the_chains_order(log) -> None:
    events = [event(block=block, index=index) for block in (3, 1, 2) for index in (1, 0)]
    chain, count = feed(log, events)
    assert (count, chain.last_place) == (6, (3, 1))
    assert chain.extend(events) == 0
    places = [(r.entry.at.block, r.entry.at.index) for r in log.entries(0, 6)]
    assert places == sorted(places)


def test_after_a_restart_the_log_itself_says_how_far_it_came(log) -> None:
    events = [event(block=block) for block in range(5)]
    feed(log, events[:3])
    _, count = feed(log, events)
    assert (count, len(log)) == (2, 5)


def test_two_gateways_that_follow_one_chain_make_one_tree(bench) -> None:
    events = [event(block=block, index=index) for block in range(30) for index in range(3)]
    roots = []
    for name, steps in (("one", 90), ("two", 7)):
        log = bench.open(name)
        chain, _ = feed(log, ())
        for first in range(0, 90, steps):
            chain.extend(events[first : first + steps])
            log.publish()
        at = log.publish()
        roots.append((at.size, at.root, at.map_root))
        log.close()
    assert roots[0] == roots[1]


def test_a_chain_that_changed_under_the_log_is_a_reorganisation(log) -> None:
    events = [event(block=block) for block in range(5)]
    feed(log, events)
    held = log.entries(0, 5)
    check_same_prefix(held, events)
    with pytest.raises(ChainReorganised, match="entry 2 of the chain log is not what block 2 holds now"):
        check_same_prefix(held, [*events[:2], event(block=2, fee=1), *events[3:]])


def test_kinds_and_origins_are_spelled_one_way() -> None:
    assert kind_of("BatchSealed") == "batch_sealed"
    assert origin_of(31337, address_of(b"\x0a" * 20)) == f"31337/{address_of(bytes([10]) * 20)}"
