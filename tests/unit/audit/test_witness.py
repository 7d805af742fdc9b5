"""A witness co-signs what it has rebuilt, and nothing else; a fork or a false map gets no signature."""

import sqlite3
from contextlib import closing

import pytest

from registry.audit.logstore import LogStore
from registry.audit.publisher import anchor_call, check_anchor, publish_once
from registry.audit.witness import AddCheckpoint, read_cosignatures
from registry.core import merkle
from registry.core.checkpoint import Checkpoint, verify_checkpoint
from registry.core.log import LogEntry
from registry.core.note import Note, NoteSigner
from registry.errors import VerificationFailed


@pytest.fixture
def witness(bench, log):
    made = bench.witness(lambda origin, path: log.tile(path))
    yield made
    made.close()


def request(log: LogStore, old: int) -> AddCheckpoint:
    at = Checkpoint.parse(Note.parse(log.checkpoint()).text)
    return AddCheckpoint(old, tuple(log.consistency(old, at.size)), log.checkpoint())


def test_a_log_that_only_grows_is_cosigned_each_time(bench, log, entry, witness) -> None:
    for first, end in ((0, 3), (3, 300), (300, 301)):
        log.append([entry(number) for number in range(first, end)])
        log.publish()
        answer = witness.add_checkpoint(request(log, first).encode())
        assert answer.status == 200
        lines = read_cosignatures(log.checkpoint(), answer.body, witness.key)
        note = Note.parse(log.checkpoint()).with_signatures(lines)
        found = verify_checkpoint(
            note.encode(), origin=log.origin, logs=[bench.signer.key], witnesses=[witness.key]
        )
        assert len(found.cosignatures) == 1


def test_another_old_size_is_answered_with_the_right_one(log, entry, witness) -> None:
    log.append([entry(number) for number in range(5)])
    log.publish()
    assert witness.add_checkpoint(request(log, 0).encode()).status == 200
    answer = witness.add_checkpoint(request(log, 2).encode())
    assert (answer.status, answer.body, answer.content_type) == (409, b"5\n", "text/x.tlog.size")


def test_publishing_learns_the_witness_size_by_itself(log, entry, witness) -> None:
    log.append([entry(0)])
    assert publish_once(log, [witness], {}).cosigned_by
    log.append([entry(1)])
    again = publish_once(log, [witness], {})
    assert again.cosigned_by == (witness.key.name,)
    assert again.refusals == ()


def test_a_fork_of_the_log_is_refused(bench, log, entry, witness) -> None:
    log.append([entry(number) for number in range(5)])
    log.publish()
    witness.add_checkpoint(request(log, 0).encode())
    fork = bench.open("fork")
    fork.append([entry(number + 1) for number in range(9)])
    fork.publish()
    answer = witness.add_checkpoint(request(fork, 5).encode())
    assert answer.status == 422
    assert b"no prefix" in answer.body
    fork.close()


def test_another_root_of_the_size_that_was_cosigned_is_a_conflict(bench, log, entry, witness) -> None:
    log.append([entry(number) for number in range(5)])
    log.publish()
    witness.add_checkpoint(request(log, 0).encode())
    with closing(bench.open("fork")) as fork:
        fork.append([entry(number + 1) for number in range(5)])
        fork.publish()
        answer = witness.add_checkpoint(request(fork, 5).encode())
    assert (answer.status, answer.body, answer.content_type) == (409, b"5\n", "text/x.tlog.size")


def test_a_rewound_log_is_refused(bench, log, entry, witness) -> None:
    log.append([entry(number) for number in range(5)])
    log.publish()
    witness.add_checkpoint(request(log, 0).encode())
    short = bench.open("short")
    short.append([entry(number) for number in range(3)])
    short.publish()
    assert witness.add_checkpoint(request(short, 3).encode()).status == 409
    short.close()


def test_a_map_that_hides_an_entry_is_refused(bench, log, entry, witness) -> None:
    log.append([entry(number) for number in range(8)])
    at = log.publish()
    lying = Checkpoint(at.origin, at.size, at.root, bytes(32), at.time)
    note = Note(lying.text, (bench.signer.sign_note(lying.text),))
    answer = witness.add_checkpoint(AddCheckpoint(0, (), note.encode()).encode())
    assert answer.status == 422
    assert b"the map of gateway.example/log is not that of its entries" in answer.body
    assert witness.add_checkpoint(request(log, 0).encode()).status == 200


