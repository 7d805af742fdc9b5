"""A signed submission spelt out is what its shape would write."""

from hypothesis import given
from hypothesis import strategies as st

from registry.core.ids import FeeClass, VersionId, address_of
from registry.core.version import Submission, Version
from registry.pool.rows import signed_text
from registry.wire import SignedSubmission, submission_body

WORDS = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(0, (1 << 64) - 1)
VERSIONS = st.builds(
    Version,
    namespace_id=NUMBERS,
    name_hash=WORDS,
    weights_root=WORDS,
    manifest=WORDS,
    parents=st.lists(WORDS.map(VersionId), max_size=8).map(tuple),
    size=NUMBERS,
    salt=WORDS,
    submitter=st.binary(min_size=20, max_size=20).map(address_of),
)
SUBMISSIONS = st.builds(
    Submission,
    version=VERSIONS,
    fee_class=st.sampled_from(FeeClass),
    max_price=st.integers(0, (1 << 128) - 1),
    issued_at=NUMBERS,
    deadline=NUMBERS,
)


@given(SUBMISSIONS, st.binary(min_size=65, max_size=65))
def test_it_is_written_as_its_shape_is(submission: Submission, signature: bytes) -> None:
    shape = SignedSubmission(submission=submission_body(submission), signature="0x" + signature.hex())
    assert signed_text(submission, signature) == shape.model_dump_json()
