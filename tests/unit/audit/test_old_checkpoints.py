"""Checkpoints that are years old: a witness whose account changed since, and how many are verified."""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from registry.audit.completeness import Trust
from registry.audit.fsck import Difference, check_log
from registry.audit.publisher import publish_once
from registry.core.note import COSIGNATURE, Note, NoteSigner, Signature

THEN, NOW = "witness/0xThen", "witness/0xNow"


@pytest.fixture
def cosigned(bench, log, entry):
    """Three checkpoints, co-signed by a gateway's witness before the gateway's account changed."""
    with closing(bench.witness(lambda _, path: log.tile(path), THEN)) as witness:
        for number in range(3):
            log.append([entry(number)])
            assert publish_once(log, [witness], {}).cosigned_by == (THEN,)
    return bench.folder / "gateway.db"


def named(name: str, secret: str = THEN) -> NoteSigner:
    return NoteSigner(name, sha256(secret.encode()).digest(), COSIGNATURE)


def resign(path: Path, size: int, line: Signature) -> None:
    """Put this line under a checkpoint in place of its co-signature."""
    with closing(sqlite3.connect(path)) as db, db:
        ((raw,),) = db.execute("SELECT note FROM checkpoints WHERE size = ?", (size,))
        note = Note.parse(raw)
        changed = Note(note.text, (note.signatures[0], line)).encode()
        db.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (changed, size))


def text_of(path: Path, size: int) -> str:
    with closing(sqlite3.connect(path)) as db:
        return Note.parse(
            db.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()[0]
        ).text


def found(path: Path, trust: Trust, signatures: int | None = None) -> list[Difference]:
    return list(check_log(path, trust, signatures=signatures))


def test_a_witness_is_known_by_its_key_under_the_account_it_had(bench, cosigned) -> None:
    assert found(cosigned, bench.trust(named(NOW).key)) == []


def test_another_key_under_a_former_account_is_nobodys(bench, cosigned) -> None:
    resign(cosigned, 2, named(THEN, "stranger").cosign(text_of(cosigned, 2), 1_700_000_000))
    (one,) = found(cosigned, bench.trust(named(NOW).key))
    assert (one.layer, one.where) == ("checkpoint", "gateway.example/log at 2")
    assert "nobody here knows" in one.text


def test_a_line_of_a_former_account_must_verify(bench, cosigned) -> None:
    resign(cosigned, 2, named(THEN).cosign(text_of(cosigned, 3), 1_700_000_000))
    (one,) = found(cosigned, bench.trust(named(NOW).key))
    assert (one.layer, one.where) == ("checkpoint", "gateway.example/log at 2")


def test_only_a_witness_that_is_named_after_an_account_changes_its_name(bench, cosigned) -> None:
    assert len(found(cosigned, bench.trust(named("witness.example/w").key))) == 3


def test_older_signatures_are_left_and_what_they_were_under_is_not(bench, cosigned) -> None:
    trust = bench.trust(named(NOW).key)
    resign(cosigned, 1, Signature(THEN, named(THEN).key.id, bytes(72)))
    assert found(cosigned, trust, signatures=2) == []
    assert len(found(cosigned, trust)) == len(found(cosigned, trust, signatures=3)) == 1
    with closing(sqlite3.connect(cosigned)) as db, db:
        db.execute("UPDATE checkpoints SET note = replace(CAST(note AS TEXT), char(10) || '1' || char(10),"
                   " char(10) || '2' || char(10)) WHERE size = 1")  # fmt: skip
    assert [one.layer for one in found(cosigned, trust, signatures=2)] == ["checkpoint", "entry"]
