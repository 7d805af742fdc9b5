"""TwinRegistry.seal: every reason to skip an item, and that skipping costs its submitter nothing."""

import pytest
from onchain import submission_values, version_values
from pychain import ANA, BO, CY, EVE, MINERS

from registry.core.ids import Role, keccak
from registry.core.signing import to_compact
from registry.core.version import Domain, submission_digest

DEPRECATED, REVOKED = 2, 3
WHY = """None AlreadySealed Cancelled NotYetIssued Expired WindowTooLong BadSignature NotSubmitter
    WrongNamespace TooManyParents UnknownParent RevokedParent UnknownFeeClass PriceTooLow InsufficientBalance
    SizeOutOfRange NoCapacity""".split()  # noqa: SIM905  # a list of words reads better


def why(world, *item, miner=MINERS[0]):
    """The reason for which this one item is skipped; its batch still goes through."""
    done = world.seal(miner, item)
    assert done.event("BatchSealed")["rejected"] == 1
    return WHY[done.event("Rejected")["why"]]


def test_a_bad_item_costs_its_submitter_nothing(world):
    before = world.balance(ANA)
    assert why(world, *world.signed(ANA, world.version(ANA), max_price=1)) == "PriceTooLow"
    assert world.balance(ANA) == before


def test_a_version_is_sealed_once_whatever_the_payment_terms(world):
    version = world.submit(ANA, "m")
    assert why(world, *world.signed(ANA, version, high=True)) == "AlreadySealed"


def test_a_submission_is_not_taken_before_it_was_issued(world):
    item = world.signed(ANA, world.version(ANA), issued_at=world.now + 100)
    assert why(world, *item) == "NotYetIssued"


def test_a_submission_is_not_taken_after_its_deadline(world):
    item = world.signed(ANA, world.version(ANA), deadline=world.now - 1)
    assert why(world, *item) == "Expired"


def test_a_submission_lives_a_day_at_most(world):
    item = world.signed(ANA, world.version(ANA), deadline=world.now + 86_401)
    assert why(world, *item) == "WindowTooLong"


def test_a_submission_may_live_exactly_a_day(world):
    item = world.signed(ANA, world.version(ANA), deadline=world.now + 86_400)
    assert not world.seal(MINERS[0], item).all("Rejected")


def test_somebody_elses_signature_is_none(world):
    submission, _ = world.signed(ANA, world.version(ANA))
    assert why(world, *world.signed(EVE, submission.version)) == "BadSignature"


def test_a_signature_for_another_deployment_is_none(world):
    submission, _ = world.signed(ANA, world.version(ANA))
    digest = submission_digest(Domain(4711, world.storage.address), submission)
    assert why(world, submission, ANA.signer.sign_hash(digest)) == "BadSignature"


def test_the_high_twin_of_a_signature_is_none(world):
    submission, signature = world.signed(ANA, world.version(ANA))
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    r, vs = to_compact(signature)
    low = int.from_bytes(vs, "big")
    high = (order - (low & (1 << 255) - 1)) | (1 - (low >> 255)) << 255
    data = world.registry.data("seal", [submission_values(submission)], [(r, high.to_bytes(32, "big"))])
    done = world.evm.transact(MINERS[0], world.registry.raw, data)
    assert WHY[done.event("Rejected")["why"]] == "BadSignature"


def test_changed_terms_break_the_signature(world):
    submission, signature = world.signed(ANA, world.version(ANA))
    values = submission_values(submission)
    dearer = (*values[:2], values[2] + 1, *values[3:])
    data = world.registry.data("seal", [dearer], [to_compact(signature)])
    done = world.evm.transact(MINERS[0], world.registry.raw, data)
    assert WHY[done.event("Rejected")["why"]] == "BadSignature"


def test_only_a_submitter_submits(world):
    world.admit(CY, "gamma", Role.DEVICE)
    assert why(world, *world.signed(CY, world.version(CY))) == "NotSubmitter"


def test_nobody_squats_in_another_namespace(world):
    theirs = world.registry.read("account", BO.address)[1]
    assert why(world, *world.signed(ANA, world.version(ANA, namespace_id=theirs))) == "WrongNamespace"


def test_nine_parents_are_too_many(world):
    parents = [world.submit(ANA, f"p{i}").id for i in range(3)] * 3
    values = submission_values(world.signed(ANA, world.version(ANA))[0])
    version = (*values[0][:4], parents, *values[0][5:])
    data = world.registry.data("seal", [(version, *values[1:])], [(bytes(32), bytes(32))])
    done = world.evm.transact(MINERS[0], world.registry.raw, data)
    assert WHY[done.event("Rejected")["why"]] == "TooManyParents"


def test_an_unknown_parent_is_refused(world):
    assert why(world, *world.signed(ANA, world.version(ANA, parents=(keccak(b"?"),)))) == "UnknownParent"


def test_a_cancelled_record_is_no_known_parent(world):
    parent = world.version(ANA, "parent")
    world.registry.send(ANA, "cancel", version_values(parent))
    assert why(world, *world.signed(ANA, world.version(ANA, parents=(parent.id,)))) == "UnknownParent"


def test_a_revoked_parent_is_refused_and_a_deprecated_one_is_not(world):
    parent = world.submit(ANA, "parent")
    world.registry.send(ANA, "setStatus", version_values(parent), DEPRECATED, "old")
    assert not world.seal(MINERS[0], world.signed(ANA, world.version(ANA, "a", parents=(parent.id,)))).all(
        "Rejected"
    )
    world.registry.send(ANA, "setStatus", version_values(parent), REVOKED, "wrong")
    assert why(world, *world.signed(ANA, world.version(ANA, "b", parents=(parent.id,)))) == "RevokedParent"


def test_there_are_two_fee_classes(world):
    values = submission_values(world.signed(ANA, world.version(ANA))[0])
    data = world.registry.data("seal", [(values[0], 2, *values[2:])], [(bytes(32), bytes(32))])
    done = world.evm.transact(MINERS[0], world.registry.raw, data)
    assert WHY[done.event("Rejected")["why"]] == "UnknownFeeClass"


@pytest.mark.parametrize("high", [False, True])
def test_the_largest_price_must_cover_the_menu_and_may_equal_it(world, high):
    rho_h, rho_l, tax_h, tax_l = world.registry.read("menu")
    price = rho_h + tax_h if high else rho_l + tax_l
    version = world.version(ANA)
    assert why(world, *world.signed(ANA, version, high, max_price=price - 1)) == "PriceTooLow"
    assert not world.seal(MINERS[0], world.signed(ANA, version, high, max_price=price)).all("Rejected")


def test_escrow_must_cover_the_item(world):
    world.registry.send(ANA, "withdraw", world.balance(ANA) - 10)
    assert why(world, *world.signed(ANA, world.version(ANA))) == "InsufficientBalance"


@pytest.mark.parametrize("size", [0, 50_001])
def test_an_item_has_at_least_a_byte_and_at_most_max_item_bytes(world, size):
    assert why(world, *world.signed(ANA, world.version(ANA, size=size))) == "SizeOutOfRange"


def test_a_slot_whose_budget_is_used_up_takes_no_more(world):
    for i in range(2):
        world.submit(ANA, f"big{i}", size=50_000)
    assert why(world, *world.signed(ANA, world.version(ANA, "more"))) == "NoCapacity"
