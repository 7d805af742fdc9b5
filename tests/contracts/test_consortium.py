"""Consortium: who decides, who belongs, which keys and cells are theirs."""

import pytest
from onchain import NOBODY
from pychain import ANA, BO, COUNCIL, CY, EVE, MINERS, deploy, reverts

from registry.core.ids import Role, keccak

KEY = keccak(b"key")
# The value of ordinary roles that tests grant.
SUBMITTER, MINER, OPERATOR = int(Role.SUBMITTER), int(Role.MINER), int(Role.OPERATOR)
GATEWAY, WITNESS, SEAT = int(Role.GATEWAY), int(Role.WITNESS), int(Role.COUNCIL)


def council(world, function, *args):
    return world.council(world.consortium, function, *args)


@pytest.fixture
def two_of_three(world):
    """ANA, BO and CY sit in the council; two approve."""
    council(world, "setCouncil", [ANA.address, BO.address, CY.address], 2)
    return world


def propose(world, who, function, *args):
    data = world.consortium.data(function, *args)
    return world.consortium.send(who, "propose", world.consortium.address, data, "because")


# ---------------------------------------------------------------- council


def test_a_council_of_one_decides_at_once(world):
    done = council(world, "createNamespace", "gamma")
    assert [e.name for e in done.events] == ["Proposed", "Approved", "Executed", "NamespaceCreated"]


def test_a_proposal_waits_for_its_second_approval(two_of_three):
    world = two_of_three
    done = propose(world, ANA, "createNamespace", "gamma")
    number = done.event("Proposed")["proposalId"]
    assert world.consortium.read("namespaceId", "gamma") == 0
    assert world.consortium.read("approvals", number) == 1
    assert world.consortium.read("hasApproved", number, ANA.address)
    world.consortium.send(BO, "approve", number)
    assert world.consortium.read("namespaceId", "gamma") != 0


def test_a_proposal_can_be_read(two_of_three):
    world = two_of_three
    number = propose(world, ANA, "pause").event("Proposed")["proposalId"]
    target, proposer, executed, data, reason = world.consortium.read("proposal", number)
    assert (target, proposer, executed) == (world.consortium.address.lower(), ANA.address.lower(), False)
    assert (data, reason) == (world.consortium.data("pause"), "because")
    assert world.consortium.read("proposalCount") == number


def test_only_the_council_proposes(world):
    with reverts("NotCouncil", EVE.address):
        propose(world, EVE, "pause")


def test_only_the_council_approves(two_of_three):
    number = propose(two_of_three, ANA, "pause").event("Proposed")["proposalId"]
    with reverts("NotCouncil", COUNCIL.address):
        two_of_three.consortium.send(COUNCIL, "approve", number)


def test_nobody_approves_twice(two_of_three):
    number = propose(two_of_three, ANA, "pause").event("Proposed")["proposalId"]
    with reverts("AlreadyApproved", number, ANA.address):
        two_of_three.consortium.send(ANA, "approve", number)


def test_an_executed_proposal_is_over(two_of_three):
    number = propose(two_of_three, ANA, "pause").event("Proposed")["proposalId"]
    two_of_three.consortium.send(BO, "approve", number)
    with reverts("AlreadyExecuted", number):
        two_of_three.consortium.send(CY, "approve", number)


@pytest.mark.parametrize("verb", ["approve", "execute"])
def test_an_unknown_proposal_is_named(world, verb):
    with reverts("UnknownProposal", 999):
        world.consortium.send(COUNCIL, verb, 999)


def test_a_proposal_without_its_approvals_is_not_executed(two_of_three):
    number = propose(two_of_three, ANA, "pause").event("Proposed")["proposalId"]
    with reverts("NotEnoughApprovals", number, 1, 2):
        two_of_three.consortium.send(ANA, "execute", number)


def test_approvals_of_former_members_do_not_count(two_of_three):
    world = two_of_three
    number = propose(world, ANA, "pause").event("Proposed")["proposalId"]
    change = propose(world, ANA, "setCouncil", [BO.address, CY.address], 1).event("Proposed")["proposalId"]
    world.consortium.send(BO, "approve", change)
    with reverts("NotEnoughApprovals", number, 0, 1):
        world.consortium.send(BO, "execute", number)
    world.consortium.send(BO, "approve", number)
    assert world.consortium.read("paused")


