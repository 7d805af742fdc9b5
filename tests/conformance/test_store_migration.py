"""Content moves between stores of any kind: resumable, verified, and while both are in use."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from registry.errors import VerificationFailed
from registry.storage.base import ContentStore, Pin
from registry.storage.embedded import EmbeddedStore
from registry.storage.migrate import Moved, migrate, unmoved

MIB = 1 << 20
KUBO = os.environ.get("TWINLEDGER_KUBO_API", "").split(",")[0]
TOKEN = os.environ.get("TWINLEDGER_KUBO_TOKEN_FILE")
REASON = "kubo: TWINLEDGER_KUBO_API names no daemon (start two with scripts/devnet/kubo)"
NEEDS_KUBO = [] if KUBO or os.environ.get("CI") == "true" else [pytest.mark.skip(reason=REASON)]


@pytest.fixture
def opened(tmp_path: Path, the_daemon: None) -> Iterator[Callable[[str], ContentStore]]:
    with ExitStack() as stack:

        def open_(kind: str) -> ContentStore:
            if not kind.startswith("kubo"):
                return stack.enter_context(EmbeddedStore(tmp_path / kind))
            if not KUBO:
                pytest.fail("kubo: CI must run it, and TWINLEDGER_KUBO_API names no daemon")
            from registry.storage.kubo import KuboStore

            store = stack.enter_context(KuboStore(KUBO, token_file=Path(TOKEN) if TOKEN else None))
            for pin in list(store.pins()):  # of an earlier run
                store.unpin(pin.cid, pin.owner)
            return store

        yield open_


PAIRS = pytest.mark.parametrize(
    ("source_kind", "target_kind"),
    [
        ("embedded", "embedded-2"),
        pytest.param("embedded", "kubo", marks=NEEDS_KUBO),
        pytest.param("kubo", "embedded", marks=NEEDS_KUBO),
    ],
)


def fill(store: ContentStore) -> list[Pin]:
    dice = random.Random(os.urandom(16))
    pins = []
    for size in (10, MIB + 1, 2 * MIB):
        file = store.put([dice.randbytes(size)])
        root = store.put_directory({"weights/w": file})
        pins += [Pin(root.cid, "gateway"), Pin(root.cid, "miner-1"), Pin(file.cid, "gateway")]
        for pin in pins[-3:]:
            store.pin(pin.cid, pin.owner)
    return sorted(pins)


@PAIRS
def test_every_pin_and_its_content_arrive(
    opened: Callable[[str], ContentStore], source_kind: str, target_kind: str
) -> None:
    source, target = opened(source_kind), opened(target_kind)
    pins = fill(source)
    assert unmoved(source, target) == pins
    assert sorted(moved.pin for moved in migrate(source, target)) == pins
    assert unmoved(source, target) == []
    assert list(target.pins()) == pins
    for pin in pins:
        assert target.stat(pin.cid) == source.stat(pin.cid)


@PAIRS
def test_a_migration_that_broke_off_goes_on_where_it_was(
    opened: Callable[[str], ContentStore], source_kind: str, target_kind: str
) -> None:
    source, target = opened(source_kind), opened(target_kind)
    pins = fill(source)
    first = migrate(source, target)
    done = [next(first), next(first)]
    first.close()  # type: ignore[attr-defined]
    rest = list(migrate(source, target))
    assert sorted(m.pin for m in done + rest) == pins
    assert list(migrate(source, target)) == []


@PAIRS
def test_what_is_pinned_meanwhile_arrives_too(
    opened: Callable[[str], ContentStore], source_kind: str, target_kind: str
) -> None:
    source, target = opened(source_kind), opened(target_kind)
    fill(source)
    moved: list[Moved] = []
    late = None
    for step in migrate(source, target):
        moved.append(step)
        if late is None:
            late = source.put([os.urandom(500)]).cid
            source.pin(late, "late")
    assert late in {m.pin.cid for m in moved}
    assert unmoved(source, target) == []


def test_what_nobody_wants_any_more_is_no_obstacle(opened: Callable[[str], ContentStore]) -> None:
    source, target = opened("embedded"), opened("embedded-2")
    pins = fill(source)
    steps = migrate(source, target)
    gone = next(steps).pin.cid
    for pin in pins:
        if pin.cid != gone:
            source.unpin(pin.cid, pin.owner)
    source.collect(-1)
    assert {m.pin.cid for m in steps} <= {gone}


def test_corrupt_content_stops_the_migration_and_is_not_copied(
    opened: Callable[[str], ContentStore], tmp_path: Path
) -> None:
    source, target = opened("embedded"), opened("embedded-2")
    file = source.put([os.urandom(3 * MIB)])
    source.pin(file.cid, "gateway")
    (pack,) = (tmp_path / "embedded" / "packs").glob("*.car")
    with pack.open("r+b") as f:
        f.seek(MIB)
        f.write(b"another eight")
    with pytest.raises(VerificationFailed):
        list(migrate(source, target))
    assert not target.has(file.cid)
    assert unmoved(source, target) == [Pin(file.cid, "gateway")]
