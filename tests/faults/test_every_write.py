"""Each write of submitting, sealing, settling, anchoring and migrating fails once, in both ways it can.

"lost" = it was not persisted; "unheard" = it was persisted and the reply was lost. The real component runs in
both cases, with one fault around one call. Whoever asked does what a caller does with an Unavailable: the
same again. Then the work is done once, and neither `doctor` nor `audit fsck` finds anything.
"""

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from conftest import Live, write_weights

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from rewards_world import EVALUATION, cast, plan, update_of  # after the path that finds it

from registry.audit.logstore import LogStore
from registry.chain.embedded import EmbeddedChain
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.core.ids import hex32, sha256, to_address
from registry.core.manifest import Manifest
from registry.errors import ChainUnavailable, Conflict, NotFound, StoreUnavailable, Unavailable
from registry.index import Projection
from registry.pool import Pool, Uploads
from registry.pool.contributions import Contributions
from registry.pool.nonces import HeldNonces
from registry.sdk.submitting import Work
from registry.storage.embedded import EmbeddedStore
from registry.storage.migrate import migrate, unmoved
from registry.wiring.anchoring import Anchors
from registry.wiring.examining import examine
from registry.wiring.up import running


@dataclass
class Fault:
    """One call of one method fails, of whoever comes first."""

    of: type
    method: str
    is_persisted: bool
    has_struck: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def armed(self) -> Iterator[None]:
        real = self.of.__dict__[self.method]

        @wraps(real)
        def struck(component: Any, *args: Any, **given: Any) -> Any:
            with self._lock:
                is_first = not self.has_struck.is_set()
                self.has_struck.set()
            if not is_first:
                return real(component, *args, **given)
            if self.is_persisted:
                real(component, *args, **given)
            kind = ChainUnavailable if self.of is EmbeddedChain else StoreUnavailable
            raise kind(f"{self.of.__name__}.{self.method} failed, as the test wants")

        setattr(self.of, self.method, struck)
        try:
            yield
        finally:
            setattr(self.of, self.method, real)


@dataclass(frozen=True)
class Options:
    """What a command line without options says."""

    url: str | None = None


def until_done(act: Callable[[], Any]) -> Any:
    """What a caller does: an Unavailable may be sent again."""
    for _ in range(20):
        try:
            return act()
        except Unavailable:
            time.sleep(0.05)
    raise AssertionError("it stays unavailable after one fault")


def until_it_stands(act: Callable[[], Any]) -> None:
    """As `until_done`, for what is signed anew each time: the chain refuses what was done unheard."""
    try:
        act()
    except Unavailable:
        with suppress(Conflict):
            until_done(act)


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """An installation that no other test has to trust."""
    home = Home(tmp_path_factory.mktemp("struck") / "home").make()
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        yield Live(home, settings, found)


def submitted(live: Live, folder: Path, label: str) -> None:
    """One version, whatever failed: sealed once and found once."""
    weights = write_weights(folder / f"{label}.safetensors", len(label) + sum(map(ord, label)))
    with live.client() as client:
        status = until_done(lambda: client.submit(f"local/{label}", [weights], {}, wait=False))
        receipt = until_done(lambda: client.wait(status.version_id, 60))
        assert [found.version_id for found in client.versions(f"local/{label}")] == [receipt.version_id]
        until_done(lambda: client.retrieve(receipt.version_id, folder / f"{label}-back"))


def late(live: Live, folder: Path, label: str) -> None:
    """One version whose manifest the store did not hold when its block came: it is read afterwards."""
    follower, missed = live.running.gateway.service.follower, threading.Event()
    read = follower._read_manifest

    def at_first_not_held(digest: bytes) -> Manifest:
        if not missed.is_set():
            missed.set()
            raise NotFound("the content comes late")
        return read(digest)

    weights = write_weights(folder / f"{label}.safetensors", len(label) + sum(map(ord, label)))
    with live.client() as client, patch.object(follower, "_read_manifest", at_first_not_held):
        receipt = client.submit(f"local/{label}", [weights], {"tags": [label]})
        assert missed.is_set()
        for _ in range(100):
            found = [one for one in client.search(tag=label) if one.manifest is not None]
            if found:
                break
            time.sleep(0.1)
        assert [one.version_id for one in found] == [receipt.version_id]