def test_a_lower_threshold_lets_a_waiting_proposal_run(two_of_three):
    world = two_of_three
    number = propose(world, ANA, "pause").event("Proposed")["proposalId"]
    change = propose(world, ANA, "setCouncil", [ANA.address], 1).event("Proposed")["proposalId"]
    world.consortium.send(BO, "approve", change)
    world.consortium.send(ANA, "execute", number)
    assert world.consortium.read("paused")


def test_a_failing_call_reverts_with_the_targets_own_error(world):
    with reverts("InvalidName", "Not A Name"):
        council(world, "createNamespace", "Not A Name")


def test_a_proposal_needs_a_contract(world):
    with reverts("NoContract", EVE.address):
        world.consortium.send(COUNCIL, "propose", EVE.address, b"", "because")


def test_council_functions_are_for_proposals_only(world):
    for function, args in (
        ("pause", ()),
        ("unpause", ()),
        ("createNamespace", ("x",)),
        ("admit", (EVE.address, "x", 1)),
        ("remove", (ANA.address,)),
        ("setRoles", (ANA.address, 1)),
        ("setCouncil", ([EVE.address], 1)),
        ("connect", (world.registry.address, world.storage.address, NOBODY, NOBODY)),
    ):
        with reverts("OnlyCouncil", COUNCIL.address):
            world.consortium.send(COUNCIL, function, *args)


@pytest.mark.parametrize(("seats", "threshold"), [(0, 0), (1, 0), (2, 3), (33, 1)])
def test_a_council_has_1_to_32_seats_and_a_reachable_threshold(world, seats, threshold):
    members = ["0x" + f"{i:040x}" for i in range(1, seats + 1)]
    with reverts("InvalidCouncil", seats, threshold):
        council(world, "setCouncil", members, threshold)


@pytest.mark.parametrize("seats", [[NOBODY], [ANA.address, ANA.address]])
def test_a_seat_is_one_address(world, seats):
    with reverts("InvalidAddress", seats[-1]):
        council(world, "setCouncil", seats, 1)


def test_the_council_role_follows_the_council(world):
    council(world, "setCouncil", [ANA.address], 1)
    assert world.consortium.read("rolesOf", ANA.address) & SEAT
    assert world.consortium.read("rolesOf", COUNCIL.address) == 0
    assert world.consortium.read("council") == (ANA.address.lower(),)
    assert world.consortium.read("threshold") == 1
    assert not world.consortium.read("isCouncil", COUNCIL.address)


# ---------------------------------------------------------------- deployment


def test_a_deployment_is_connected_once(world):
    with reverts("AlreadyConnected", world.registry.address):
        council(world, "connect", world.registry.address, world.storage.address, NOBODY, NOBODY)


def test_nobody_is_admitted_before_the_registry_is_connected(world):
    fresh = deploy(world.evm, "Consortium", [COUNCIL.address], 1, NOBODY)
    data = fresh.data("admit", ANA.address, "alpha", SUBMITTER)
    with reverts("NotConnected"):
        fresh.send(COUNCIL, "propose", fresh.address, data, "because")


@pytest.mark.parametrize("place", [0, 1])
def test_registry_and_storage_market_are_contracts(world, place):
    fresh = deploy(world.evm, "Consortium", [COUNCIL.address], 1, NOBODY)
    targets = [world.registry.address, world.storage.address]
    targets[place] = EVE.address
    data = fresh.data("connect", *targets, NOBODY, NOBODY)
    with reverts("NoContract", EVE.address):
        fresh.send(COUNCIL, "propose", fresh.address, data, "because")


def test_the_registry_listens_to_its_own_consortium_only(world):
    with reverts("OnlyConsortium", EVE.address):
        world.registry.send(EVE, "setAccount", EVE.address, 1, 1)
    with reverts("OnlyConsortium", EVE.address):
        world.registry.send(EVE, "connect", EVE.address)


