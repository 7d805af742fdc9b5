"""What the pool of pending submissions promises, on every database this machine has."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert, select, update

from registry.audit.marked import check_marked_rows
from registry.core.cid import Cid
from registry.core.ids import Address, FeeClass, VersionId, hex32, keccak, sha256
from registry.core.signing import KeySigner
from registry.core.version import Submission, Version
from registry.database import open_database, snapshot, writing
from registry.errors import Conflict, Malformed, StoreUnavailable, Unauthenticated
from registry.pool import Answered, Entry, Nonces, Pool, PoolState, Requests, Upload, Uploads, open_nonces
from registry.pool.nonces import LEAD_S, SWEEP_S
from registry.pool.schema import answers, nonces, submissions, uploads
from registry.pool.seals import RowSeal
from registry.wire import SignedSubmission, submission_of

ANA = KeySigner(keccak(b"ana")).address
BO = KeySigner(keccak(b"bo")).address
SEAL = RowSeal(b"k" * 32)
OpenEngine = Callable[[], Engine]


def entry(label: str, submitter: Address = ANA, *, size: int = 100, deadline: int = 2_000) -> Entry:
    digest = sha256(label.encode())
    version = Version(1, digest, digest, digest, (VersionId(digest),), size, digest, submitter)
    submission = Submission(version, FeeClass.STANDARD, (1 << 128) - 1, 1_000, deadline)
    return Entry(submission, bytes(64) + b"\x1b", f"local/{label}", submission.reserve, 1_000)


@pytest.fixture
def pool(open_engine: OpenEngine) -> Iterator[Pool]:
    return Pool(open_engine())


def ids(entries: list[Entry]) -> list[VersionId]:
    return [e.version_id for e in entries]


def test_what_was_added_is_there_whole_after_a_restart(pool: Pool, open_engine: OpenEngine) -> None:
    given = entry("a", size=(1 << 53) + 1)
    pool.add([given])
    found = Pool(open_engine()).get(given.version_id)
    assert found is not None
    assert replace(found, sequence=0) == given


def test_a_snapshot_is_of_one_moment(pool: Pool, open_engine: OpenEngine) -> None:
    pool.add([entry("before")])
    held = select(submissions.c.model).order_by(submissions.c.sequence)
    with snapshot(open_engine()) as connection:
        first = connection.execute(held).scalars().all()
        pool.add([entry("meanwhile")])
        assert connection.execute(held).scalars().all() == first == ["local/before"]
    with snapshot(open_engine()) as connection:
        assert connection.execute(held).scalars().all() == ["local/before", "local/meanwhile"]


def test_pending_entries_come_in_order_of_arrival_page_by_page(pool: Pool) -> None:
    entries = [entry(str(n)) for n in range(7)]
    for start in range(0, 7, 3):
        pool.add(entries[start : start + 3])
    first = pool.pending(limit=4)
    rest = pool.pending(limit=4, after=first[-1].sequence)
    assert ids(first + rest) == ids(entries)


def test_the_same_version_again_replaces_and_goes_to_the_end(pool: Pool) -> None:
    a, b = entry("a"), entry("b")
    pool.add([a, b])
    pool.add([replace(a, received=1_234)])
    assert ids(pool.pending(limit=9)) == [b.version_id, a.version_id]
    assert pool.pending(limit=9)[1].received == 1_234


def test_an_array_that_cannot_be_written_whole_leaves_nothing(pool: Pool) -> None:
    with pytest.raises(StoreUnavailable):
        pool.add([entry("a"), replace(entry("b"), model=None)])  # type: ignore[arg-type]
    assert pool.pending(limit=9) == []


def test_reservations_are_sums_of_any_size_over_what_is_pending(pool: Pool) -> None:
    mine = [entry("a", size=10**12), entry("b", size=10**12)]
    pool.add([*mine, entry("c", BO)])
    assert pool.reserved(ANA) == 2 * 10**12 * ((1 << 128) - 1)
    pool.mark([mine[0].version_id], PoolState.SEALED)
    assert pool.reserved(ANA) == 10**12 * ((1 << 128) - 1)
    assert pool.pending_of(ANA) == 1


def test_a_state_is_changed_for_known_versions_only(pool: Pool) -> None:
    known, unknown = entry("a"), entry("b")
    pool.add([known])
    pool.mark([known.version_id, unknown.version_id], PoolState.REJECTED, "no escrow")
    assert [(e.state, e.reason) for e in pool.listed(None, limit=9)] == [(PoolState.REJECTED, "no escrow")]
    assert (pool.count(PoolState.REJECTED), pool.count(PoolState.PENDING)) == (1, 0)


def test_what_a_reorganisation_undid_is_pending_again_in_its_old_place(pool: Pool) -> None:
    a, b = entry("a"), entry("b")
    pool.add([a, b])
    pool.mark([a.version_id], PoolState.SEALED)
    pool.mark([a.version_id], PoolState.PENDING)
    assert ids(pool.pending(limit=9)) == [a.version_id, b.version_id]


def test_only_what_is_past_its_deadline_expires(pool: Pool) -> None:
    early, late = entry("a", deadline=1_500), entry("b", deadline=1_501)
    pool.add([early, late])
    assert pool.expire(1_501) == 1
    assert pool.get_many(ids([early, late]))[early.version_id].state is PoolState.EXPIRED
    assert ids(pool.pending(limit=9)) == [late.version_id]


def test_gateways_that_share_a_pool_expire_each_entry_once(open_engine: OpenEngine) -> None:
    pools = [Pool(open_engine()) for _ in range(3)]
    pools[0].add([entry(str(n), deadline=1_500) for n in range(1_200)])
    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(lambda pool: pool.expire(1_501), pools)) == 1_200
    assert pools[0].count(PoolState.EXPIRED) == 1_200


@pytest.mark.parametrize("database_server", ["postgresql"], indirect=True)
def test_what_another_gateway_holds_is_passed_over_and_not_waited_for(open_engine: OpenEngine) -> None:
    held, free = entry("a", deadline=1_500), entry("b", deadline=1_500)
    pool, other = Pool(open_engine()), open_engine()
    pool.add([held, free])
    sealed = update(submissions).where(submissions.c.version_id == hex32(held.version_id))
    with other.begin() as connection:
        connection.execute(sealed.values(state=PoolState.SEALED))
        assert pool.expire(1_501) == 1  # it would wait for ever, were the row not skipped
    assert pool.expire(1_501) == 0
    found = pool.get_many(ids([held, free]))
    assert [found[e.version_id].state for e in (held, free)] == [PoolState.SEALED, PoolState.EXPIRED]


def test_what_lies_in_the_file_says_what_the_entries_say(pool: Pool) -> None:
    first, second = entry("a"), entry("b", BO)
    pool.add([first, second])
    pool.mark([second.version_id], PoolState.SEALED)
    filed = pool.filed(None, limit=9)
    assert [one.version_id for one in filed] == [hex32(e.version_id) for e in (first, second)]
    assert pool.filed_of([second.version_id, first.version_id]) == {
        first.version_id: filed[0],
        second.version_id: filed[1],
    }
    read = SignedSubmission.model_validate(json.loads(filed[1].body))
    assert submission_of(read.submission) == second.submission
    assert (filed[1].submitter, filed[1].state, filed[1].deadline) == (BO, PoolState.SEALED, 2_000)
    assert pool.filed(PoolState.PENDING, limit=9, after=filed[0].sequence) == []
    unknown = VersionId(bytes(32))
    assert pool.still_pending([second.version_id, unknown, first.version_id]) == [first.version_id]
    assert pool.still_pending([second.version_id, unknown]) == []
    assert pool.still_pending([]) == []


def test_many_writers_at_once_lose_nothing_and_wait_for_each_other(pool: Pool) -> None:
    def add(worker: int) -> None:
        for n in range(10):
            pool.add([entry(f"{worker}.{n}"), entry(f"shared.{n}")])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))
    assert len(pool.pending(limit=1_000)) == 90


def test_a_transaction_that_breaks_off_leaves_nothing(open_engine: OpenEngine, pool: Pool) -> None:
    engine = open_engine()
    with pytest.raises(KeyError), writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM submissions")
        raise KeyError
    pool.add([entry("a")])
    assert len(pool.pending(limit=9)) == 1


def test_a_nonce_is_taken_once_also_by_two_at_once(open_engine: OpenEngine) -> None:
    taken = open_nonces(open_engine(), SEAL, window_s=300)

    def use(_: int) -> bool:
        try:
            taken.take(ANA, b"n" * 32, 1_000, 1_000)
        except Unauthenticated:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(use, range(8))) == 1
    taken.take(BO, b"n" * 32, 1_000, 1_000)
    again = open_nonces(open_engine(), SEAL, window_s=300)
    with pytest.raises(Unauthenticated):
        again.take(ANA, b"n" * 32, 1_000, 1_000)
    again.take(ANA, b"m" * 32, 1_000 + LEAD_S + 1, 1_000 + LEAD_S + 1)


def test_a_kept_answer_is_given_again_and_never_for_another_body(open_engine: OpenEngine) -> None:
    requests = Requests(open_engine(), SEAL)
    requests.keep(ANA, "/v1/tasks", "k", b"b" * 32, Answered(202, '{"x":"\\u0000ü"}'), 1_000)
    assert requests.answered(ANA, "/v1/tasks", "k", b"b" * 32) == Answered(202, '{"x":"\\u0000ü"}')
    assert requests.answered(BO, "/v1/tasks", "k", b"b" * 32) is None
    with pytest.raises(Conflict):
        requests.answered(ANA, "/v1/tasks", "k", b"c" * 32)


def test_uploads_count_until_a_submission_names_them(open_engine: OpenEngine) -> None:
    uploads = Uploads(open_engine(), SEAL)
    files = [Upload(Cid(0x55, sha256(bytes([n]))), bytes(32), 1 << 40, ANA, 1_000 + n) for n in range(3)]
    uploads.add(files)
    uploads.add([replace(files[0], caller=BO)])
    assert uploads.unnamed_bytes(ANA) == 3 << 40
    uploads.name([files[0].cid])
    assert (uploads.unnamed_bytes(), uploads.unnamed_bytes(BO)) == (2 << 40, 0)
    assert uploads.forget(1_002) == 1
    assert uploads.get(files[0].cid) == replace(files[0], named=True)
    assert uploads.get(files[1].cid) is None


def marked(engine: Engine) -> tuple[Nonces, Uploads]:
    """A row in every table of those that bear the gateway's mark; the upload is named."""
    taken, requests, kept = Nonces(engine, SEAL, window_s=300), Requests(engine, SEAL), Uploads(engine, SEAL)
    taken.take(ANA, b"n" * 32, 1_000, 1_000)
    requests.keep(ANA, "/v1/tasks\0", "k", b"b" * 32, Answered(202, '{"x":"\0ü"}'), 1_000)
    file = Upload(Cid(0x55, sha256(b"x")), sha256(b"x"), 1, ANA, 1_000)
    kept.add([file])
    kept.name([file.cid])
    return taken, kept


