"""A gateway's log under a new origin or key: nothing is lost, and the new log says which it follows."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.audit.chainlog import ChainLog
from registry.audit.gatewaylog import Caller, GatewayLog
from registry.audit.logstore import LogStore
from registry.audit.openings import OpeningStore
from registry.core.note import NoteSigner
from registry.errors import Conflict
from registry.wiring.origins import CHAIN, GATEWAY, OPENINGS, follow, make_room, put_aside

OLD_KEY, NEW_KEY = b"\x01" * 32, b"\x02" * 32


def start(folder: Path, origin: str, secret: bytes = OLD_KEY) -> GatewayLog:
    """What a gateway does with its logs when it starts."""
    own, chain = NoteSigner(origin, secret), NoteSigner("31337/0xabc", secret)
    make_room(folder, own.key, chain.key)
    log = GatewayLog(
        LogStore(folder / GATEWAY, own, lambda: 1_000),
        OpeningStore(folder / OPENINGS),
        clock=lambda: 1_000,
        salt=lambda: os.urandom(32),
    )
    follow(folder, log)
    return log


def stop(log: GatewayLog) -> None:
    log.log.close()
    log.openings.close()


@pytest.fixture
def used(tmp_path: Path) -> tuple[int, bytes]:
    """A log of three entries, one of them beyond its checkpoint; its size and root."""
    log = start(tmp_path, "old")
    for number in range(3):
        log.write("refusal", Caller(address="10.0.0.7"), details={"code": f"c{number}"})
        if number == 1:
            log.log.publish()
    stop(log)
    whole = LogStore(tmp_path / GATEWAY, NoteSigner("old", OLD_KEY), lambda: 1_000)
    whole.publish()
    root = whole.root(3)
    whole.close()
    return 3, root


def continued(log: GatewayLog) -> list[dict[str, object]]:
    entries = [log.log.entry(number).entry for number in range(len(log.log))]
    return [dict(entry.details) for entry in entries if entry.kind == "origin_continued"]


def test_a_new_origin_begins_with_the_head_it_follows(tmp_path: Path, used: tuple[int, bytes]) -> None:
    size, root = used
    for _ in range(2):  # and a second start says it no second time
        log = start(tmp_path, "new")
        assert continued(log) == [{"origin": "old", "size": size, "root": "0x" + root.hex()}]
        stop(log)
    old = LogStore(tmp_path / "before-1" / GATEWAY, NoteSigner("old", OLD_KEY), lambda: 1_000)
    assert len(old) == size
    old.close()
    assert [path.name for path in put_aside(tmp_path)] == [GATEWAY, OPENINGS]


def test_a_third_origin_follows_the_second(tmp_path: Path, used: tuple[int, bytes]) -> None:
    stop(start(tmp_path, "new"))
    log = start(tmp_path, "newest")
    assert [one["origin"] for one in continued(log)] == ["new"]
    assert (tmp_path / "before-2" / GATEWAY).exists()
    stop(log)


def test_an_origin_that_was_ended_never_begins_again(tmp_path: Path, used: tuple[int, bytes]) -> None:
    stop(start(tmp_path, "new"))
    with pytest.raises(Conflict, match="was ended"):
        start(tmp_path, "old")
    log = start(tmp_path, "new")
    assert len(log.log) == 1, "what was refused changed nothing"
    stop(log)


def _after_the_openings(folder: Path) -> None:
    (folder / "before-1").mkdir()
    (folder / OPENINGS).replace(folder / "before-1" / OPENINGS)


def _before_the_first_entry(folder: Path) -> None:
    make_room(folder, NoteSigner("new", OLD_KEY).key, NoteSigner("31337/0xabc", OLD_KEY).key)


@pytest.mark.parametrize("cut", [_after_the_openings, _before_the_first_entry])
def test_a_move_that_was_cut_off_is_finished(
    tmp_path: Path, used: tuple[int, bytes], cut: Callable[[Path], None]
) -> None:
    cut(tmp_path)
    log = start(tmp_path, "new")
    assert [one["size"] for one in continued(log)] == [used[0]]
    assert [path.parent.name for path in put_aside(tmp_path)] == ["before-1", "before-1"]
    stop(log)


def test_a_new_key_needs_a_new_origin(tmp_path: Path, used: tuple[int, bytes]) -> None:
    with pytest.raises(Conflict, match="signed with another key"):
        start(tmp_path, "old", NEW_KEY)
    log = start(tmp_path, "new", NEW_KEY)
    assert [one["origin"] for one in continued(log)] == ["old"]
    stop(log)


def test_a_chain_log_of_another_key_is_put_aside_and_built_anew(tmp_path: Path) -> None:
    chain = LogStore(tmp_path / CHAIN, NoteSigner("31337/0xabc", OLD_KEY), lambda: 1_000)
    ChainLog(chain, lambda: None)
    chain.publish()
    chain.close()
    stop(start(tmp_path, "new", NEW_KEY))
    assert not (tmp_path / CHAIN).exists()
    assert [path.name for path in put_aside(tmp_path)] == [CHAIN]