def test_the_registry_takes_one_storage_market(world):
    with reverts("StorageMarketConnected", world.storage.address):
        world.council(world.registry, "connect", EVE.address)


def test_pausing_twice_is_an_error(world):
    council(world, "pause")
    with reverts("AlreadyPaused"):
        council(world, "pause")


def test_unpausing_what_runs_is_an_error(world):
    with reverts("NotPaused"):
        council(world, "unpause")


def test_pause_and_unpause_are_events(world):
    assert council(world, "pause").all("Paused")
    assert council(world, "unpause").all("Unpaused")
    assert not world.consortium.read("paused")


# ---------------------------------------------------------------- members


def test_admission_creates_the_namespace_and_writes_both_contracts(empty):
    done = empty.admit(ANA, "alpha", Role.SUBMITTER)
    assert done.event("NamespaceCreated") == {"namespaceId": 1, "name": "alpha"}
    assert done.event("MemberAdmitted")["namespace_"] == "alpha"
    assert empty.consortium.read("member", ANA.address) == (1, SUBMITTER)
    assert empty.registry.read("account", ANA.address)[1:] == (1, 1, SUBMITTER)


def test_namespaces_are_numbered_from_one(empty):
    council(empty, "createNamespace", "alpha")
    empty.admit(ANA, "beta", Role.SUBMITTER)
    empty.admit(BO, "alpha", Role.SUBMITTER)
    assert empty.consortium.read("namespaceCount") == 2
    assert [empty.consortium.read("namespaceId", n) for n in ("alpha", "beta", "nope")] == [1, 2, 0]
    assert empty.consortium.read("namespaceName", 2) == "beta"
    assert empty.consortium.read("namespaceOf", BO.address) == 1


def test_a_namespace_is_created_once(world):
    with reverts("NamespaceTaken", "alpha", 1):
        council(world, "createNamespace", "alpha")


@pytest.mark.parametrize("name", ["", "0xab", "A", "-a", "a-", "a" * 65, "a b"])
def test_a_namespace_has_a_plain_name(world, name):
    with reverts("InvalidName", name):
        council(world, "createNamespace", name)


def test_the_zero_address_is_no_member(world):
    with reverts("InvalidAddress", NOBODY):
        council(world, "admit", NOBODY, "alpha", SUBMITTER)


def test_a_member_is_admitted_once(world):
    with reverts("AlreadyMember", ANA.address, 1):
        world.admit(ANA, "beta", Role.SUBMITTER)


@pytest.mark.parametrize("roles", [0, 1 << 12, SEAT, SUBMITTER | SEAT])
def test_roles_are_known_ones_and_never_a_council_seat(world, roles):
    with reverts("InvalidRoles", roles):
        council(world, "admit", EVE.address, "alpha", roles)


def test_a_removed_member_keeps_its_money_and_may_come_back(world):
    council(world, "remove", ANA.address)
    assert world.registry.read("account", ANA.address)[3] == 0
    world.registry.send(ANA, "withdraw", world.balance(ANA))
    world.admit(ANA, "gamma", Role.SUBMITTER)
    assert world.consortium.read("member", ANA.address) == (world.consortium.read("namespaceId", "gamma"), 1)


@pytest.mark.parametrize("function", ["remove", "setRoles"])
def test_a_stranger_has_no_membership_to_change(world, function):
    with reverts("NotMember", EVE.address):
        council(world, function, EVE.address, *([1] if function == "setRoles" else []))


def test_roles_agree_in_both_contracts_after_any_change(world):
    council(world, "setRoles", ANA.address, SUBMITTER | MINER)
    council(world, "setCouncil", [COUNCIL.address, BO.address], 1)
    council(world, "setRoles", MINERS[0].address, OPERATOR)
    council(world, "remove", MINERS[1].address)
    for who in (ANA, BO, COUNCIL, *MINERS):
        assert world.registry.read("account", who.address)[3] == world.consortium.read("rolesOf", who.address)


def test_a_miner_that_loses_the_role_leaves_the_roster(world):
    council(world, "setRoles", MINERS[0].address, OPERATOR)
    assert world.registry.read("roster")[0] == tuple(m.address.lower() for m in MINERS[1:])
