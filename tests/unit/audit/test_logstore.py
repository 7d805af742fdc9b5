"""A log is durable, grows only, and every proof it gives verifies against its checkpoint."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path

import pytest

from registry.audit.completeness import page, verify_page
from registry.audit.logstore import LogStore, is_grown
from registry.core import merkle
from registry.core.checkpoint import Checkpoint, verify_checkpoint
from registry.core.log import keys_of
from registry.core.note import Note, NoteSigner, VerifierKey
from registry.core.smt import MapLeaf, SortedLeaves, SparseMap, key_hash, verify_present
from registry.core.tiles import TileReader, tile_path, tiles_of
from registry.errors import Conflict, Malformed, NotFound, StoreUnavailable, VerificationFailed


def definition_of(log: LogStore) -> tuple[bytes, bytes]:
    """Root and map root from the entries alone, by other code than the store's."""
    records = log.entries(0, len(log))
    by_key: dict[str, list[bytes]] = {}
    for record in records:
        for key in keys_of(record.entry):
            by_key.setdefault(key, []).append(record.leaf)
    leaves = [MapLeaf(key_hash(key), len(held), merkle.Tree(held).root()) for key, held in by_key.items()]
    return merkle.Tree(record.leaf for record in records).root(), SparseMap(SortedLeaves(leaves)).root()


def at(log: LogStore) -> Checkpoint:
    return Checkpoint.parse(Note.parse(log.checkpoint()).text)


@pytest.mark.parametrize("sizes", [(1,), (3, 4), (255, 1, 1), (300, 300), (1, 0, 511)])
def test_root_and_map_are_those_of_the_entries_however_they_came(log, entry, sizes) -> None:
    number = 0
    for size in sizes:
        log.append([entry(number + place) for place in range(size)])
        number += size
        log.publish()
    assert (at(log).root, at(log).map_root) == definition_of(log)
    assert at(log).size == number


def test_the_checkpoint_is_signed_by_the_logs_key(bench, log, entry) -> None:
    log.append([entry(1)])
    log.publish()
    key = VerifierKey.parse(log.verifier_key)
    assert verify_checkpoint(log.checkpoint(), origin=log.origin, logs=[key]).checkpoint.size == 1


def test_every_entry_is_proved_and_every_earlier_size_is_a_prefix(log, entry) -> None:
    log.append([entry(number) for number in range(600)])
    log.publish()
    for index in range(0, 600, 23):
        record = log.entry(index)
        merkle.verify_inclusion(record.leaf, index, 600, log.inclusion(index, 600), at(log).root)
        merkle.verify_consistency(index, 600, log.root(index), at(log).root, log.consistency(index, 600))


def test_the_map_proves_the_count_of_every_key(log, entry) -> None:
    log.append([entry(number) for number in range(50)])
    log.publish()
    for key in {key for record in log.entries(0, 50) for key in keys_of(record.entry)}:
        view = log.view(key)
        leaf = verify_present(view.proof, key, at(log).map_root or b"")
        assert (leaf.count, leaf.root) == (view.count, merkle.root(log.key_nodes(view).node, view.count))


def test_entries_after_the_checkpoint_are_kept_but_not_yet_proved(log, entry) -> None:
    log.append([entry(0)])
    log.publish()
    log.append([entry(1)])
    assert len(log) == 2
    assert log.entry(1).entry == entry(1)
    with pytest.raises(Malformed, match="the newest checkpoint covers 1 entries, not 2"):
        log.inclusion(1, 2)
    with pytest.raises(NotFound):
        log.tile("tile/entries/000.p/2")


def test_an_unchanged_log_signs_nothing_new_until_its_silence_is_old(bench, log, entry) -> None:
    log.append([entry(0)])
    first = log.publish()
    bench.clock.now += 59
    assert log.publish() == first
    bench.clock.now += 1
    assert log.publish().time == first.time + 60


def test_a_checkpoint_is_never_dated_before_the_last_one(bench, log, entry) -> None:
    log.append([entry(0)])
    first = log.publish()
    bench.clock.now -= 1000
    log.append([entry(1)])
    assert log.publish().time == first.time