def anchored(live: Live, folder: Path, label: str) -> None:
    """The gateway log, with something new in it, is on the chain at its published size."""
    submitted(live, folder, label)
    gateway = live.running.gateway
    at_once = replace(live.settings, log=replace(live.settings.log, anchor_slots=0))
    anchors = Anchors(gateway.logs, gateway.contracts, live.running.keys.gateway, at_once)
    until_done(gateway.logs.gateway.log.publish)
    until_done(anchors.anchor)
    anchors.check()


def migrated(live: Live, folder: Path, label: str) -> None:
    """Everything that is pinned is in the other store."""
    submitted(live, folder, label)
    with EmbeddedStore(folder / label) as target:
        until_done(lambda: list(migrate(live.running.gateway.store, target)))
        assert unmoved(live.running.gateway.store, target) == []


WRITES: dict[str, tuple[type, str, Callable[[Live, Path, str], None]]] = {
    "submit-content": (EmbeddedStore, "put", submitted),
    "submit-directory": (EmbeddedStore, "put_directories", submitted),
    "submit-upload-note": (Uploads, "add", submitted),
    "submit-upload-named": (Uploads, "name", submitted),
    "submit-horizon": (HeldNonces, "_set", submitted),
    "submit-pool": (Pool, "add", submitted),
    "submit-promise": (LogStore, "append", submitted),
    "seal-transaction": (EmbeddedChain, "send", submitted),
    "seal-content": (EmbeddedStore, "put_car", submitted),
    "seal-pin": (EmbeddedStore, "pin_each", submitted),
    "seal-projection": (Projection, "apply", submitted),
    "seal-late-manifest": (Projection, "add_manifests", late),
    "seal-pool": (Pool, "mark", submitted),
    "anchor-checkpoint": (LogStore, "publish", anchored),
    "anchor-cosignatures": (LogStore, "add_cosignatures", anchored),
    "migrate-content": (EmbeddedStore, "put_car", migrated),
    "migrate-pin": (EmbeddedStore, "pin", migrated),
}


@pytest.mark.parametrize("is_persisted", [False, True], ids=["lost", "unheard"])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_fails_once_leaves_nothing_wrong(
    struck: Live, tmp_path: Path, name: str, is_persisted: bool
) -> None:
    of, method, act = WRITES[name]
    fault = Fault(of, method, is_persisted)
    with fault.armed():
        act(struck, tmp_path, f"{name}-{'unheard' if is_persisted else 'lost'}")
        assert fault.has_struck.wait(30)
    assert wrong_in(struck) == []


