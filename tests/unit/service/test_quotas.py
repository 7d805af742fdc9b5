"""What callers may leave with a gateway: per member, for all who sign nothing, and in all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.config import Quotas
from registry.core.cid import DAG_PB, RAW, Cid
from registry.core.ids import keccak, sha256
from registry.core.signing import KeySigner
from registry.database import open_database, sqlite_url
from registry.errors import Malformed, RateLimited, Rejected, TooLarge
from registry.pool import Uploads
from registry.pool.seals import RowSeal
from registry.service.content import Content
from registry.storage.base import Pin
from registry.storage.car import write_car
from registry.storage.embedded import EmbeddedStore

ANA, BO = (str(KeySigner(keccak(name)).address) for name in (b"ana", b"bo"))
QUOTAS = Quotas(anonymous_bytes=1_000, caller_bytes=2_000, all_bytes=4_000, unnamed_s=3_600)


class Clock:
    at = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def content(tmp_path: Path, clock: Clock) -> Iterator[Content]:
    engine = open_database(sqlite_url(tmp_path / "pool.db"))
    with EmbeddedStore(tmp_path / "store", clock=clock) as store:
        yield Content(store, Uploads(engine, RowSeal(b"k" * 32)), QUOTAS, 1_500, clock)
    engine.dispose()


def some(size: int, seed: int) -> list[bytes]:
    return [bytes([seed]) * size]


def car(size: int, seed: int, *, is_rooted: bool) -> Iterator[bytes]:
    (block,) = some(size, seed)
    cid = Cid(RAW, sha256(block))
    return write_car((cid,) if is_rooted else (), [(cid, block)])


def test_a_member_s_quota_is_its_own(content: Content) -> None:
    content.put(some(1_200, 1), caller=ANA)
    with pytest.raises(RateLimited, match="quota of 2000"):
        content.put(some(900, 2), caller=ANA)
    content.put(some(900, 2), caller=BO)


def test_all_who_sign_nothing_share_one_quota(content: Content) -> None:
    content.put(some(600, 1), caller=None)
    with pytest.raises(RateLimited, match="quota of 1000"):
        content.put(some(600, 2), caller=None)


def test_the_gateway_has_a_limit_in_all(content: Content) -> None:
    for seed, who in enumerate((ANA, BO, str(KeySigner(keccak(b"cy")).address))):
        content.put(some(1_200, seed), caller=who)
    with pytest.raises(RateLimited, match="limit of 4000"):
        content.put(some(600, 9), caller=None)


def test_what_a_submission_names_no_longer_counts(content: Content) -> None:
    stored = content.put(some(1_200, 1), caller=ANA)
    content.named([Pin(stored.cid, ANA)])
    content.put(some(1_200, 2), caller=ANA)


def test_what_nobody_named_within_the_hour_is_collected_and_no_longer_counts(
    content: Content, clock: Clock
) -> None:
    stored = content.put(some(1_200, 1), caller=ANA)
    clock.at += 3_601
    assert content.collect() >= 1_200
    assert not content.store.has(stored.cid)
    content.put(some(1_200, 2), caller=ANA)


def test_one_file_has_a_limit_of_its_own(content: Content) -> None:
    with pytest.raises(TooLarge):
        content.put(some(1_501, 1), caller=ANA)


@pytest.mark.parametrize("is_rooted", [True, False])
def test_an_archive_counts_whether_its_blocks_have_a_root_or_none(content: Content, is_rooted: bool) -> None:
    content.put_car(car(800, 1, is_rooted=is_rooted), caller=None)
    with pytest.raises(RateLimited):
        content.put_car(car(800, 2, is_rooted=is_rooted), caller=None)


def test_the_files_of_a_directory_in_an_archive_are_uploads_like_any_other(
    content: Content, tmp_path: Path
) -> None:
    with EmbeddedStore(tmp_path / "elsewhere") as elsewhere:
        files = [elsewhere.put(some(300, seed)) for seed in (1, 2)]
        folder = elsewhere.put_directory({"a.bin": files[0], "below/b.bin": files[1]})
        taken = content.put_car(elsewhere.export(folder.cid), caller=None)
    assert taken.roots == (folder.cid,)
    assert b"".join(content.get(files[1].cid)) == bytes([2]) * 300
    with pytest.raises(RateLimited):
        content.put(some(600, 3), caller=None)
    content.named([Pin(file.cid, ANA) for file in files])
    content.put(some(600, 3), caller=None)


def test_an_archive_whose_root_is_no_unixfs_is_refused_and_counts_all_the_same(content: Content) -> None:
    refusals = []
    for seed in (1, 2):
        block = b"\x0a\xa0\x06" + bytes([seed]) * 800
        root = Cid(DAG_PB, sha256(block))
        with pytest.raises(Rejected) as refusal:
            content.put_car(write_car((root,), [(root, block)]), caller=None)
        refusals.append(refusal.type)
    assert refusals == [Malformed, RateLimited]


def test_the_same_archive_again_counts_once(content: Content) -> None:
    for _ in range(3):
        content.put_car(car(300, 1, is_rooted=False), caller=None)
    content.put_car(car(300, 2, is_rooted=False), caller=None)
