"""AuditAnchor: sizes grow, forks and rewinds are refused by the contract itself, origins have owners."""

from hashlib import sha256

import pytest
from onchain import World
from pychain import BO, CHAIN_ID, CY, EVE, MINERS, Contract, deploy, reverts

from registry.audit.chainlog import origin_of
from registry.core import merkle
from registry.core.ids import Role, keccak

ORIGIN = "gateway.example/log"
MAP = sha256(b"map").digest()
NOBODY = "0x" + "0" * 40


@pytest.fixture
def gated(world: World) -> World:
    """The usual world; Cy and Bo are gateways too."""
    world.admit(CY, "edge", Role.GATEWAY)
    world.council(world.consortium, "setRoles", BO.address, int(Role.GATEWAY | Role.SUBMITTER))
    return world


@pytest.fixture
def anchors(gated: World) -> Contract:
    return deploy(gated.evm, "AuditAnchor", gated.consortium.address)


def tree_of(size: int, salt: bytes = b"") -> merkle.Tree:
    return merkle.Tree(merkle.leaf_hash(b"%d" % number + salt) for number in range(size))


def anchor(anchors, who, tree, old=0, *, origin=ORIGIN, size=None, proof=None):
    size = len(tree) if size is None else size
    proof = merkle.consistency(tree.node, old, len(tree)) if proof is None else proof
    return anchors.send(who, "anchor", origin, size, tree.root(), MAP, proof)


def test_the_first_anchor_is_kept_with_who_and_when(gated, anchors) -> None:
    tree = tree_of(5)
    event = anchor(anchors, CY, tree).event("Anchored")
    assert (event["originHash"], event["origin"]) == (keccak(ORIGIN.encode()), ORIGIN)
    assert (event["size"], event["root"], event["mapRoot"]) == (5, tree.root(), MAP)
    root, map_root, size, time, by = anchors.read("latest", ORIGIN)
    assert (root, map_root, size, by.lower()) == (tree.root(), MAP, 5, CY.address.lower())
    assert time == gated.evm.chain.get_canonical_head().timestamp


SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 40]


@pytest.mark.parametrize(("old", "new"), [(a, b) for a in SIZES for b in SIZES[1::3] if a < b])
def test_every_grown_log_is_taken_and_every_fork_refused(anchors, old, new) -> None:
    tree = tree_of(new)
    anchor(anchors, CY, tree_of(old))
    fork = tree_of(new, b"forked")
    with reverts("InconsistentLog", ORIGIN, old, new):
        anchor(anchors, CY, fork, old)
    anchor(anchors, CY, tree, old)
    assert anchors.read("latest", ORIGIN)[2] == new


def test_a_proof_that_is_bent_cut_or_longer_is_refused(anchors) -> None:
    old, tree = 11, tree_of(30)
    anchor(anchors, CY, tree_of(old))
    good = merkle.consistency(tree.node, old, 30)
    bent = [[*good[:i], bytes(32), *good[i + 1 :]] for i in range(len(good))]
    for proof in ([], good[:-1], good[1:], [*good, bytes(32)], list(reversed(good)), *bent):
        with reverts("InconsistentLog", ORIGIN, old, 30):
            anchor(anchors, CY, tree, old, proof=proof)


def test_a_size_whose_proofs_have_another_shape_is_refused(anchors) -> None:
    """A root alone does not bind the size: within one shape only the signed checkpoint does."""
    anchor(anchors, CY, tree_of(11))
    tree = tree_of(30)
    for size in (12, 16, 64, 200):
        with reverts("InconsistentLog", ORIGIN, 11, size):
            anchor(anchors, CY, tree, 11, size=size)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_log_does_not_stand_still_or_shrink(anchors, size) -> None:
    anchor(anchors, CY, tree_of(5))
    with reverts("SizeNotGrowing", ORIGIN, 5, size):
        anchor(anchors, CY, tree_of(size), size=size, proof=[])


def test_an_empty_log_is_not_anchored(anchors) -> None:
    with reverts("SizeNotGrowing", ORIGIN, 0, 0):
        anchor(anchors, CY, tree_of(0))


def test_the_first_anchor_needs_no_proof_and_takes_none(anchors) -> None:
    with reverts("InconsistentLog", ORIGIN, 0, 5):
        anchor(anchors, CY, tree_of(5), proof=[bytes(32)])


def test_only_gateways_anchor(anchors) -> None:
    for stranger in (EVE, MINERS[0]):
        with reverts("NotGateway", stranger.address):
            anchor(anchors, stranger, tree_of(5))


def test_a_gateway_that_lost_its_role_anchors_no_more(gated, anchors) -> None:
    anchor(anchors, CY, tree_of(5))
    gated.council(gated.consortium, "remove", CY.address)
    with reverts("NotGateway", CY.address):
        anchor(anchors, CY, tree_of(6), 5)


def test_an_origin_nobody_registered_belongs_to_its_first_anchorer(anchors) -> None:
    anchor(anchors, CY, tree_of(5))
    with reverts("NotOriginOwner", BO.address, ORIGIN, CY.address):
        anchor(anchors, BO, tree_of(6), 5)
    assert anchors.read("ownerOf", ORIGIN).lower() == CY.address.lower()


def test_an_origin_belongs_to_whoever_registered_its_key(gated, anchors) -> None:
    gated.consortium.send(BO, "registerLogKey", ORIGIN, keccak(b"key"))
    with reverts("NotOriginOwner", CY.address, ORIGIN, BO.address):
        anchor(anchors, CY, tree_of(5))
    anchor(anchors, BO, tree_of(5))


def test_the_chain_log_may_be_anchored_by_any_gateway(gated, anchors) -> None:
    origin = origin_of(CHAIN_ID, gated.registry.address)
    assert anchors.read("chainLogOrigin") == origin
    anchor(anchors, CY, tree_of(5), origin=origin)
    anchor(anchors, BO, tree_of(9), 5, origin=origin)
    assert anchors.read("ownerOf", origin) == NOBODY
    assert anchors.read("latest", origin)[2] == 9


def test_registering_the_chain_logs_key_does_not_take_it_over(gated, anchors) -> None:
    origin = origin_of(CHAIN_ID, gated.registry.address)
    gated.consortium.send(BO, "registerLogKey", origin, keccak(b"key"))
    anchor(anchors, CY, tree_of(5), origin=origin)


def test_logs_do_not_mix(anchors) -> None:
    anchor(anchors, CY, tree_of(5))
    anchor(anchors, CY, tree_of(3, b"other"), origin="gateway.example/other")
    assert anchors.read("latest", ORIGIN)[2] == 5
    assert anchors.read("latest", "never anchored")[2] == 0


@pytest.mark.parametrize("origin", ["", "x" * 257])
def test_an_origin_has_1_to_256_bytes(anchors, origin) -> None:
    with reverts("InvalidOrigin", len(origin)):
        anchor(anchors, CY, tree_of(5), origin=origin)


def test_an_anchor_of_a_log_of_a_million_costs_little(anchors) -> None:
    """Only the proof grows, by one hash for each doubling."""
    anchor(anchors, CY, tree_of(700))
    assert anchor(anchors, CY, tree_of(1000), 700).gas_used < 130_000
