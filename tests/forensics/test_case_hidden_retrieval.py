"""Case: a gateway serves a model and hides that it did. A held promise, a client or a witness convicts it."""

from dataclasses import replace

import pytest

from registry.audit.accuse import Finding, accuse
from registry.audit.completeness import Trust, page, verify_page
from registry.audit.gatewaylog import GatewayLog
from registry.audit.logstore import LogStore
from registry.audit.rows import Filter
from registry.core.note import NoteSigner
from registry.errors import VerificationFailed


@pytest.fixture
def scene(world):
    world.version = world.seal("lab/urban", "ana")
    for reader in ("bo", "cy", "dee"):
        world.kept = world.retrieve("lab/urban", world.version, reader)
    world.publish()
    return world


def trust_in(world, quorum: int = 1) -> Trust:
    return Trust("gateway.example/log", (world.gateway_key.key,), (world.witness_key.key,), quorum)


def judge(world, promise, log=None):
    log = log or world.logs["gateway"]
    return accuse(promise, trust=trust_in(world), checkpoint=log.checkpoint(), fetch=log.tile)


def rewritten(world, *, without: int) -> LogStore:
    """The same gateway's log again, with the same key, as if that retrieval had not been."""
    forged = LogStore(world.folder / "forged.db", world.gateway_key, world.clock)
    honest = world.logs["gateway"]
    forged.append([r.entry for r in honest.entries(0, len(honest)) if r.index != without])
    forged.publish()
    return forged


def test_a_promise_that_was_kept_is_found_in_the_log(scene) -> None:
    verdict = judge(scene, scene.kept.promise)
    assert (verdict.finding, verdict.index) == (Finding.KEPT, scene.kept.record.index)


def test_a_gateway_that_never_logged_it_is_convicted_once_the_delay_is_over(scene) -> None:
    promise = scene.kept.promise
    forged = rewritten(scene, without=scene.kept.record.index)
    assert judge(scene, promise, forged).finding is Finding.OPEN
    scene.now = promise.due
    forged.publish()
    verdict = judge(scene, promise, forged)
    assert verdict.finding is Finding.BROKEN
    assert f"promised the entry by {promise.due}" in verdict.reason
    forged.close()


def test_the_witness_refuses_the_log_that_was_rewritten(scene) -> None:
    forged = rewritten(scene, without=0)
    scene.logs["gateway"], honest = forged, scene.logs["gateway"]
    with pytest.raises(AssertionError, match="409"):
        scene.publish()
    honest.close()


def test_a_log_that_shows_the_accuser_other_entries_is_refused(scene) -> None:
    honest = scene.logs["gateway"]
    forged = rewritten(scene, without=0)
    forged.append([honest.entry(0).entry])
    forged.publish()
    with pytest.raises(VerificationFailed, match="do not lead to the root"):
        accuse(scene.kept.promise, trust=trust_in(scene), checkpoint=honest.checkpoint(), fetch=forged.tile)
    forged.close()


def test_a_promise_signed_by_nobody_of_that_log_accuses_nobody(scene) -> None:
    promise = scene.kept.promise
    for bent in (
        replace(promise, issued=promise.issued - 100),
        replace(promise, entry_sha256=bytes(32)),
        replace(promise, signature=bytes(64)),
        replace(promise, log="other.example/log"),
    ):
        with pytest.raises(VerificationFailed):
            judge(scene, bent)


def test_a_hidden_entry_shows_in_a_complete_answer(scene, address) -> None:
    """The gateway leaves it out of the answer but not out of the map."""
    log = scene.logs["gateway"]
    honest = page(log, f"actor:{address('bo')}")
    hiding = replace(honest, entries=(), count=0)
    assert verify_page(honest, trust_in(scene)).is_proved
    with pytest.raises(VerificationFailed):
        verify_page(hiding, trust_in(scene))


def test_a_stale_answer_is_dated_by_its_witness(scene, address) -> None:
    stale = page(scene.logs["gateway"], f"actor:{address('bo')}")
    scene.now += 1000
    scene.retrieve("lab/urban", scene.version, "bo")
    scene.publish()
    fresh = page(scene.logs["gateway"], f"actor:{address('bo')}")
    times = [verify_page(p, trust_in(scene)).verified.cosignatures[0].time for p in (stale, fresh)]
    assert times[0] < times[1]


def test_another_gateways_key_proves_nothing_here(scene) -> None:
    stranger = NoteSigner("gateway.example/log", b"\x09" * 32)
    other = LogStore(scene.folder / "other.db", stranger, scene.clock)
    GatewayLog(other, scene.openings, clock=scene.clock, salt=lambda: bytes(32)).started(
        software="x", chain_log="y"
    )
    other.publish()
    with pytest.raises(VerificationFailed, match="no trusted key"):
        verify_page(page(other, "kind:start"), trust_in(scene))
    other.close()


def test_it_ends_with_an_evidence_file_that_carries_the_promise(scene) -> None:
    from registry.audit.evidence import Surroundings, export_case

    forged = rewritten(scene, without=scene.kept.record.index)
    scene.now = scene.kept.promise.due
    forged.publish()
    about = Surroundings(
        scene.chain_id, scene.trust.genesis_hash, scene.contracts, (scene.witness_key.key,),
        promises=(scene.kept.promise,),
    )  # fmt: skip
    raw = export_case({"gateway": forged}, Filter(log="gateway"), about, created=scene.now)
    report = scene.verify(raw)
    said = [claim.text for claim in report.claims]
    assert any("these are all entries of gateway.example/log" in text for text in said)
    assert any(f"by {scene.kept.promise.due}" in text for text in said)
    assert any("broken" in text and "does not hold it" in text for text in said)
    forged.close()
