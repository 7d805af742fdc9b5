"""A home with a row in every table, stopped in order, and damages to every kind of thing that it keeps.

A damage changes one value of one thing to another that can be stored, and answers what puts it back.
"""

import io
import random
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from conftest import write_weights
from numpy.typing import NDArray
from sqlalchemy import func, select

from registry.audit import case
from registry.audit.gatewaylog import Caller
from registry.cli.serving import in_background
from registry.config import Home, Settings, load_settings
from registry.core.cid import manifest_cid
from registry.core.ids import keccak, parse_hex32, sha256
from registry.core.signing import KeySigner
from registry.database import reading
from registry.index.schema import CHAIN_TABLES
from registry.pool import PoolState
from registry.sdk import Client
from registry.sdk.tasks import TaskPlan
from registry.wire_rewards import ParametersBody
from registry.wiring.agreement import Agreement
from registry.wiring.alone import gateway_alone
from registry.wiring.backends import find_deployment, open_chain
from registry.wiring.gateway import Gateway
from registry.wiring.up import running

BO = KeySigner(keccak(b"tampered: bo"))


@dataclass(frozen=True)
class Scene:
    """A home that was stopped in order, and an evidence file of all its logs."""

    home: Home
    settings: Settings
    case: Path
    manifest: bytes  # the digest of one that is sealed

    def findings(self, part: str) -> list[str]:
        """What `audit fsck` says of one part."""
        deployment = find_deployment(self.settings, self.home)
        with ExitStack() as stack:
            link = None
            if part in ("projection", "pool"):
                link = open_chain(self.settings, self.home, deployment)
                stack.callback(link.close)
            agreement = Agreement(self.home, self.settings, deployment, link, None)
            return list(dict(agreement.checks(stack))[part]())


def make_scene(folder: Path) -> Scene:
    home = Home(folder / "home").make()
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    # Epochs so short that one is closed while the home is made.
    settings = replace(settings, fees=replace(settings.fees, slots_per_epoch=8, post_slots=2))
    with ExitStack() as stack:
        found = stack.enter_context(running(home, settings))
        stack.enter_context(in_background(found.gateway.service, settings, found.listener))
        client = stack.enter_context(Client(home=home.root))
        manifest = seal(client, folder)
        make_chain_rows(client, found.gateway, folder)
        more_than_a_tile(found.gateway)
        client.audit.export(folder / "case.zip")
    with serving(home, settings) as (gateway, url), Client(url, home=home.root) as client:
        leave_unsealed(client, gateway, folder)
    return Scene(home, settings, folder / "case.zip", manifest)


@contextmanager
def serving(home: Home, settings: Settings) -> Iterator[tuple[Gateway, str]]:
    """The gateway without miners: what is submitted to it waits."""
    with ExitStack() as stack:
        gateway, listener, url = stack.enter_context(gateway_alone(home, settings))
        stack.enter_context(in_background(gateway.service, settings, listener))
        yield gateway, url


def seal(client: Client, folder: Path) -> bytes:
    """Three versions: a parent, its child, and a private one that another member may read."""
    client.members.add(BO.address, "beta", ["submitter", "auditor"])
    with Client(client.http.url, BO, home=folder / "bo") as bo:
        bo.members.make_key()
    client.members.make_key()
    client.members.add_cell("local/tower-1")
    first = client.submit("local/kept", [write_weights(folder / "a.safetensors", 1)], {"tags": ["x"]})
    parents = [first.version_id]
    child = client.submit("local/kept", [write_weights(folder / "b.safetensors", 2)], {}, parents=parents)
    client.submit("local/secret", [write_weights(folder / "c.safetensors", 3)], {}, private_to=[BO.address])
    client.ungrant("local/secret", BO.address)
    client.grant("local/secret", BO.address)
    client.retrieve(first.version_id, to=folder / "out", cell="local/tower-1")
    client.alias("local/kept", "stable", first.version_id)
    client.deprecate(child.version_id)
    return parse_hex32(client.version(first.version_id).version.manifest)


def make_chain_rows(client: Client, gateway: Gateway, folder: Path) -> None:
    """A round, an offer, a cancelled version and a closed epoch: then no table is empty."""
    make_round(client, folder)
    client.services.offer(keccak(b"a job"), "aggregation", 40)
    seed = 10
    while "closes" in empty_tables(gateway):  # whoever seals in a new epoch closes the one before
        client.submit("local/later", [write_weights(folder / f"{seed}.safetensors", seed)], {})
        seed += 1
    missing = empty_tables(gateway) - {"cancellations"}
    assert not missing, missing
    count = len(gateway.service.index.version_ids())
    wait_until(lambda: gateway.logs.chain.view("kind:registered").count == count)


