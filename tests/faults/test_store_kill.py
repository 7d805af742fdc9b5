"""kill -9 at any instant: what a process said is stored is there, and the next process works."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from registry.core.cid import Cid
from registry.storage.base import Pin
from registry.storage.embedded import EmbeddedStore
from registry.storage.unixfs import import_file

# The scenario ends this pin just before it says so, hence nobody can tell whether it is still there.
LARGE = import_file([random.Random(2).randbytes(2_500_000)]).cid

# Runs one fixed scenario, and kills itself in place of the N-th call that changes the disk.
KILLED_AT = """
import os, signal, sys
from pathlib import Path

left = int(sys.argv[2])

def deadly(call):
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

for name in ("pwrite", "fsync", "fdatasync", "ftruncate", "rename", "unlink"):
    setattr(os, name, deadly(getattr(os, name)))
Path.rename = deadly(Path.rename)
Path.unlink = deadly(Path.unlink)

from registry.storage import sqlite
from registry.storage.embedded import EmbeddedStore

class Connection(sqlite.sqlite3.Connection):
    def execute(self, sql, *args):
        return deadly(super().execute)(sql, *args) if sql in ("BEGIN IMMEDIATE", "COMMIT") else (
            super().execute(sql, *args))

connect = sqlite.sqlite3.connect
sqlite.sqlite3.connect = lambda *a, **k: connect(*a, factory=Connection, **k)

def say(word, cid):
    print(word, cid, flush=True)

def bytes_of(seed, size):
    import random
    return random.Random(seed).randbytes(size)

with EmbeddedStore(Path(sys.argv[1])) as store:
    small = store.put([bytes_of(1, 5000)]).cid
    say("put", small)
    large = store.put([bytes_of(2, 2_500_000)]).cid
    say("put", large)
    second = store.put([bytes_of(3, 100_000)]).cid
    store.pin(small, "owner")
    say("pinned", small)
    store.pin(large, "owner")
    say("pinned", large)
    store.put([bytes_of(4, 400_000)])
    store.collect(-1)
    store.unpin(large, "owner")
    say("unpinned", large)
    store.collect(-1)
    say("end", small)
"""

# Puts, pins and collects from several threads until it is killed.
BUSY = """
import os, random, sys, threading
from pathlib import Path
from registry.storage.embedded import EmbeddedStore

store = EmbeddedStore(Path(sys.argv[1]))
said = threading.Lock()

def work(number):
    dice = random.Random(f"{sys.argv[2]}-{number}")
    while True:
        content = dice.randbytes(dice.choice([10, 3000, 900_000, 1_500_000]))
        cid = store.put([content]).cid
        store.pin(cid, "owner")
        with said:
            print(cid, flush=True)
        store.put([dice.randbytes(20_000)])

def sweep():
    while True:
        store.collect(0.05)

for number in range(3):
    threading.Thread(target=work, args=(number,)).start()
threading.Thread(target=sweep).start()
"""


def run_until_killed(folder: Path, instant: int) -> tuple[dict[str, set[Cid]], bool]:
    child = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(folder), str(instant)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode in (0, -signal.SIGKILL), child.stderr
    said: dict[str, set[Cid]] = defaultdict(set)
    for word, cid in map(str.split, child.stdout.splitlines()):
        said[word].add(Cid.parse(cid))
    return said, child.returncode == 0


def check_all(store: EmbeddedStore) -> None:
    """Nothing half written is left, and every block that is named can be read."""
    assert list(store.damage()) == []
    assert list(store._folder.glob("packs/new-*")) == []
    assert {f.stem for f in store._folder.glob("packs/*.car")} >= {p.name for p in store._index.packs()}


# The scenario changes the disk some 75 times; the last group must see it end.
@pytest.mark.parametrize("first", range(1, 97, 8))
def test_a_process_killed_at_any_change_of_the_disk_has_kept_its_word(tmp_path: Path, first: int) -> None:
    ended = False
    for instant in range(first, first + 8):
        folder = tmp_path / str(instant)
        said, ended = run_until_killed(folder, instant)
        with EmbeddedStore(folder) as store:
            check_all(store)
            # Only after it has said "unpinned" does the scenario collect what is no longer promised.
            for cid in said["put"] - said["unpinned"]:
                assert store.has(cid)
                assert b"".join(store.get(cid))
            assert {p.cid for p in store.pins()} >= said["pinned"] - said["unpinned"] - {LARGE}
            again = store.put([b"the next process works"])
            store.pin(again.cid, "next")
            store.collect(-1)
            assert store.has(again.cid)
            check_all(store)
        if ended:
            break
    assert ended or first < 89


@pytest.mark.parametrize("number", range(4))
def test_a_busy_process_killed_at_a_random_time_has_kept_its_word(tmp_path: Path, number: int) -> None:
    dice = random.Random(os.urandom(8))
    kept: list[Cid] = []
    for round_ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", BUSY, str(tmp_path), f"{number}-{round_}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        wanted = dice.randrange(1, 25)
        kept += [Cid.parse(child.stdout.readline().strip()) for _ in range(wanted)]
        child.kill()
        kept += [Cid.parse(line.strip()) for line in child.stdout if line.endswith("\n")]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        with EmbeddedStore(tmp_path) as store:
            check_all(store)
            pins = set(store.pins())
            for cid in kept:
                assert Pin(cid, "owner") in pins
                assert store.has(cid)
                if cid.codec == 0x55:
                    assert hashlib.sha256(b"".join(store.get(cid))).digest() == cid.digest
