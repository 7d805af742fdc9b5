"""What several callers append in one turn: each hears of its own entries only, and none stands twice."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from registry.audit.gatewaylog import Caller
from registry.errors import StoreUnavailable


def in_one_turn(log, *asked):
    """What each of these callers hears when all of them come to the same turn."""
    with ThreadPoolExecutor(len(asked)) as pool:
        with log._write:
            heard = []
            for entries in asked:
                heard.append(pool.submit(log.append, entries))
                while len(log._grouped._next.asked) < len(heard):
                    pass
        return [one.exception(30) or one.result(30) for one in heard]


def test_an_entry_that_the_file_refuses_keeps_nobody_elses_out(bench, log, entry) -> None:
    log.append([entry(0)])
    unwanted = entry(2).encode().hex()
    with closing(sqlite3.connect(bench.folder / "gateway.db", isolation_level=None)) as db:
        db.execute(
            f"CREATE TRIGGER refusing BEFORE INSERT ON entries WHEN NEW.body = x'{unwanted}'"
            " BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
        first, refused, last = in_one_turn(log, [entry(1)], [entry(2), entry(3)], [entry(4), entry(5)])
        assert isinstance(refused, StoreUnavailable)
        assert [record.index for record in (*first, *last)] == [1, 2, 3]
        db.execute("DROP TRIGGER refusing")
    log.append([entry(2), entry(3)])
    held = [record.entry for record in log.entries(0, len(log))]
    assert held == [entry(number) for number in (0, 1, 4, 5, 2, 3)]
    assert log.publish().size == 6


def test_openings_that_have_no_room_for_their_places_get_them_with_the_next(bench, gateway) -> None:
    caller = Caller(address="192.0.2.1")
    with closing(sqlite3.connect(bench.folder / "openings.db", isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER refusing BEFORE UPDATE ON openings BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        kept = gateway.write("stop", caller, details={"reason": "one"})
        assert gateway.openings.unlocated() == set(kept.record.entry.commitments.values())
        db.execute("DROP TRIGGER refusing")
    gateway.write("stop", caller, details={"reason": "two"})
    assert gateway.openings.places_of("address", "192.0.2.1") == [0, 1]


def test_entries_are_appended_while_a_checkpoint_is_computed_and_the_next_one_has_them(
    log, entry, monkeypatch
) -> None:
    log.append([entry(0), entry(1)])
    grow, asked = log._index.grow, []

    def slowly(entries):
        asked.append(len(entries))
        assert log.append([entry(len(log))])[0].index == 1 + len(asked), "nobody holds it up"
        return grow(entries)

    monkeypatch.setattr(log._index, "grow", slowly)
    assert [log.publish().size, log.publish().size] == [2, 3]
    assert asked == [2, 1]
    monkeypatch.undo()
    assert log.publish().size == len(log) == 4
    assert [record.entry for record in log.entries(0, 4)] == [entry(number) for number in range(4)]