def test_entries_that_do_not_lead_to_the_root_are_refused(bench, log, entry, witness) -> None:
    log.append([entry(number) for number in range(8)])
    log.publish()
    with sqlite3.connect(bench.folder / "gateway.db") as db:
        db.execute("UPDATE entries SET body = ? WHERE idx = 3", (entry(4).encode(),))
    db.close()
    answer = witness.add_checkpoint(request(log, 0).encode())
    assert answer.status == 422
    assert b"do not lead to its root" in answer.body


def test_an_unknown_log_an_unknown_key_and_a_bad_signature_are_told_apart(bench, log, entry, witness) -> None:
    log.append([entry(0)])
    at = log.publish()
    stranger = NoteSigner(at.origin, b"\x07" * 32)
    other = Checkpoint("other.example/log", at.size, at.root, at.map_root, at.time)
    good = Note.parse(log.checkpoint())
    line = good.signatures[0]
    bent = type(line)(line.name, line.key_id, bytes(64))
    for note, status in (
        (Note(at.text, (stranger.sign_note(at.text),)), 403),
        (Note(other.text, (bench.signer.sign_note(other.text),)), 404),
        (Note(at.text, (bent,)), 403),
    ):
        assert witness.add_checkpoint(AddCheckpoint(0, (), note.encode()).encode()).status == status


@pytest.mark.parametrize(
    "body", [b"", b"old 0", b"old 00\n\nx", b"old -1\n\nx", b"new 0\n\nx", b"old 0\n!\n\nx", b"\xff\n\n"]
)
def test_a_malformed_request_is_a_bad_request(witness, body) -> None:
    assert witness.add_checkpoint(body).status == 400


def test_a_request_with_too_long_a_proof_is_a_bad_request(log, entry, witness) -> None:
    log.append([entry(0)])
    log.publish()
    long = AddCheckpoint(0, (bytes(32),) * 64, log.checkpoint())
    assert witness.add_checkpoint(long.encode()).status == 400
    assert witness.add_checkpoint(AddCheckpoint(0, (bytes(32),), log.checkpoint()).encode()).status == 422
    assert witness.add_checkpoint(AddCheckpoint(2, (), log.checkpoint()).encode()).status == 400


def test_a_witness_remembers_over_a_restart(bench, log, entry, witness) -> None:
    log.append([entry(number) for number in range(5)])
    log.publish()
    witness.add_checkpoint(request(log, 0).encode())
    witness.close()
    again = bench.witness(lambda origin, path: log.tile(path))
    assert again.add_checkpoint(request(log, 0).encode()).status == 409
    log.append([entry(5)])
    log.publish()
    assert again.add_checkpoint(request(log, 5).encode()).status == 200
    again.close()


def test_an_anchor_carries_the_proof_from_the_anchored_size(log, entry) -> None:
    log.append([entry(number) for number in range(20)])
    log.publish()
    old = log.root(7)
    call = anchor_call(log, 7)
    assert call is not None
    merkle.verify_consistency(7, 20, old, call.root, call.consistency_proof)
    assert anchor_call(log, 20) is None


def test_entries_that_only_record_anchors_do_not_cause_one(log, entry) -> None:
    log.append([entry(0)])
    log.publish()
    log.append([LogEntry("anchored", 1_700_000_000)])
    log.publish()
    assert anchor_call(log, 1) is None
    assert anchor_call(log, 0) is not None


def test_a_lost_or_rewritten_log_shows_against_its_anchor(log, entry) -> None:
    log.append([entry(number) for number in range(20)])
    at = log.publish()
    check_anchor(log, 20, at.root, at.map_root)
    check_anchor(log, 7, log.root(7), bytes(32))
    for size, root in ((21, at.root), (20, bytes(32)), (7, at.root)):
        with pytest.raises(VerificationFailed):
            check_anchor(log, size, root, at.map_root)