def test_the_tiles_alone_give_the_whole_log(log, entry) -> None:
    log.append([entry(number) for number in range(700)])
    log.publish()
    paths = {tile_path(tile): log.tile(tile_path(tile)) for tile in tiles_of(700)}
    reader = TileReader(paths.__getitem__, 700)
    assert merkle.root(reader.node, 700) == at(log).root
    assert list(reader.entries(0, 700)) == [record.raw for record in log.entries(0, 700)]


def test_a_partial_tile_of_an_earlier_checkpoint_is_still_served(log, entry) -> None:
    log.append([entry(number) for number in range(10)])
    log.publish()
    early = log.tile("tile/0/000.p/10")
    log.append([entry(number) for number in range(10, 300)])
    log.publish()
    assert log.tile("tile/0/000.p/10") == early
    assert log.tile("tile/0/000")[:320] == early


@pytest.mark.parametrize(
    "path",
    [
        *("tile/0/000.p/11", "tile/1/000.p/1", "tile/0/001.p/1", "tile/entries/000"),
        *(
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/00/000",
            "tile/64/000",
            "tile/0/0",
            "x",
        ),
    ],
)
def test_a_tile_no_checkpoint_calls_for_is_not_found(log, entry, path) -> None:
    log.append([entry(number) for number in range(10)])
    log.publish()
    with pytest.raises(NotFound):
        log.tile(path)


def test_a_log_opens_again_as_it_was_closed(bench, entry) -> None:
    first = bench.open()
    first.append([entry(number) for number in range(300)])
    first.publish()
    first.append([entry(300)])
    note = first.checkpoint()
    first.close()
    again = bench.open()
    assert again.checkpoint() == note
    assert len(again) == 301
    assert again.publish().size == 301
    assert (at(again).root, at(again).map_root) == definition_of(again)
    again.close()


def test_the_file_of_another_log_is_refused(bench, log) -> None:
    log.close()
    with pytest.raises(Conflict, match=r"holds the log 'gateway\.example/log', not 'other\.example/log'"):
        LogStore(bench.folder / "gateway.db", NoteSigner("other.example/log", bytes(32)), bench.clock)


def test_a_log_of_the_first_release_names_no_schema_and_one_of_a_newer_release_is_refused(bench, log) -> None:
    log.close()
    path, signer = bench.folder / "gateway.db", NoteSigner(log.origin, bytes(32))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("DELETE FROM meta WHERE name = 'schema'").rowcount == 1
        db.commit()
    LogStore(path, signer, bench.clock).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO meta VALUES ('schema', '2')")
        db.commit()
    with pytest.raises(Conflict, match="has schema 2, and this release knows 1"):
        LogStore(path, signer, bench.clock)


