"""TwinRegistry after (or instead of) sealing: cancel, alias, status."""

import pytest
from onchain import version_values
from pychain import ANA, BO, CY, MINERS, reverts

from registry.core.ids import Role, model_id

ACTIVE, DEPRECATED, REVOKED, CANCELLED = 1, 2, 3, 4


def status_of(world, version):
    return world.registry.read("recordOf", version.id)[3]


def set_status(world, who, version, status, reason="stale"):
    return world.registry.send(who, "setStatus", version_values(version), status, reason)


def set_alias(world, who, version, name):
    return world.registry.send(who, "setAlias", version_values(version), name)


def cancel(world, who, version):
    return world.registry.send(who, "cancel", version_values(version))


# ---------------------------------------------------------------- cancel


def test_a_cancelled_submission_is_not_sealed(world):
    version = world.version(ANA)
    item = world.signed(ANA, version)
    cancel(world, ANA, version)
    assert world.seal(MINERS[0], item).event("Rejected")["why"] == 2
    assert status_of(world, version) == CANCELLED


def test_a_submission_issued_after_the_cancellation_is_taken(world):
    version = world.version(ANA)
    cancel(world, ANA, version)
    world.evm.at += 10
    assert not world.seal(MINERS[0], world.signed(ANA, version)).all("Rejected")
    assert status_of(world, version) == ACTIVE


def test_cancelling_again_moves_the_time(world):
    version = world.version(ANA)
    first = cancel(world, ANA, version).event("VersionCancelled")["time"]
    world.evm.at += 10
    assert cancel(world, ANA, version).event("VersionCancelled")["time"] > first


def test_cancelling_names_the_model(world):
    version = world.version(ANA, "m")
    assert cancel(world, ANA, version).event("VersionCancelled")["modelId"] == model_id(
        version.namespace_id, "m"
    )


def test_only_its_submitter_cancels(world):
    version = world.version(ANA)
    with reverts("NotVersionSubmitter", BO.address, ANA.address):
        cancel(world, BO, version)


def test_a_sealed_version_is_not_cancelled(world):
    version = world.submit(ANA, "m")
    with reverts("NotCancellable", version.id, ACTIVE):
        cancel(world, ANA, version)


def test_pause_does_not_stop_cancel(world):
    world.council(world.consortium, "pause")
    cancel(world, ANA, world.version(ANA))


# ---------------------------------------------------------------- alias


def test_an_alias_points_at_a_version_and_moves(world):
    model = model_id(world.version(ANA).namespace_id, "m")
    for salt in (b"1", b"2"):
        version = world.version(ANA, "m", salt=salt * 32)
        world.seal(MINERS[0], world.signed(ANA, version))
        event = set_alias(world, ANA, version, "champion").event("AliasSet")
        assert (event["modelId"], event["versionId"], event["name"]) == (model, version.id, "champion")
        assert world.registry.read("aliasOf", model, "champion") == version.id


def test_any_submitter_of_the_namespace_sets_an_alias(world):
    version = world.submit(ANA, "m")
    world.admit(CY, "alpha", Role.SUBMITTER)
    set_alias(world, CY, version, "champion")


def test_nobody_else_sets_an_alias(world):
    version = world.submit(ANA, "m")
    with reverts("NotOfNamespace", BO.address, version.namespace_id):
        set_alias(world, BO, version, "champion")


def test_a_member_that_does_not_submit_sets_no_alias(world):
    version = world.submit(ANA, "m")
    world.admit(CY, "alpha", Role.AUDITOR)
    with reverts("NotOfNamespace", CY.address, version.namespace_id):
        set_alias(world, CY, version, "champion")


@pytest.mark.parametrize(
    "name", ["", "latest", "v1", "v20", "0xab", "-a", "a-", "A", "a b", "ä", "a" * 65, "a/b"]
)
def test_an_alias_cannot_look_like_something_else(world, name):
    version = world.submit(ANA, "m")
    with reverts("InvalidAlias", name):
        set_alias(world, ANA, version, name)


@pytest.mark.parametrize("name", ["v", "v1a", "a", "0", "x0", "best.of-2_6", "a" * 64])
def test_every_other_name_is_an_alias(world, name):
    set_alias(world, ANA, world.submit(ANA, "m"), name)


def test_an_alias_needs_a_sealed_version(world):
    version = world.version(ANA)
    with reverts("UnknownVersion", version.id):
        set_alias(world, ANA, version, "champion")


def test_a_cancelled_version_gets_no_alias(world):
    version = world.version(ANA)
    cancel(world, ANA, version)
    with reverts("UnknownVersion", version.id):
        set_alias(world, ANA, version, "champion")


def test_a_revoked_version_gets_no_alias(world):
    version = world.submit(ANA, "m")
    set_status(world, ANA, version, REVOKED)
    with reverts("VersionRevoked", version.id):
        set_alias(world, ANA, version, "champion")


def test_no_alias_moves_while_paused(world):
    version = world.submit(ANA, "m")
    world.council(world.consortium, "pause")
    with reverts("RegistryPaused"):
        set_alias(world, ANA, version, "champion")


# ---------------------------------------------------------------- status


def test_the_submitter_deprecates_and_then_revokes(world):
    version = world.submit(ANA, "m")
    for status in (DEPRECATED, REVOKED):
        event = set_status(world, ANA, version, status).event("StatusChanged")
        assert (event["versionId"], event["status"], event["reason"]) == (version.id, status, "stale")
        assert status_of(world, version) == status


def test_a_status_change_keeps_the_rest_of_the_record(world):
    version = world.submit(ANA, "m")
    before = world.registry.read("recordOf", version.id)
    set_status(world, ANA, version, REVOKED)
    after = world.registry.read("recordOf", version.id)
    assert (*before[:3], *before[4:]) == (*after[:3], *after[4:])


def test_the_council_revokes_anybodys_version_even_while_paused(world):
    version = world.submit(ANA, "m")
    world.council(world.consortium, "pause")
    done = world.council(world.registry, "setStatus", version_values(version), REVOKED, "recalled")
    assert done.event("StatusChanged")["by"] == world.consortium.address.lower()
    assert status_of(world, version) == REVOKED


def test_nobody_else_changes_a_status(world):
    version = world.submit(ANA, "m")
    with reverts("NotVersionSubmitter", BO.address, ANA.address):
        set_status(world, BO, version, REVOKED)


@pytest.mark.parametrize(
    ("first", "then"),
    [(REVOKED, DEPRECATED), (REVOKED, REVOKED), (DEPRECATED, ACTIVE), (DEPRECATED, CANCELLED)],
)
def test_a_status_only_goes_forward(world, first, then):
    version = world.submit(ANA, "m")
    set_status(world, ANA, version, first)
    with reverts("StatusNotForward", version.id, first, then):
        set_status(world, ANA, version, then)


def test_a_status_change_needs_a_reason(world):
    version = world.submit(ANA, "m")
    with reverts("ReasonRequired"):
        set_status(world, ANA, version, REVOKED, "")


def test_an_unsealed_version_has_no_status_to_change(world):
    version = world.version(ANA)
    with reverts("UnknownVersion", version.id):
        set_status(world, ANA, version, REVOKED)


def test_submitters_change_no_status_while_paused(world):
    version = world.submit(ANA, "m")
    world.council(world.consortium, "pause")
    with reverts("RegistryPaused"):
        set_status(world, ANA, version, REVOKED)
