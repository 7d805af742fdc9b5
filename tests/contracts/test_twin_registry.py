"""TwinRegistry.seal: what a sealed version leaves on the chain, and which batches are refused whole."""

from onchain import NOBODY, Fees, found, populate, submission_values, version_values
from pychain import ANA, BO, MINERS, reverts

from registry.core.ids import keccak, model_id, name_hash
from registry.core.version import Domain

ACTIVE = 1


# ---------------------------------------------------------------- what is taken


def test_the_contract_hashes_versions_as_the_clients_do(world):
    version = world.version(ANA, parents=(keccak(b"p"), keccak(b"q")), salt=keccak(b"s"), size=2**64 - 1)
    assert world.registry.read("hashVersion", version_values(version)) == version.id
    assert world.registry.read("domainSeparator") == Domain(4711, world.registry.address).separator


def test_a_sealed_version_has_one_record_and_its_full_provenance_in_an_event(world):
    parent = world.submit(ANA, "parent")
    version = world.version(ANA, "child", parents=(parent.id,), salt=keccak(b"s"))
    done = world.seal(MINERS[0], world.signed(ANA, version, high=True))
    rho_h, _, tax_h, _ = world.registry.read("menu")
    assert done.event("Registered") == {
        "versionId": version.id,
        "submitter": ANA.address.lower(),
        "modelId": model_id(version.namespace_id, "child"),
        "namespaceId": version.namespace_id,
        "nameHash": name_hash("child"),
        "weightsRoot": version.weights_root,
        "manifest": version.manifest,
        "parents": (parent.id,),
        "size": 100,
        "salt": keccak(b"s"),
        "feeClass": 1,
        "fee": 100 * rho_h,
        "tax": 100 * tax_h,
        "epoch": 0,
        "slot": 0,
    }
    submitter, _, fee_class, status, time = world.registry.read("recordOf", version.id)
    assert (submitter, fee_class, status) == (ANA.address.lower(), 1, ACTIVE)
    assert time == world.now - 1


def test_the_packed_record_reads_as_documented(world):
    version = world.submit(ANA, "m")
    submitter, block, fee_class, status, time = world.registry.read("recordOf", version.id)
    packed = world.registry.read("record", version.id)
    assert packed == int(submitter, 16) << 96 | block << 56 | fee_class << 52 | status << 48 | time


def test_a_batch_is_summed_up_in_one_event(world):
    items = [world.signed(ANA, world.version(ANA, str(i)), high=i == 0) for i in range(3)]
    done = world.seal(MINERS[0], *items, items[0])
    summary = done.event("BatchSealed")
    assert (summary["accepted"], summary["rejected"]) == (3, 1)
    assert (summary["bytesH"], summary["bytesL"]) == (100, 200)
    assert summary["fee"] == sum(e["fee"] for e in done.all("Registered"))
    assert summary["tax"] == sum(e["tax"] for e in done.all("Registered"))


def test_a_parent_may_be_earlier_in_the_same_batch(world):
    parent = world.version(ANA, "parent")
    child = world.version(BO, "child", parents=(parent.id,))
    done = world.seal(MINERS[0], world.signed(ANA, parent), world.signed(BO, child))
    assert len(done.all("Registered")) == 2


def test_a_parent_sealed_in_the_predecessor_counts(world):
    parent = world.submit(ANA, "parent")
    next_ = found(Fees(), evm=world.evm, predecessor=world.consortium.address)
    populate(next_)
    assert next_.registry.read("predecessor") == world.registry.address.lower()
    assert not next_.seal(MINERS[0], next_.signed(BO, next_.version(BO, parents=(parent.id,)))).all(
        "Rejected"
    )


# ---------------------------------------------------------------- the whole batch


def test_an_empty_batch_is_refused(world):
    with reverts("BatchSizeOutOfRange", 0, 0, 200):
        world.seal(MINERS[0])


def test_a_batch_holds_at_most_200_items(world):
    item = world.signed(ANA, world.version(ANA))
    with reverts("BatchSizeOutOfRange", 201, 201, 200):
        world.seal(MINERS[0], *[item] * 201)


def test_every_submission_needs_a_signature(world):
    values = submission_values(world.signed(ANA, world.version(ANA))[0])
    with reverts("BatchSizeOutOfRange", 1, 0, 200):
        world.registry.send(MINERS[0], "seal", [values], [])


def test_nothing_is_sealed_while_paused(world):
    world.council(world.consortium, "pause")
    with reverts("RegistryPaused"):
        world.seal(MINERS[0], world.signed(ANA, world.version(ANA)))


def test_a_parent_two_deployments_back_counts_too(world):
    parent = world.submit(ANA, "parent")
    second = found(Fees(), evm=world.evm, predecessor=world.consortium.address)
    third = found(Fees(), evm=world.evm, predecessor=second.consortium.address)
    populate(third)
    assert not third.seal(MINERS[0], third.signed(BO, third.version(BO, parents=(parent.id,)))).all(
        "Rejected"
    )


def test_a_registry_without_a_predecessor_says_so(world):
    assert world.registry.read("predecessor") == NOBODY
