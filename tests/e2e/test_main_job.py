"""Submit, seal, retrieve, verify: the main job over a real socket."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from registry.errors import Conflict, NotFound, RegistryError
from registry.sdk import Client, Receipt
from registry.sdk.submitting import Work

MANIFEST = {
    "description": "RSRP of a cell",
    "tags": ["rsrp"],
    "metrics": {"rmse_db": 3.25},
    "wireless": {"carrier_hz": 3.5e9, "scenario": "UMa", "cells": ["local/tower-1"]},
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Path]:
    """Weights by seed."""

    def weights(seed: int) -> Path:
        path = tmp_path / f"{seed}.safetensors"
        save_file({"w": np.random.default_rng(seed).normal(size=(4, 4)).astype("float32")}, path)
        return path

    return weights


def sealed(client: Client, model: str, path: Path, **options: object) -> Receipt:
    receipt = client.submit(model, [path], MANIFEST, **options)
    assert isinstance(receipt, Receipt)
    return receipt


def test_what_was_submitted_comes_back_byte_for_byte(
    client: Client, make: Callable[[int], Path], tmp_path: Path
) -> None:
    receipt = sealed(client, "local/roundtrip", make(1))
    found = client.retrieve("local/roundtrip@v1", to=tmp_path / "out")
    assert (found.path / "1.safetensors").read_bytes() == make(1).read_bytes()
    assert found.version.version_id == receipt.version_id
    assert found.promise is not None


def test_a_receipt_verifies_and_survives_being_saved(
    client: Client, make: Callable[[int], Path], tmp_path: Path
) -> None:
    receipt = sealed(client, "local/receipt", make(2))
    receipt.save(tmp_path / "receipt.json")
    again = Receipt.load(tmp_path / "receipt.json")
    again.verify()
    assert again.body == receipt.body
    assert receipt.body.receipt_proof is not None


def test_the_same_act_repeated_is_the_same_version_and_costs_nothing(
    client: Client, make: Callable[[int], Path]
) -> None:
    first = sealed(client, "local/repeat", make(3))
    before = client.account.show().balance
    second = sealed(client, "local/repeat", make(3))
    assert second.version_id == first.version_id
    assert client.account.show().balance == before
    assert len(client.versions("local/repeat")) == 1


def test_a_salt_makes_the_same_content_another_version(client: Client, make: Callable[[int], Path]) -> None:
    first = sealed(client, "local/salted", make(4))
    second = sealed(client, "local/salted", make(4), salt=b"\1" * 32)
    assert (first.number, second.number) == (1, 2)


def test_parents_make_a_lineage_both_ways(client: Client, make: Callable[[int], Path]) -> None:
    root = sealed(client, "local/family", make(5))
    child = sealed(client, "local/family", make(6), parents=[root.version_id])
    grandchild = sealed(client, "local/family", make(7), parents=["local/family@v2"])
    up = client.lineage(grandchild.version_id, "up")
    assert [kin.version_id for kin in up] == [grandchild.version_id, child.version_id, root.version_id]
    down = client.lineage(root.version_id, "down")
    assert [kin.depth for kin in down] == [0, 1, 2]


def test_a_child_sent_with_its_parent_is_sealed_after_it(client: Client, make: Callable[[int], Path]) -> None:
    parent = client.submit("local/together", [make(8)], MANIFEST, wait=False)
    child = client.submit("local/together", [make(9)], MANIFEST, parents=[parent.version_id], fee="priority")
    assert isinstance(child, Receipt)
    assert client.version("local/together@v1").version_id == parent.version_id
    assert child.number == 2


def test_an_alias_moves_and_the_champion_is_what_a_bare_name_means(
    client: Client, make: Callable[[int], Path]
) -> None:
    first = sealed(client, "local/aliased", make(10))
    second = sealed(client, "local/aliased", make(11))
    assert client.version("local/aliased").version_id == second.version_id
    client.alias("local/aliased", "champion", first.version_id)
    assert client.version("local/aliased").version_id == first.version_id
    client.alias("local/aliased", "champion", second.version_id)
    assert client.version("local/aliased@champion").version_id == second.version_id


def test_a_revoked_version_needs_to_be_asked_for(
    client: Client, make: Callable[[int], Path], tmp_path: Path
) -> None:
    sealed(client, "local/revoked", make(12))
    client.revoke("local/revoked@v1", "trained on a poisoned update")
    with pytest.raises(Conflict, match="revoked"):
        client.retrieve("local/revoked@v1", to=tmp_path / "no")
    assert not (tmp_path / "no").exists()
    client.retrieve("local/revoked@v1", to=tmp_path / "yes", allow_revoked=True)
    with pytest.raises(NotFound):
        client.version("local/revoked")


def test_a_revoked_parent_is_refused(client: Client, make: Callable[[int], Path]) -> None:
    bad = sealed(client, "local/tainted", make(13))
    client.revoke(bad.version_id, "tainted")
    with pytest.raises(Conflict, match="revoked"):
        client.submit("local/tainted", [make(14)], MANIFEST, parents=[bad.version_id])


def test_search_narrows_by_every_condition(client: Client, make: Callable[[int], Path]) -> None:
    receipt = sealed(client, "local/searched", make(15))
    hits = [
        client.search(tag="rsrp", scenario="UMa", carrier_hz="3.4e9..3.6e9", metric="rmse_db<4"),
        client.search(cell="local/tower-1"),
        client.search(q="searched"),
    ]
    assert all(receipt.version_id in {found.version_id for found in hit} for hit in hits)
    misses = [
        client.search(carrier_hz="1e9..2e9"),
        client.search(metric="rmse_db<3"),
        client.search(tag="snr"),
    ]
    assert all(receipt.version_id not in {found.version_id for found in miss} for miss in misses)


def test_search_pages_join_without_loss_or_repeat(client: Client, make: Callable[[int], Path]) -> None:
    for seed in range(20, 24):
        sealed(client, f"local/paged-{seed}", make(seed))
    whole = [found.version_id for found in client.search(tag="rsrp")]
    paged: list[str] = []
    cursor = None
    while True:
        page = client.http.get("/v1/search", {"tag": "rsrp", "limit": 3, "cursor": cursor})
        paged += [item["version_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole
    assert len(set(paged)) == len(paged)


def test_many_are_submitted_at_once(client: Client, make: Callable[[int], Path]) -> None:
    works = [Work(f"local/many-{seed}", [make(seed)], MANIFEST) for seed in range(30, 42)]
    results = client.submit_many(works)
    assert all(isinstance(result, Receipt) for result in results)
    assert len({result.version_id for result in results}) == len(works)
    # By the page or one by one, a receipt is the same but for the log's proof, which one alone carries.
    for result in results[:3]:
        single = client.wait(result.version_id)
        assert single.body.model_copy(update={"log": None}) == result.body
        result.verify()
    unknown = "0x" + "7" * 64
    page = client.http.get("/v1/submissions", {"version_id": [unknown, results[0].version_id]})
    assert [item["version_id"] for item in page["items"]] == [results[0].version_id]
    assert page["proofs"].keys() == {results[0].tx_hash}


def test_a_listed_submission_says_what_it_says_alone(client: Client, make: Callable[[int], Path]) -> None:
    done = sealed(client, "local/listed", make(43))
    listed = {item.version_id: item for item in client.submissions()}
    alone = client.submission(done.version_id)
    assert listed[done.version_id] == alone.model_copy(
        update={
            "receipt": None,
            "submission": listed[done.version_id].submission,
            "signature": listed[done.version_id].signature,
        }
    )
    assert listed[done.version_id].submission is not None  # its own submitter sees what was signed


def test_a_hundred_clients_that_submit_the_same_make_one_version(
    client: Client, live: object, make: Callable[[int], Path]
) -> None:
    path = make(50)
    results: list[object] = []

    def act() -> None:
        try:
            with live.client() as one:
                results.append(one.submit("local/crowd", [path], MANIFEST).version_id)
        except RegistryError as e:
            results.append(e)

    threads = [threading.Thread(target=act) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 100
    assert set(results) == {client.version("local/crowd").version_id}
    assert len(client.versions("local/crowd")) == 1


def test_a_cancelled_submission_is_not_sealed_until_it_is_signed_anew(
    client: Client, make: Callable[[int], Path], live: object
) -> None:
    # A child of a parent that nobody seals stays pending, so there is time to cancel it.
    session = client._submitter
    parent = session.prepare(Work("local/cancelled", [make(60)], MANIFEST))
    version = client.submit(
        "local/cancelled", [make(61)], MANIFEST, max_price=1 << 40, fee="standard", wait=False
    )
    assert parent.version_id != version.version_id
    status = client.wait(version.version_id)
    with pytest.raises(RegistryError):
        client.cancel(status.version_id)