def test_many_callers_at_once_each_get_their_own_place(log, entry) -> None:
    places: list[int] = []

    def work(first: int) -> None:
        for number in range(first, first + 40):
            record = log.append([entry(number)])[0]
            assert log.entry(record.index).entry == entry(number)
            places.append(record.index)

    threads = [threading.Thread(target=work, args=(40 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        log.publish()
    for thread in threads:
        thread.join()
    log.publish()
    assert sorted(places) == list(range(320))
    assert (at(log).root, at(log).map_root) == definition_of(log)


def test_old_checkpoints_go_but_cosigned_ones_stay(bench, log, entry) -> None:
    witness = bench.witness(lambda origin, path: log.tile(path))
    for number in range(80):
        log.append([entry(number)])
        made = log.publish()
        if number == 3:
            line = NoteSigner("w.example", bytes(32), 4).cosign(made.text, bench.clock.now)
            log.add_cosignatures(made, [line])
    kept = [Checkpoint.parse(Note.parse(raw).text).size for raw in log.checkpoints(limit=1000)]
    assert kept[0] == 4
    assert kept[1:] == list(range(81 - len(kept[1:]), 81))
    assert 60 < len(kept) < 70
    witness.close()


CRASHING = """
    import sys
    from pathlib import Path
    from registry.audit.logstore import LogStore
    from registry.core.log import LogEntry
    from registry.core.note import NoteSigner
    from hashlib import sha256

    signer = NoteSigner("gateway.example/log", sha256(b"the log's key").digest())
    log = LogStore(Path(sys.argv[1]), signer, lambda: 7)
    number = 0
    while True:
        log.append([LogEntry("retrieval", number, details={"number": number})])
        print(number, flush=True)
        number += 1
        if number % 7 == 0:
            print("published", log.publish().size, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(bench) -> None:
    path = bench.folder / "gateway.db"
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CRASHING), str(path)],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(60)]
        os.kill(child.pid, signal.SIGKILL)
        said += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        numbers = [int(line) for line in said if line.strip().isdigit()]
        published = [
            int(line.split()[1]) for line in said if line.startswith("published") and line.endswith("\n")
        ]
        log = bench.open()
        assert len(log) >= len(numbers)
        assert at(log).size >= max(published)
        log.publish()
        assert (at(log).root, at(log).map_root) == definition_of(log)
        log.close()
        path.unlink()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trees SET root = zeroblob(32) WHERE id = 3",
        "UPDATE trees SET count = count + 1 WHERE id = 3",
        "DELETE FROM entries WHERE idx = (SELECT max(idx) FROM entries)",
        "UPDATE trees SET root = zeroblob(32) WHERE id = 0",
    ],
)
def test_a_file_that_differs_from_its_checkpoint_is_not_opened(bench, entry, change) -> None:
    log = bench.open()
    log.append([entry(number) for number in range(20)])
    log.publish()
    log.close()
    with sqlite3.connect(bench.folder / "gateway.db") as db:
        db.execute(change)
    db.close()
    with pytest.raises(VerificationFailed):
        bench.open()


def test_a_log_is_grown_from_its_opening_to_its_end(bench, log) -> None:
    path = bench.folder / "gateway.db"
    assert [is_grown(path), is_grown(path), is_grown(bench.folder / "none.db")] == [True, True, False]
    log.close()
    assert not is_grown(path)
    bench.open().close()  # having looked keeps nobody out


def test_an_empty_log_has_a_checkpoint_too(log) -> None:
    assert (log.publish().size, at(log).root) == (0, merkle.EMPTY_ROOT)
    assert log.view("kind:start").count == 0


def test_a_log_before_its_first_checkpoint_says_so(log) -> None:
    with pytest.raises(NotFound, match="has no checkpoint yet"):
        log.checkpoint()


def test_a_second_writer_is_refused_and_the_first_goes_on(bench, log, entry) -> None:
    with pytest.raises(Conflict, match="held by another process"):
        bench.open()
    log.append([entry(0)])
    assert len(log) == 1


def full_disk(log: LogStore, pages: int) -> None:
    log._database.writer.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_refuses_the_entry_and_loses_nothing(log, entry) -> None:
    log.append([entry(number) for number in range(100)])
    log.publish()
    full_disk(log, 1)
    with pytest.raises(StoreUnavailable, match="could not be written"):
        log.append([entry(number) for number in range(1000)])
    full_disk(log, 1 << 30)
    assert log.append([entry(100)])[0].index == 100
    log.publish()
    assert (at(log).root, at(log).map_root) == definition_of(log)


def test_a_full_disk_while_publishing_leaves_the_last_checkpoint_standing(log, entry) -> None:
    log.append([entry(number) for number in range(10)])
    log.publish()
    before = log.checkpoint()
    log.append([entry(number) for number in range(10, 3000)])
    full_disk(log, 1)
    with pytest.raises(StoreUnavailable):
        log.publish()
    assert log.checkpoint() == before
    verify_present(log.view("kind:retrieval").proof, "kind:retrieval", at(log).map_root or b"")
    full_disk(log, 1 << 30)
    assert log.publish().size == 3000
    assert (at(log).root, at(log).map_root) == definition_of(log)


def test_readers_meet_one_moment_while_the_log_grows(bench, log, entry, member) -> None:
    log.append([entry(0)])
    log.publish()
    key, failures = f"actor:{member(0)}", []

    def read() -> None:
        try:
            for _ in range(60):
                verify_page(page(log, key), bench.trust())
        except VerificationFailed as e:
            failures.append(e)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    number = 1
    while any(thread.is_alive() for thread in threads):
        log.append([entry(number + place) for place in range(20)])
        log.publish()
        number += 20
    for thread in threads:
        thread.join()
    assert failures == []
