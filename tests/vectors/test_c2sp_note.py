"""Notes, checkpoints, cosignatures and log proofs against the examples of C2SP and against tampering."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.core import merkle
from registry.core.checkpoint import Checkpoint, verify_checkpoint
from registry.core.note import COSIGNATURE, Note, NoteSigner, VerifierKey, cosigners, log_signers
from registry.core.promise import Promise, make_promise, verify_promise
from registry.core.tlogproof import TlogProof, verify_tlog_proof
from registry.errors import Malformed, RegistryError, VerificationFailed

SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = """This is an example message.

\N{EM DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""  # noqa: E501  the specification's own line

LOG = NoteSigner("log.example/a", sha256(b"log").digest())
WITNESS = NoteSigner("witness.example/w", sha256(b"witness").digest(), COSIGNATURE)
AT = Checkpoint("log.example/a", 3, sha256(b"root").digest(), sha256(b"map").digest(), 1_700_000_000)


def signed(at: Checkpoint = AT) -> Note:
    return Note(at.text, (LOG.sign_note(at.text), WITNESS.cosign(at.text, 1_700_000_001)))


def test_the_specifications_example_verifies_and_prints_as_it_was() -> None:
    key = VerifierKey.parse(SPEC_KEY)
    note = Note.parse(SPEC_NOTE.encode())
    assert log_signers(note, [key]) == [key]
    assert str(key) == SPEC_KEY
    assert note.encode() == SPEC_NOTE.encode()


def test_the_specifications_example_with_another_text_is_refused() -> None:
    bent = Note.parse(SPEC_NOTE.replace("example message", "forged message").encode())
    with pytest.raises(
        VerificationFailed, match=r"the signature of example\.com/foo on the checkpoint is wrong"
    ):
        log_signers(bent, [VerifierKey.parse(SPEC_KEY)])


def test_a_signature_of_an_unknown_key_counts_for_nothing() -> None:
    stranger = NoteSigner("log.example/a", sha256(b"stranger").digest())
    with pytest.raises(VerificationFailed, match="no trusted key"):
        verify_checkpoint(signed().encode(), origin=AT.origin, logs=[stranger.key])


def test_a_checkpoint_says_who_signed_and_who_cosigned_and_when() -> None:
    found = verify_checkpoint(signed().encode(), origin=AT.origin, logs=[LOG.key], witnesses=[WITNESS.key])
    assert found.checkpoint == AT
    assert found.signers == (LOG.key,)
    assert [(mark.key, mark.time) for mark in found.cosignatures] == [(WITNESS.key, 1_700_000_001)]


def test_a_cosignature_with_another_time_is_refused() -> None:
    note = signed()
    line = note.signatures[1]
    moved = type(line)(line.name, line.key_id, (1_700_000_002).to_bytes(8, "big") + line.raw[8:])
    with pytest.raises(VerificationFailed):
        cosigners(Note(note.text, (moved,)), [WITNESS.key])


def test_a_log_key_is_no_witness_key_though_the_secret_is_the_same() -> None:
    both = NoteSigner("log.example/a", sha256(b"log").digest(), COSIGNATURE)
    note = Note(AT.text, (LOG.sign_note(AT.text),))
    assert both.key.id != LOG.key.id
    assert cosigners(note, [both.key]) == []
    assert log_signers(note, [both.key]) == []


def test_the_checkpoint_of_another_log_is_refused_by_name() -> None:
    with pytest.raises(
        VerificationFailed, match=r"a checkpoint of 'log\.example/a', not of 'log\.example/b'"
    ):
        verify_checkpoint(signed().encode(), origin="log.example/b", logs=[LOG.key])


@settings(max_examples=400)
@given(st.data())
def test_a_flipped_byte_anywhere_in_a_checkpoint_is_refused(data: st.DataObject) -> None:
    raw = bytearray(signed().encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        found = verify_checkpoint(bytes(raw), origin=AT.origin, logs=[LOG.key], witnesses=[WITNESS.key])
    except VerificationFailed:
        return
    # Only a line that no known key claims may change unseen: then that signature is lost, and no other.
    assert found.checkpoint == AT
    assert not found.cosignatures


@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_or_a_verification_error(raw: bytes) -> None:
    for parse in (Note.parse, TlogProof.parse):
        try:
            parse(raw)
        except VerificationFailed:
            continue


@given(st.text(max_size=120))
def test_any_text_is_a_verifier_key_or_malformed(text: str) -> None:
    try:
        VerifierKey.parse(text)
    except Malformed:
        return
    pytest.fail("found a verifier key by chance")


@pytest.mark.parametrize(
    "text",
    [
        "log\n03\n" + "A" * 43 + "=\n",
        "log\n-3\n" + "A" * 43 + "=\n",
        "log\n3\n" + "A" * 44 + "\n",
        "log\n3\n",
        "log\n3\n" + "A" * 43 + "=\n\n",
        "log\n3\n" + "A" * 43 + "=\ntime 1\ntime 2\n",
        "log\n3\n" + "A" * 43 + "=\nmap AAAA\n",
        "log\n0\n" + "A" * 43 + "=\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(VerificationFailed):
        Checkpoint.parse(text)


def test_a_foreign_logs_checkpoint_without_our_extensions_is_read() -> None:
    at = Checkpoint.parse(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )
    assert (at.origin, at.size, at.map_root, at.time) == ("example.com/behind-the-sofa", 20852163, None, None)


def proof_of_second() -> bytes:
    tree = merkle.Tree(merkle.leaf_hash(entry) for entry in (b"a", b"b", b"c"))
    at = Checkpoint(LOG.key.name, 3, tree.root(), None, None)
    note = Note(at.text, (LOG.sign_note(at.text),))
    return TlogProof(1, tuple(merkle.inclusion(tree.node, 1, 3)), note.encode(), b"extra").encode()


def test_a_log_proof_reads_back_and_verifies() -> None:
    raw = proof_of_second()
    assert TlogProof.parse(raw).encode() == raw
    assert verify_tlog_proof(raw, b"b", origin=LOG.key.name, logs=[LOG.key]).checkpoint.size == 3


def test_a_log_proof_of_another_entry_is_refused() -> None:
    with pytest.raises(VerificationFailed, match="leaf 1 is not under the root"):
        verify_tlog_proof(proof_of_second(), b"c", origin=LOG.key.name, logs=[LOG.key])


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_byte_in_a_log_proof_is_refused(data: st.DataObject) -> None:
    raw = bytearray(proof_of_second())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        verify_tlog_proof(bytes(raw), b"b", origin=LOG.key.name, logs=[LOG.key])
    except VerificationFailed:
        return
    # The extra line is the one part that C2SP leaves unauthenticated.
    assert bytes(raw).split(b"index")[1] == proof_of_second().split(b"index")[1]


def test_a_promise_survives_the_wire_and_verifies() -> None:
    promise = make_promise(LOG, LOG.key.name, b"{}", issued=1_700_000_000, merge_delay_s=60)
    again = Promise.from_json(promise.to_json())
    verify_promise(again, LOG.key)
    assert again == promise
    assert again.entry_sha256 == sha256(b"{}").digest()
    assert again.due == 1_700_000_060


@pytest.mark.parametrize("field", ["log", "entry_sha256", "issued", "merge_delay_s", "signature"])
def test_a_promise_with_one_changed_field_is_refused(field: str) -> None:
    promise = make_promise(LOG, LOG.key.name, b"{}", issued=1_700_000_000, merge_delay_s=60)
    other = make_promise(LOG, "log.example/b", b"[]", issued=1_700_000_001, merge_delay_s=61)
    bent = promise.to_json() | {field: other.to_json()[field]}
    with pytest.raises(VerificationFailed):
        verify_promise(Promise.from_json(bent), LOG.key)


@pytest.mark.parametrize(
    "change",
    [
        {"issued": -1},
        {"issued": True},
        {"merge_delay_s": 1.5},
        {"signature": "0x00"},
        {"extra": 1},
        {"log": 3},
    ],
)
def test_a_malformed_promise_is_refused(change: dict[str, object]) -> None:
    promise = make_promise(LOG, LOG.key.name, b"{}", issued=1_700_000_000, merge_delay_s=60)
    with pytest.raises(RegistryError):
        Promise.from_json(promise.to_json() | change)
