"""Case: a poisoned update went into a model, and from there into others.

An operator learns that a device was compromised. Which versions hold its updates, what was built on
them, which names pointed there, who received one, and can all that be shown to somebody who was not there?
"""

from hashlib import sha256

import pytest

from registry.audit.forensics import holders, timeline
from registry.audit.impact import (
    Link,
    ancestors,
    components_of,
    descendants,
    impact,
    links_of,
)
from registry.audit.rows import Filter
from registry.core.ids import hex32


@pytest.fixture
def scene(world, address):
    bad = {"member": address("drone-7"), "update_sha256": hex32(sha256(b"poison").digest()), "samples": 40}
    good = {"member": address("drone-8"), "update_sha256": hex32(sha256(b"fine").digest()), "samples": 40}
    clean = world.seal("lab/urban", "ana", participants=(good,))
    world.alias("lab/urban", "champion", clean, "ana")
    tainted = world.seal("lab/urban", "ana", parents=(clean,), participants=(good, bad))
    world.alias("lab/urban", "champion", tainted, "ana")
    world.retrieve("lab/urban", tainted, "bo", cell="lab/north", address="10.0.0.7")
    child = world.seal("lab/indoor", "bo", parents=(tainted,))
    chained = world.seal("lab/city", "cy", components=(child,))
    world.retrieve("lab/city", chained, "dee", cell="lab/south")
    world.retrieve("lab/urban", clean, "eve", cell="lab/south")
    world.revoke("lab/urban", tainted, "ana", "poisoned update")
    world.alias("lab/urban", "champion", clean, "ana")
    world.publish()
    world.named = {"clean": clean, "tainted": tainted, "child": child, "chained": chained}
    return world


def links_in(world):
    links = links_of(world.rows())
    for version, manifest in world.manifests.items():
        links += components_of(version, manifest)
    return links


def test_the_impact_is_every_descendant_alias_and_recipient(scene, address) -> None:
    found = impact([scene.named["tainted"]], links=links_in(scene), rows=scene.rows())
    assert {one.version for one in found.versions} == {
        scene.named[n] for n in ("tainted", "child", "chained")
    }
    assert [(one.alias, one.version, one.until is not None) for one in found.aliases] == [
        ("champion", scene.named["tainted"], True)
    ]
    assert found.people == (address("bo"), address("dee"))
    assert [one.cell for one in found.deliveries] == ["lab/north", "lab/south"]
    assert found.revoked == (scene.named["tainted"],)


def test_lineage_goes_both_ways_through_parents_and_components(scene) -> None:
    links = links_in(scene)
    up = [one.version for one in ancestors(links, scene.named["chained"])]
    assert up == [scene.named[name] for name in ("chained", "child", "tainted", "clean")]
    down = [(one.version, one.depth) for one in descendants(links, [scene.named["clean"]], depth=2)]
    assert down == [(scene.named["clean"], 0), (scene.named["tainted"], 1), (scene.named["child"], 2)]


def test_a_cycle_of_components_ends() -> None:
    links = [Link("a", "b", "component"), Link("b", "a", "component")]
    assert [one.version for one in ancestors(links, "a")] == ["a", "b"]


def test_the_first_holder_is_the_submitter_and_the_last_who_took_it_last(scene, address) -> None:
    found = holders(scene.rows(), scene.named["tainted"])
    assert [one.who for one in found] == [address("ana"), address("bo")]
    assert max(found, key=lambda holder: holder.last).who == address("bo")
    tainted = scene.named["tainted"]
    assert impact([tainted], links=(), rows=scene.rows()).holders == tuple(found)


def test_the_timeline_tells_it_in_order(scene) -> None:
    told = [moment.kind for moment in timeline(scene.rows(version=scene.named["tainted"]))]
    assert told == ["registered", "alias_set", "retrieval", "registered", "status_changed"]
    revoked = timeline(scene.rows(version=scene.named["tainted"]))[-1]
    assert f"set the status of {scene.named['tainted']} to revoked: " in revoked.text


def test_it_ends_with_an_evidence_file_that_verifies_offline(scene) -> None:
    raw = scene.export(Filter(version=scene.named["tainted"]))
    report = scene.verify(raw)
    assert report.is_pinned
    said = [claim.text for claim in report.claims]
    assert any(f"entries of version:{scene.named['tainted']} are proved complete" in text for text in said)
    assert all("witness.example/w" in claim.rests_on for claim in report.claims)


def test_without_a_trust_file_it_says_that_nothing_is_pinned(scene) -> None:
    report = scene.verify(scene.export(), pinned=False)
    assert report.headline.startswith("CONSISTENT, NOT PINNED")
    assert any("gateway.example/log" in line for line in report.fingerprints)
