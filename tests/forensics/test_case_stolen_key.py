"""Case: a device's key was stolen and is used from two cells at once."""

import pytest

from registry.audit.forensics import Moves, holders, probing, timeline, trace
from registry.audit.gatewaylog import Caller
from registry.audit.query import hidden_rows
from registry.audit.rows import Filter

METRES = {frozenset(("lab/north", "lab/south")): 12_000.0, frozenset(("lab/north", "lab/east")): 300.0}


def distance(start: str, end: str) -> float | None:
    return METRES.get(frozenset((start, end)))


@pytest.fixture
def scene(world, address):
    version = world.seal("lab/urban", "ana")
    drone = address("drone-7")

    def fetch(cell: str, at: int, observed: str | None = None) -> None:
        world.now = at
        caller = Caller(device=drone, cell=cell, address="10.0.0.9", observed_cell=observed)
        world.gateway.retrieval(caller, model="lab/urban", version=version, outcome="served", size=10)

    start = world.now + 10
    fetch("lab/north", start)
    fetch("lab/east", start + 60)
    fetch("lab/north", start + 120)
    fetch("lab/south", start + 130, observed="lab/south")
    fetch("lab/north", start + 140)
    fetch("lab/north", start + 9000)
    world.now = start + 9001
    for _ in range(3):
        world.gateway.refusal(
            Caller(claimed=address("ana"), address="10.6.6.6"), code="unauthenticated", method="GET",
            target="/v1/versions/lab/secret",
        )  # fmt: skip
    world.gateway.refusal(Caller(actor=drone), code="not_authorized", method="GET", target="/v1/members")
    world.publish()
    world.drone, world.version = drone, version
    return world


def seen(scene):
    return hidden_rows(scene.logs["gateway"], scene.openings, "device", scene.drone)


def test_the_trace_marks_the_moves_nobody_can_make(scene) -> None:
    found = trace(seen(scene), scene.drone, Moves(distance, max_speed_mps=50.0))
    assert [one.cell for one in found.sightings] == [
        "lab/north", "lab/east", "lab/north", "lab/south", "lab/north", "lab/north",
    ]  # fmt: skip
    assert [(leg.start.cell, leg.end.cell) for leg in found.impossible] == [
        ("lab/north", "lab/south"),
        ("lab/south", "lab/north"),
    ]
    assert found.impossible[0].speed_mps == 1200.0


def test_what_the_cell_saw_and_what_the_device_claimed_are_told_apart(scene) -> None:
    found = trace(seen(scene), scene.drone)
    assert [one.basis for one in found.sightings].count("observed") == 1


def test_a_long_silence_is_a_gap(scene) -> None:
    found = trace(seen(scene), scene.drone, Moves(distance, gap_s=3600))
    assert [leg.seconds for leg in found.legs if leg.is_gap] == [8860]


def test_without_distances_only_two_places_at_once_are_impossible(scene) -> None:
    assert trace(seen(scene), scene.drone).impossible == ()
    found = trace(seen(scene), scene.drone, Moves(min_handover_s=30))
    assert len(found.impossible) == 2


def test_the_hidden_device_is_found_only_through_its_openings(scene) -> None:
    assert scene.rows(actor=scene.drone, kind="retrieval") == []
    assert len(seen(scene)) == 6
    scene.gateway.forget_before(scene.now, reason="30 days")
    assert seen(scene) == []


def test_the_thief_shows_in_the_holders_of_the_version(scene, address) -> None:
    found = holders(seen(scene), scene.version)
    assert [one.who for one in found] == [scene.drone]
    assert len(found[0].names) == 6


def test_refused_requests_tell_who_probes(scene) -> None:
    found = probing(scene.rows(kind="refusal"))
    assert [(one.who, one.count) for one in found] == [("address 10.6.6.6", 3), (scene.drone, 1)]
    assert found[0].codes == (("unauthenticated", 3),)
    assert probing(scene.rows(kind="refusal"), at_least=2) == found[:1]


def test_a_claimed_name_is_never_told_as_the_actors(scene, address) -> None:
    told = [moment.who for moment in timeline(scene.rows(kind="refusal"))]
    assert told[0] == f"claimed {address('ana')}"
    assert scene.rows(actor=address("ana"), kind="refusal") == []


def test_it_ends_with_an_evidence_file_of_exactly_that_device(scene) -> None:
    places = [row.index for row in seen(scene)]
    raw = scene.export(Filter(kind="start"), also={"gateway": places})
    report = scene.verify(raw)
    assert report.entries == len(places) + 1
    assert b"lab/south" in raw