def make_round(client: Client, folder: Path) -> None:
    """Two devices contribute and hand over; the aggregator signs one of them, and a validator measures it."""
    with ExitStack() as stack:

        def member(name: str, role: str) -> Client:
            signer = KeySigner(keccak(f"tampered: {name}".encode()))
            client.members.add(signer.address, "beta", [role])
            made = stack.enter_context(Client(client.http.url, signer, home=folder / name))
            made.members.make_key()
            return made

        devices = [member(f"device {n}", "device") for n in range(2)]
        validators = [member(f"validator {n}", "validator") for n in range(3)]
        parameters = ParametersBody(model="local/kept", validators=[one.address for one in validators])
        plan = TaskPlan(parameters, "stackelberg", client.address, seats=4, unit=10**12, bond=1000, bids_s=1)
        task = client.tasks.create(plan)
        wait_until(lambda: time.time() > task.reveals_until + 1)
        client.tasks.begin(task.task, 0, sha256(b"evaluation set"))
        update = np.arange(8, dtype="<f4")
        contribute(devices[0], task.task, update)
        for entry in client.tasks.countersign(task.task, 0):
            evaluation, losses = sha256(b"evaluation set"), (10**6, 400_000)
            validators[0].tasks.measure(entry, evaluation=evaluation, losses=losses, update=update)
        contribute(devices[1], task.task, update + 1)


def contribute(device: Client, task: int, update: NDArray[np.float32]) -> None:
    device.tasks.contribute(task, 0, sha256(update.tobytes()), samples=7, cell="local/tower-1")
    device.tasks.hand_over(task, 0, update.tobytes())


def empty_tables(gateway: Gateway) -> set[str]:
    with reading(gateway.databases.index) as connection:
        return {
            table.name
            for table in CHAIN_TABLES
            if not connection.execute(select(func.count()).select_from(table)).scalar()
        }


def more_than_a_tile(gateway: Gateway) -> None:
    """More than 256 entries, so that the log has a tile whose hash is kept."""
    own = gateway.logs.gateway
    for number in range(300):
        own.relayed(Caller(), tx_hash=f"0x{number:064x}", route="/v1/transactions")
    own.log.publish()


def leave_unsealed(client: Client, gateway: Gateway, folder: Path) -> None:
    """One submission that waits, one that expired and one that was cancelled."""
    for seed in (4, 5, 6):
        now = client.account.show().chain_time
        deadline = now + 10 if seed == 6 else None
        files = [write_weights(folder / f"{seed}.safetensors", seed)]
        status = client.submit(f"local/waits-{seed}", files, {}, wait=False, deadline=deadline)
        if seed == 5:
            client.cancel(status.version_id)
    time.sleep(max(0.0, now + 12 - time.time()))
    client.alias("local/kept", "late", "local/kept@v1")  # a block after the deadline
    states = (PoolState.PENDING, PoolState.EXPIRED, PoolState.CANCELLED)
    wait_until(lambda: all(gateway.pool.count(state) for state in states))
    wait_until(lambda: not empty_tables(gateway))