def wrong(engine: Engine, *, is_shared: bool = False, seal: RowSeal = SEAL) -> list[str]:
    found = check_marked_rows(engine, seal, is_shared=is_shared, nonce_window_s=300)
    return [f"{one.layer} {one.where}: {one.text}" for one in found]


def named(findings: list[str]) -> set[str]:
    """The kinds of rows that were found wrong."""
    return {finding.split()[1] for finding in findings}


def test_a_row_that_somebody_else_changed_no_longer_fits_its_mark(open_engine: OpenEngine) -> None:
    engine = open_engine()
    marked(engine)
    assert wrong(engine) == []
    changes = [(nonces, {"created": 999}), (answers, {"status": 200}), (uploads, {"named": 0})]
    for number, (table, change) in enumerate(changes, start=1):
        with writing(engine) as connection:
            connection.execute(update(table).values(**change))
        assert len(named(wrong(engine))) == number, "each is named, and no other"
    assert all("not as this gateway wrote it" in one for one in wrong(engine))


def test_a_row_of_another_gateway_is_left_to_it_where_the_pool_is_shared(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine()
    marked(engine)
    other = RowSeal(b"o" * 32)
    assert named(wrong(engine, seal=other)) == {"nonce", "answer", "upload"}
    assert wrong(engine, seal=other, is_shared=True) == []


def test_a_row_without_a_mark_is_older_than_all_that_have_one(open_engine: OpenEngine) -> None:
    engine = open_engine()
    taken, kept = marked(engine)
    with writing(engine) as connection:  # as an earlier release left them
        for table in (nonces, answers, uploads):
            connection.execute(update(table).values(seal=None))
    assert wrong(engine) == []
    taken.take(ANA, b"m" * 32, 999, 999)
    file = Upload(Cid(0x55, sha256(b"y")), sha256(b"y"), 1, ANA, 999)
    kept.add([file])
    kept.name([file.cid])
    assert named(wrong(engine)) == {"nonce", "upload"}


def test_a_nonce_or_an_answer_that_is_over_is_named(open_engine: OpenEngine) -> None:
    engine = open_engine()
    taken, _ = marked(engine)
    taken.take(ANA, b"m" * 32, 1_600, 1_600)
    assert wrong(engine) == [], "of 1,000, kept for 600 and until the next sweep"
    with writing(engine) as connection:  # a hand put back what had been deleted
        row = {"address": BO, "nonce": "aa", "created": 999 - SWEEP_S}
        connection.execute(insert(nonces), row | {"seal": SEAL.of(nonces, row)})
    (found,) = wrong(engine)
    assert f"it is of {999 - SWEEP_S}, and was over by 1600" in found


@pytest.mark.parametrize("schema", ["x; drop table submissions", "", "A", "a" * 64])
def test_a_schema_name_is_never_sql(schema: str) -> None:
    with pytest.raises(Malformed):
        open_database("postgresql+psycopg://nobody@127.0.0.1:1/none", schema=schema)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        open_database("postgresql+psycopg://nobody@127.0.0.1:1/none", schema="pool")
