"""The PROV document of a case, read by a PROV library of others: it understands what the rows say."""

import zipfile
from io import BytesIO

import pytest
from prov.model import (
    ProvActivity,
    ProvAgent,
    ProvAssociation,
    ProvAttribution,
    ProvDerivation,
    ProvDocument,
    ProvEntity,
    ProvGeneration,
    ProvUsage,
)


@pytest.fixture
def told(world, address):
    """The case, its versions by name, and the document as the library reads it."""
    base = world.seal("lab/ran", "ada")
    part = world.seal("lab/antenna", "bea")
    tuned = world.seal("lab/ran", "ada", parents=(base,), components=(part,))
    world.alias("lab/ran", "stable", tuned, "ada")
    world.retrieve("lab/ran", tuned, "eve", cell="lab/cell-7")
    world.publish()
    with zipfile.ZipFile(BytesIO(world.export())) as case:
        document = ProvDocument.deserialize(content=case.read("prov.json").decode(), format="json")
    return document, {"base": base, "part": part, "tuned": tuned}


def pairs(document, kind):
    """Each relation of a kind, by the local names of its two ends."""
    ends = ([value.localpart for _, value in one.formal_attributes[:2]] for one in document.get_records(kind))
    return sorted(map(tuple, ends))


def test_versions_entries_and_members_are_entities_activities_and_agents(told, world, address):
    document, versions = told
    names = {kind: {one.identifier.localpart for one in document.get_records(kind)} for kind in
             (ProvEntity, ProvActivity, ProvAgent)}  # fmt: skip
    assert names[ProvEntity] == set(versions.values())
    assert names[ProvActivity] == {row.name.replace(":", "-") for row in world.rows()}
    assert names[ProvAgent] == {address("ada"), address("bea"), address("eve")}


def test_lineage_and_makers_are_those_of_the_rows(told, address):
    document, v = told
    assert pairs(document, ProvDerivation) == sorted([(v["tuned"], v["base"]), (v["tuned"], v["part"])])
    made = [(v["base"], "chain-0"), (v["part"], "chain-1"), (v["tuned"], "chain-2")]
    assert pairs(document, ProvGeneration) == sorted(made)
    whose = [(v["base"], address("ada")), (v["part"], address("bea")), (v["tuned"], address("ada"))]
    assert pairs(document, ProvAttribution) == sorted(whose)


def test_who_used_what_is_there(told, address):
    document, v = told
    assert ("gateway-0", v["tuned"]) in pairs(document, ProvUsage)
    assert ("gateway-0", address("eve")) in pairs(document, ProvAssociation)


def test_the_library_writes_what_it_read(told):
    document, _versions = told
    again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert again == document