def wait_until(holds: Callable[[], bool]) -> None:
    """The limit only keeps a broken scene from hanging the run."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)


# --- damage

Undo = Callable[[], None]
Damage = Callable[[Scene, random.Random], Undo]


def flipped(raw: bytes, dice: random.Random) -> bytes:
    """The same bytes, but one."""
    place = dice.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ dice.randint(1, 255)]) + raw[place + 1 :]


def other(value: object, dice: random.Random) -> object:
    """A value of the same type that differs in one place."""
    if isinstance(value, bytes):
        return flipped(value, dice)
    if isinstance(value, int | float):
        return value + dice.choice((-1, 1))
    text = str(value)
    place = dice.randrange(len(text))
    replaced = dice.choice([c for c in "0123456789abcdef" if c != text[place]])
    return text[:place] + replaced + text[place + 1 :]


def row_of(
    path: Callable[[Home], Path], table: str, columns: tuple[str, ...] = (), where: str = "1"
) -> Damage:
    """Change one value of one row of a table."""

    def damage(scene: Scene, dice: random.Random) -> Undo:
        with closing(sqlite3.connect(path(scene.home))) as db:
            names = [one[1] for one in db.execute(f"PRAGMA table_info({table})")]
            rows = db.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY 1").fetchall()
            row = dict(zip(names, dice.choice(rows), strict=True))
            chosen = [name for name in columns or names if row[name] not in (None, "", b"")]
            bent = row
            while bent == row:
                column = dice.choice(chosen)
                bent = _replace(db, table, row, row | {column: other(row[column], dice)})

        def undo() -> None:
            with closing(sqlite3.connect(path(scene.home))) as db:
                assert _replace(db, table, bent, row) == row

        return undo

    return damage


def _replace(
    db: sqlite3.Connection, table: str, before: dict[str, object], after: dict[str, object]
) -> dict[str, object]:
    """One row for another; answers the row that is there then. Every value names it: not all are numbered."""
    sets = ", ".join(f"{column} = ?" for column in after)
    where = " AND ".join(f"{column} IS ?" for column in before)
    sql = f"UPDATE {table} SET {sets} WHERE {where}"
    try:
        assert db.execute(sql, (*after.values(), *before.values())).rowcount == 1
    except sqlite3.IntegrityError:  # it collides with another row: this damage cannot be stored
        db.rollback()
        return before
    db.commit()
    return after


def state(scene: Scene, dice: random.Random) -> Undo:
    """Another state of a submission, one that the pool knows."""
    path = scene.home.pool
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT sequence, state FROM submissions ORDER BY sequence").fetchall()
        number, before = dice.choice(rows)
        states = ("pending", "sealed", "rejected", "expired", "cancelled")
        after = dice.choice([one for one in states if one != before])
        db.execute("UPDATE submissions SET state = ? WHERE sequence = ?", (after, number))
        db.commit()

    def undo() -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE submissions SET state = ? WHERE sequence = ?", (before, number))
            db.commit()

    return undo


def of_a_file(find: Callable[[Scene, random.Random], tuple[Path, int, int]]) -> Damage:
    """Flip one byte of a stretch of a file."""

    def damage(scene: Scene, dice: random.Random) -> Undo:
        path, first, end = find(scene, dice)
        before = path.read_bytes()
        path.write_bytes(before[:first] + flipped(before[first:end], dice) + before[end:])
        return lambda: path.write_bytes(before) and None

    return damage


def block(where: str) -> Callable[[Scene, random.Random], tuple[Path, int, int]]:
    """The bytes of a block in a pack."""

    def find(scene: Scene, dice: random.Random) -> tuple[Path, int, int]:
        name, offset, length = dice.choice(_blocks(scene, where))
        return scene.home.store / "packs" / f"{name}.car", offset, offset + length

    return find


def framing(scene: Scene, dice: random.Random) -> tuple[Path, int, int]:
    """What stands around a block: the header of its pack, or its frame's length and CID."""
    name, offset, length = dice.choice(_blocks(scene, "1"))
    path = scene.home.store / "packs" / f"{name}.car"
    head = 36 + (1 if 36 + length < 128 else 2 if 36 + length < 1 << 14 else 3)
    return (path, 0, 59) if dice.random() < 0.2 else (path, offset - head, offset)


def manifest_block(scene: Scene, dice: random.Random) -> tuple[Path, int, int]:
    """The bytes of a manifest in a pack."""
    return block(f"b.cid = x'{manifest_cid(scene.manifest).raw.hex()}'")(scene, dice)


def _blocks(scene: Scene, where: str) -> list[tuple[str, int, int]]:
    with closing(sqlite3.connect(scene.home.store / "index.db")) as db:
        return db.execute(
            "SELECT p.name, b.offset, b.length FROM block b JOIN pack p ON p.id = b.pack"
            f" WHERE {where} ORDER BY b.cid"
        ).fetchall()


def cut_pack(scene: Scene, dice: random.Random) -> Undo:
    """A pack that is too short, or goes on behind its end with more than its index ever knew."""
    path = dice.choice(sorted((scene.home.store / "packs").glob("*.car")))
    before = path.read_bytes()
    path.write_bytes(before[: dice.randrange(len(before))])
    return lambda: path.write_bytes(before) and None


# --- damage to an evidence file


def members(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        return {name: box.read(name) for name in box.namelist()}


def of_a_member(raw: bytes, name: str, dice: random.Random) -> bytes:
    """A byte of one member, in an archive that is whole."""
    held = members(raw)
    return case.pack(held | {name: flipped(held[name], dice)})


def cut(raw: bytes, dice: random.Random) -> bytes:
    return raw[: dice.randrange(len(raw))]


def doubled(raw: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(raw))
    return raw[: place + dice.randint(1, 64)] + raw[place:]
