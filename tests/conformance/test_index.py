"""What the projection promises, on every database this machine has: the same answers to the same chain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select

from registry.core.cid import weights_cid
from registry.core.ids import Address, Role, Status, VersionId, hex32, keccak, model_id, name_hash, sha256
from registry.core.manifest import FileEntry, Manifest, build_manifest, parse_manifest
from registry.core.manifest_index import searchable
from registry.core.refs import Reference, parse_reference
from registry.core.signing import KeySigner
from registry.core.version import NO_SALT, Version
from registry.database import reading, writing
from registry.errors import Conflict, NotFound
from registry.index import BlockMark, Index, Line, Projection, Readable, Search
from registry.index.schema import CHAIN_TABLES, fields, manifests, metadata, statuses
from registry.index.search import parse_metric, search

ANA = KeySigner(keccak(b"ana")).address
FILE = FileEntry("w.safetensors", weights_cid(bytes(32)), bytes(32), 10, "safetensors")


@dataclass
class Story:
    """A chain being told to a projection: one block per event."""

    engine: Engine
    number: int = 0
    manifests: dict[str, Manifest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.projection = Projection(self.engine)
        self.index = Index(self.engine)
        self.happens("Consortium", "NamespaceCreated", namespaceId=1, name="local")
        self.happens("Consortium", "MemberAdmitted", member=ANA, namespaceId=1, roles=int(Role.SUBMITTER))

    def happens(self, contract: str, event: str, /, **args: Any) -> int:
        self.number += 1
        place = self.number
        mark = BlockMark(place, sha256(b"%d" % place), 1_000 + place)
        line = Line(place, 0, mark.time, keccak(b"%d" % place), 0, 0, contract, event, args)
        assert self.projection.apply(self.projection.cursor(), [mark], [line])
        return place

    def seals(self, name: str, parents: Sequence[Version] = (), **given: object) -> Version:
        ids = tuple(parent.id for parent in parents)
        manifest = build_manifest("local", name, [FILE], ids, {"description": f"{self.number}", **given})
        root = sha256(b"root%d" % self.number)
        version = Version(1, name_hash(name), root, manifest.digest, ids, manifest.size, NO_SALT, ANA)
        self.happens(
            "TwinRegistry",
            "Registered",
            versionId=version.id,
            modelId=model_id(1, name),
            namespaceId=1,
            nameHash=version.name_hash,
            weightsRoot=root,
            manifest=manifest.digest,
            parents=list(ids),
            size=version.size,
            salt=NO_SALT,
            submitter=ANA,
            feeClass=0,
            fee=(1 << 128) - 1,
            tax=0,
            epoch=0,
            slot=0,
        )
        self.reads(manifest)
        return version

    def reads(self, manifest: Manifest) -> None:
        read = Readable(
            hex32(manifest.digest), manifest.namespace, manifest.name, manifest.bytes, searchable(manifest)
        )
        self.projection.add_manifests([read])

    def status(self, version: Version, status: Status, reason: str) -> None:
        args = {"versionId": version.id, "status": int(status), "reason": reason, "by": ANA}
        self.happens("TwinRegistry", "StatusChanged", **args)

    def alias(self, name: str, alias: str, version: Version) -> None:
        args = {"modelId": model_id(1, name), "name": alias, "versionId": version.id, "by": ANA}
        self.happens("TwinRegistry", "AliasSet", **args)

    def means(self, reference: str) -> VersionId:
        return self.index.resolve(parse_reference(reference)).version_id

    def finds(self, **wanted: Any) -> list[VersionId]:
        found, cursor = [], None
        while True:
            page = search(self.engine, Search(limit=2, cursor=cursor, **wanted))
            found += [row.version_id for row in page.versions]
            cursor = page.next
            if cursor is None:
                return found


@pytest.fixture
def story(open_engine: Callable[[], Engine]) -> Story:
    return Story(open_engine())


def test_versions_are_numbered_per_model_in_chain_order(story: Story) -> None:
    first, other, second = story.seals("a"), story.seals("b"), story.seals("a")
    assert [story.means(r) for r in ("local/a@v1", "local/b@v1", "local/a@v2")] == [
        first.id,
        other.id,
        second.id,
    ]
    row = story.index.version(first.id)
    assert row is not None
    assert (row.version, row.number, row.fee) == (first, 1, (1 << 128) - 1)


def test_a_bare_name_means_its_champion_else_its_newest_active_version(story: Story) -> None:
    first, second = story.seals("a"), story.seals("a")
    assert story.means("local/a") == second.id
    story.status(second, Status.DEPRECATED, "drift")
    assert story.means("local/a") == first.id
    story.alias("a", "champion", second)
    assert story.means("local/a") == story.means("local/a@champion") == second.id
    story.alias("a", "champion", first)
    assert story.index.aliases_of(second.id) == []


def test_an_id_may_be_cut_as_long_as_it_means_one_version(story: Story) -> None:
    version = story.seals("a")
    assert story.means(hex32(version.id)[:14]) == version.id
    with pytest.raises(NotFound):
        story.means("0x" + "0" * 20)
    assert story.means(hex32(version.id)) == version.id


def test_a_text_with_a_nul_does_not_stop_the_projection(story: Story) -> None:
    version = story.seals("a")
    story.status(version, Status.REVOKED, "bad\0 \N{SNOWMAN}")
    with reading(story.index.engine) as connection:
        assert connection.execute(select(statuses.c.reason)).scalars().all() == ["bad\ufffd \N{SNOWMAN}"]
    assert story.index.sealed([version.id]) == {version.id: Status.REVOKED}


def test_names_are_listed_by_their_bytes_page_by_page(story: Story) -> None:
    names = ["b", "a.b", "a-b", "a_b", "ab", "a", "a1"]
    for name in names:
        story.seals(name)
    listed: list[str] = []
    while page := story.index.models(after=listed[-1] if listed else "", limit=2):
        listed += [f"{row.namespace}/{row.name}" for row in page]
    assert listed == sorted(f"local/{name}" for name in names)


def test_undoing_blocks_leaves_what_was_there_before(story: Story) -> None:
    first = story.seals("a")
    story.alias("a", "champion", first)
    height = story.number
    second = story.seals("a", [first])
    story.alias("a", "champion", second)
    story.status(first, Status.REVOKED, "x")
    assert story.projection.sealed_above(height) == [hex32(second.id)]
    story.projection.roll_back(height)
    cursor = story.projection.cursor()
    assert cursor is not None and cursor.number == height
    assert story.means("local/a") == first.id
    assert story.index.children([first.id]) == {first.id: []}
    assert story.index.sealed([first.id, second.id]) == {first.id: Status.ACTIVE}


def test_a_block_is_projected_whole_or_not_at_all(story: Story) -> None:
    before = story.projection.cursor()
    mark = BlockMark(story.number + 1, bytes(32), 5)
    good = Line(mark.number, 0, 5, bytes(32), 0, 0, "TwinRegistry", "VersionCancelled", {})
    with pytest.raises(KeyError):
        story.projection.apply(before, [mark], [good])
    assert story.projection.cursor() == before


def test_a_manifest_that_comes_late_is_wanted_until_it_is_read_and_read_once(story: Story) -> None:
    version = story.seals("a", tags=["late"])
    body = story.index.versions([version.id])[version.id].manifest
    assert body is not None
    with writing(story.engine) as connection:
        for table in (manifests, fields):
            connection.execute(delete(table))
    digest = hex32(version.manifest)
    assert story.projection.manifests_wanted() == story.projection.unread([digest]) == [digest]
    read = Readable(digest, "local", "a", body, searchable(parse_manifest(body)))
    for _ in range(2):
        story.projection.add_manifests([read])
        assert story.finds(tags=("late",)) == [version.id]
    assert story.projection.manifests_wanted() == story.projection.unread([digest]) == []
    with reading(story.engine) as connection:
        assert len(connection.execute(select(fields)).all()) == len(read.fields)


def test_a_block_without_events_is_kept_while_a_walk_back_can_need_it(story: Story) -> None:
    first = story.number
    for number in (first + 1, first + 2, first + 1_025, first + 1_026):
        mark = BlockMark(number, sha256(b"%d" % number), 1_000 + number)
        assert story.projection.apply(story.projection.cursor(), [mark], [])
    kept = [number for number in range(1, first + 1_027) if story.projection.hash_at(number) is not None]
    assert kept == [*range(1, first + 1), first + 2, first + 1_025, first + 1_026]


def test_two_gateways_of_one_database_project_a_block_once(story: Story) -> None:
    before = story.projection.cursor()
    height = story.happens("Consortium", "NamespaceCreated", namespaceId=2, name="other")
    other = Projection(story.engine)
    late = BlockMark(height, sha256(b"%d" % height), 1_000 + height)
    line = Line(height, 0, late.time, keccak(b"x"), 0, 0, "Consortium", "NamespaceCreated", {})
    assert not other.apply(before, [late], [line])
    assert other.cursor() == story.projection.cursor() == late


def test_parents_lead_to_their_children(story: Story) -> None:
    root = story.seals("a")
    left, right = story.seals("b", [root]), story.seals("c", [root])
    joined = story.seals("d", [left, right])
    children = story.index.children([root.id, left.id])
    assert {k: set(v) for k, v in children.items()} == {root.id: {left.id, right.id}, left.id: {joined.id}}
    links = story.index.links_below([hex32(root.id)])
    assert set(links) == {(hex32(one.id), hex32(root.id), "parent") for one in (left, right)}


def test_a_component_is_a_link_with_its_role(story: Story) -> None:
    part = story.seals("a")
    chained = story.seals("b", [part], components=[{"version": hex32(part.id), "role": "encoder"}])
    links = story.index.links_below([hex32(part.id)])
    assert set(links) == {(hex32(chained.id), hex32(part.id), role) for role in ("parent", "component")}
    assert story.index.children([part.id]) == {part.id: [chained.id]}


def test_a_manifest_that_names_another_model_names_nothing(story: Story) -> None:
    version = story.seals("a")
    stolen = build_manifest("local", "b", [FILE], (), {})
    args = {"nameHash": name_hash("a"), "modelId": model_id(1, "a"), "manifest": stolen.digest}
    thief = Version(1, name_hash("a"), bytes(32), stolen.digest, (), 10, NO_SALT, ANA)
    event = {"namespaceId": 1, "weightsRoot": bytes(32), "parents": [], "size": 10, "salt": NO_SALT}
    event |= {"submitter": ANA, "feeClass": 0, "fee": 1, "tax": 0, "versionId": thief.id, **args}
    event |= {"epoch": 0, "slot": 0}
    story.happens("TwinRegistry", "Registered", **event)
    story.reads(stolen)
    found = story.index.version(thief.id)
    assert found is not None and found.manifest is None
    assert story.finds() == [version.id]


def place(south: float, west: float) -> dict[str, object]:
    return {"wireless": {"bbox": [south, west, south + 0.1, west + 0.1]}}


def test_every_condition_narrows_a_search_and_pages_repeat_nothing(story: Story) -> None:
    made = [
        story.seals("a", tags=["urban"], metrics={"rmse_db": 3.0}, description="Streets of 50% and_more"),
        story.seals("b", tags=["urban", "x"], metrics={"rmse_db": 2.0}),
        story.seals("c", tags=["rural"], metrics={"rmse_db": 1e-9}),
        story.seals("d", tags=["urban"]),
        story.seals("e", tags=["urban"], metrics={"rmse_db": 4.0}),
    ]
    a, b, c, d, e = (version.id for version in made)
    assert story.finds() == [e, d, c, b, a]
    assert story.finds(sort="oldest") == story.finds(sort="name") == [a, b, c, d, e]
    assert story.finds(tags=("urban",)) == [e, d, b, a]
    assert story.finds(tags=("urban", "x")) == [b]
    assert story.finds(metrics=(parse_metric("rmse_db<=3"),)) == [c, b, a]
    assert story.finds(text="50% AND_") == [a]
    assert story.finds(text="50x") == []
    story.status(made[0], Status.REVOKED, "x")
    story.status(made[1], Status.DEPRECATED, "x")
    assert story.finds(tags=("urban",)) == [e, d, b]


def test_near_orders_by_distance_also_across_the_earth(story: Story) -> None:
    versions = [story.seals(f"m{n}", **place(*at)) for n, at in enumerate([(48, 2), (-33, 151), (52, 13)])]
    paris, sydney, berlin = (version.id for version in versions)
    assert story.finds(near=(50.0, 8.0)) == [berlin, paris, sydney]
    assert story.finds(near=(-34.0, 150.0)) == [sydney, berlin, paris]


def test_members_and_cells_are_as_they_were_left(story: Story) -> None:
    key = keccak(b"x25519")
    story.happens("Consortium", "KeyRegistered", member=ANA, x25519=key)
    for gateway in (keccak(b"one"), keccak(b"two")):
        address: Address = KeySigner(gateway).address
        story.happens("Consortium", "CellAdded", namespaceId=1, name="cell-1", gateway=address)
    member = story.index.member(ANA)
    assert member is not None and (member.namespace, member.x25519) == ("local", key)
    assert [(c.name, c.gateway) for c in story.index.cells()] == [("cell-1", address)]
    story.happens("Consortium", "MemberRemoved", member=ANA, namespaceId=1)
    assert [m.roles for m in story.index.members()] == [Role(0)]


def test_a_grant_stands_until_it_is_taken_back(story: Story) -> None:
    version = story.seals("a")
    given = {"versionId": version.id, "reader": ANA, "by": ANA}
    story.happens("Consortium", "Granted", **given, keyVersion=2, wrappedKey=b"key")
    story.happens("Consortium", "Ungranted", **given)
    granted, taken = story.index.grant_history(version.id)
    assert (granted.reader, granted.key_version, granted.wrapped_key) == (ANA, 2, b"key")
    assert (taken.reader, taken.wrapped_key) == (ANA, None)


def test_what_was_projected_is_there_after_a_restart(story: Story, open_engine: Callable[[], Engine]) -> None:
    version = story.seals("a")
    again = Projection(open_engine())
    assert again.cursor() == story.projection.cursor()
    assert Index(open_engine()).version(version.id) == story.index.version(version.id)


def test_an_ambiguous_beginning_is_a_conflict(story: Story) -> None:
    by_digit: dict[str, VersionId] = {}
    while True:
        version = story.seals("a")
        beginning = hex32(version.id)[:3]
        if beginning in by_digit:
            break
        by_digit[beginning] = version.id
    with pytest.raises(Conflict):
        story.index.resolve(Reference(version_prefix=beginning))


def test_every_table_that_names_its_block_is_rolled_back_and_compared() -> None:
    """A table left out would keep an orphaned block's rows after a reorganisation, unseen by fsck."""
    named = {table.name for table in metadata.tables.values() if "block" in table.c}
    assert named == {table.name for table in CHAIN_TABLES}
