"""Consortium: X25519 keys, log keys and cells, each written by its member."""

import pytest
from onchain import NOBODY, version_values
from pychain import ANA, BO, CY, EVE, reverts

from registry.core.ids import Role, keccak

KEY = keccak(b"key")
ORIGIN = "4711/gateway"


def test_a_new_key_is_a_new_version(world):
    for number in (1, 2):
        key = keccak(b"%d" % number)
        assert world.consortium.send(ANA, "registerKey", key).event("KeyRegistered")["version"] == number
        assert world.consortium.read("keyOf", ANA.address) == (number, key)


def test_only_members_have_keys(world):
    with reverts("NotMember", EVE.address):
        world.consortium.send(EVE, "registerKey", KEY)


@pytest.mark.parametrize(("function", "args"), [("registerKey", ()), ("registerLogKey", (ORIGIN,))])
def test_a_key_is_not_zero(world, function, args):
    with reverts("InvalidKey", bytes(32)):
        world.consortium.send(ANA, function, *args, bytes(32))


def test_a_log_origin_belongs_to_its_first_registrant(world):
    event = world.consortium.send(ANA, "registerLogKey", ORIGIN, KEY).event("LogKeyRegistered")
    assert (event["origin"], event["version"], event["ed25519"]) == (ORIGIN, 1, KEY)
    assert world.consortium.read("logKeyOf", ORIGIN) == (ANA.address.lower(), 1, KEY)
    with reverts("NotLogOwner", BO.address, ORIGIN, ANA.address):
        world.consortium.send(BO, "registerLogKey", ORIGIN, KEY)


def test_the_owner_changes_its_log_key(world):
    world.consortium.send(ANA, "registerLogKey", ORIGIN, KEY)
    world.consortium.send(ANA, "registerLogKey", ORIGIN, keccak(b"next"))
    assert world.consortium.read("logKeyOf", ORIGIN) == (ANA.address.lower(), 2, keccak(b"next"))


def test_a_witness_may_register_a_log_key(world):
    world.admit(CY, "gamma", Role.WITNESS)
    world.consortium.send(CY, "registerLogKey", ORIGIN, KEY)


def test_a_submitter_alone_registers_no_log_key(world):
    world.admit(CY, "gamma", Role.SUBMITTER)
    with reverts("MissingRole", CY.address, int(Role.GATEWAY)):
        world.consortium.send(CY, "registerLogKey", ORIGIN, KEY)


@pytest.mark.parametrize("origin", ["", "o" * 256])
def test_an_origin_has_1_to_255_bytes(world, origin):
    with reverts("InvalidName", origin):
        world.consortium.send(ANA, "registerLogKey", origin, KEY)


def test_an_operator_adds_a_cell_to_its_own_namespace(world):
    event = world.consortium.send(ANA, "addCell", "cell-1", BO.address).event("CellAdded")
    assert (event["namespaceId"], event["namespace_"], event["name"]) == (1, "alpha", "cell-1")
    assert world.consortium.read("cellOf", 1, "cell-1") == (True, BO.address.lower())
    assert world.consortium.read("cellOf", 2, "cell-1") == (False, NOBODY)


def test_a_cell_can_move_to_another_gateway_or_to_none(world):
    world.consortium.send(ANA, "addCell", "cell-1", BO.address)
    world.consortium.send(ANA, "addCell", "cell-1", NOBODY)
    assert world.consortium.read("cellOf", 1, "cell-1") == (True, NOBODY)


def test_only_operators_add_cells(world):
    world.admit(CY, "gamma", Role.GATEWAY)
    with reverts("MissingRole", CY.address, int(Role.OPERATOR)):
        world.consortium.send(CY, "addCell", "cell-1", NOBODY)


def test_a_cells_gateway_has_the_gateway_role(world):
    with reverts("MissingRole", EVE.address, int(Role.GATEWAY)):
        world.consortium.send(ANA, "addCell", "cell-1", EVE.address)


def test_a_cell_has_a_plain_name(world):
    with reverts("InvalidName", "Cell 1"):
        world.consortium.send(ANA, "addCell", "Cell 1", NOBODY)


# ---------------------------------------------------------------- grants

WRAPPED = bytes(80)


def private(world):
    world.submit(ANA, "m")
    world.consortium.send(BO, "registerKey", KEY)
    return world.version(ANA, "m").id


def test_a_grant_is_an_event_that_names_reader_key_and_submitter(world):
    version = private(world)
    granted = world.consortium.send(ANA, "grant", version, BO.address, 1, WRAPPED).event("Granted")
    assert (granted["versionId"], granted["keyVersion"], granted["wrappedKey"]) == (version, 1, WRAPPED)
    assert (granted["reader"], granted["by"]) == (BO.address.lower(), ANA.address.lower())
    taken = world.consortium.send(ANA, "ungrant", version, BO.address).event("Ungranted")
    assert (taken["reader"], taken["by"]) == (BO.address.lower(), ANA.address.lower())


@pytest.mark.parametrize(("function", "rest"), [("grant", (1, WRAPPED)), ("ungrant", ())])
def test_only_its_submitter_grants_a_version(world, function, rest):
    version = private(world)
    with reverts("NotVersionSubmitter", BO.address, ANA.address):
        world.consortium.send(BO, function, version, BO.address, *rest)
    with reverts("NotMember", EVE.address):
        world.consortium.send(EVE, function, version, BO.address, *rest)
    with reverts("UnknownVersion", keccak(b"none")):
        world.consortium.send(ANA, function, keccak(b"none"), BO.address, *rest)


def test_a_cancelled_version_cannot_be_granted(world):
    version = world.version(ANA, "withdrawn")
    world.registry.send(ANA, "cancel", version_values(version))
    with reverts("UnknownVersion", version.id):
        world.consortium.send(ANA, "ungrant", version.id, BO.address)


def test_strangers_are_no_readers(world):
    with reverts("NotMember", EVE.address):
        world.consortium.send(ANA, "grant", private(world), EVE.address, 1, WRAPPED)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_grant_is_for_the_key_the_reader_has_now(world, number):
    version = private(world)
    world.consortium.send(BO, "registerKey", keccak(b"next"))
    with reverts("NotPresentKey", BO.address, number):
        world.consortium.send(ANA, "grant", version, BO.address, number, WRAPPED)


@pytest.mark.parametrize("size", [0, 2049])
def test_a_wrapped_key_has_1_to_2048_bytes(world, size):
    with reverts("WrappedKeyOutOfRange", size):
        world.consortium.send(ANA, "grant", private(world), BO.address, 1, bytes(size))