def wrong_in(live: Live) -> list[str]:
    """What `doctor` and `audit fsck` find, when what was still under way has had its time."""
    for _ in range(100):
        found = [one.result for one in examine(live.home, live.settings, Options()) if one.is_wrong]
        if not found:
            break
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("is_persisted", [False, True], ids=["lost", "unheard"])
def test_a_round_is_settled_once_through_failing_writes(struck: Live, is_persisted: bool) -> None:
    """From contribution to settlement each write fails once; every device is owed what it would have been."""
    people = cast(struck, "unheard" if is_persisted else "lost", devices=2)
    aggregator = people.sponsor.tasks
    task = aggregator.create(plan(people))
    people.wait_past(task.reveals_until)

    def through(of: type, method: str, act: Callable[[], Any]) -> Any:
        fault = Fault(of, method, is_persisted)
        with fault.armed():
            answer = until_done(act)
            assert fault.has_struck.is_set()
        return answer

    with Fault(EmbeddedChain, "send", is_persisted).armed():
        until_it_stands(lambda: aggregator.begin(task.task, 0, EVALUATION))
    for number, device in enumerate(people.devices):
        digest = sha256(update_of(number).tobytes())
        contribute = partial(device.tasks.contribute, task.task, 0, digest, samples=10)
        through(Contributions, "add", contribute)
    through(Contributions, "countersign", lambda: aggregator.countersign(task.task, 0))
    for entry in aggregator.contributions(task.task, 0):
        number = [device.address for device in people.devices].index(to_address(entry.contribution.device))
        for validator in people.validators:
            measure = partial(validator.tasks.measure, entry, losses=(10**6, 500_000))
            about = {"evaluation": EVALUATION, "update": update_of(number)}
            through(Contributions, "measure", partial(measure, **about))
    content = Fault(EmbeddedStore, "put", is_persisted)
    with content.armed(), pytest.raises(StoreUnavailable):
        aggregator.settle(task.task, 0)
    with Fault(EmbeddedChain, "send", is_persisted).armed():
        until_it_stands(lambda: aggregator.settle(task.task, 0))
    (settled,) = aggregator.payouts(task.task)
    assert len(settled.leaves) == len(people.devices)
    people.close()
    assert wrong_in(struck) == []


@contextmanager
def refusing(path: Path, table: str, rows: str) -> Iterator[None]:
    """The database itself takes no such rows meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
        refuse = "SELECT RAISE(ABORT, 'not this one')"
        db.execute(f"CREATE TRIGGER refusing BEFORE INSERT ON {table} WHEN {rows} BEGIN {refuse}; END")
        try:
            yield
        finally:
            db.execute("DROP TRIGGER refusing")


@pytest.mark.parametrize("write", ["pins", "log", "pool"])
def test_what_is_refused_of_one_caller_is_taken_from_the_others_of_its_turn(
    struck: Live, tmp_path: Path, write: str
) -> None:
    gateway = struck.running.gateway
    submissions, log = gateway.service.submissions, gateway.logs.gateway.log
    files = [write_weights(tmp_path / f"{n}.safetensors", 7_000 + n + sum(map(ord, write))) for n in range(3)]
    with struck.client() as client:
        submitter = client._submitter
        works = [Work(f"local/{write}-{n}", [file], {}) for n, file in enumerate(files)]
        prepared = submitter.prepare_many(works)
        for one in prepared:
            submitter._upload(one)
        model, cid = works[1].model, prepared[1].files[0].entry.cid.raw.hex()
        path, table, rows = {
            "pins": (struck.home.store / "pins.db", "pin", f"NEW.cid = x'{cid}'"),
            "log": (
                struck.home.log / "gateway.db",
                "entries",
                f"instr(NEW.body, CAST('{model}' AS BLOB)) > 0",
            ),
            "pool": (struck.home.pool, "submissions", f"NEW.model = '{model}'"),
        }[write]
        before = len(log)
        grouped = submissions._admitting
        with refusing(path, table, rows), ThreadPoolExecutor(3) as pool:
            with grouped._turn:
                heard = []
                for one in prepared:
                    heard.append(pool.submit(submissions.submit, one.signed, "127.0.0.1"))
                    while len(grouped._next.asked) < len(heard):
                        pass
            first, refused, last = (one.exception(60) or one.result(60) for one in heard)
        assert isinstance(refused, StoreUnavailable)
        for answer, one in ((first, prepared[0]), (last, prepared[2])):
            assert answer.version_id == one.version_id
            about = [held for held in log.entries(before, len(log)) if held.entry.version == one.version_id]
            assert [hex32(sha256(held.raw)) for held in about] == [answer.promise.entry_sha256]
        # The same again is taken, and all three are sealed once.
        submissions.submit(prepared[1].signed, "127.0.0.1")
        for one in prepared:
            client.wait(one.version_id, 60)
    assert wrong_in(struck) == []
