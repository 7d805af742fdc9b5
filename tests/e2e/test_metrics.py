"""The figures of /metrics are true, and a part that is down takes only its own away."""

import re
from pathlib import Path

import pytest
from conftest import Live, write_weights

from registry.errors import StoreUnavailable
from registry.sdk import Client

NAMED = {
    *(f"pool_{state}" for state in ("pending", "sealed", "rejected", "expired", "cancelled")),
    *("seal_latency_seconds_sum", "seal_latency_seconds_count", "batch_items_sum", "batch_items_count"),
    *("chain_head", "chain_time_seconds", "index_block", "index_lag_blocks", "store_bytes"),
    *("log_entries", "log_lag_entries", "gateway_coin_wei", "contract_balance_wei", "part_up"),
}
LINE = re.compile(r"twinledger_(\w+)(\{[^}]*\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


def figures(client: Client) -> dict[str, float]:
    with client.http.stream("/metrics") as response:
        text = response.read().decode()
    found = {}
    for line in text.splitlines():
        if not line.startswith("# TYPE twinledger_"):
            match = LINE.fullmatch(line)
            assert match, line
            found[match[1] + (match[2] or "")] = float(match[3])
    return found


def test_every_figure_is_there_and_true(live: Live, client: Client, tmp_path: Path) -> None:
    before = figures(client)
    assert {name.partition("{")[0] for name in before} - {
        "seal_latency_seconds_bucket",
        "batch_items_bucket",
    } == NAMED
    receipt = client.submit("local/metered", [write_weights(tmp_path / "w.safetensors", 77)], {})
    after = figures(client)
    for name in ("seal_latency_seconds_count", "batch_items_sum", "batch_items_count", "pool_sealed"):
        assert after[name] == before[name] + 1, name
    assert 0 <= after["seal_latency_seconds_sum"] - before["seal_latency_seconds_sum"] < 3_600
    assert after['seal_latency_seconds_bucket{le="+Inf"}'] == after["seal_latency_seconds_count"]
    assert after["store_bytes"] > before["store_bytes"]
    assert after["chain_head"] >= receipt.block.number  # type: ignore[union-attr]
    contracts = live.running.gateway.contracts
    for name in ("TwinRegistry", "StorageMarket", "RewardPool"):
        held = contracts.link.balance(contracts.address(name))
        assert after[f'contract_balance_wei{{contract="{name}"}}'] == pytest.approx(held)
    assert after["gateway_coin_wei"] == pytest.approx(
        contracts.link.balance(live.running.keys.gateway.address)
    )
    packs = (live.home.store / "packs").glob("*.car")
    assert figures(client)["store_bytes"] <= sum(path.stat().st_size for path in packs)


def test_the_lag_of_both_logs_ends_when_a_checkpoint_covers_them(live: Live, client: Client) -> None:
    live.running.gateway.keeper.keep()
    found = figures(client)
    assert found['log_lag_entries{log="chain"}'] <= 2
    assert found['log_entries{log="chain"}'] == len(live.running.gateway.logs.chain)
    logs = live.running.gateway.logs
    reached = logs.chain_feed.last_place[0]
    assert live.running.gateway.service.index.events_until(reached) == len(logs.chain), "one entry per event"


def test_a_part_that_is_down_takes_only_its_own_figures_away(
    live: Live, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> int:
        raise StoreUnavailable("the disk is away", hint="put it back")

    monkeypatch.setattr(live.running.gateway.store, "size_bytes", gone)
    found = figures(client)
    assert found['part_up{part="store"}'] == 0
    assert "store_bytes" not in found
    assert found['part_up{part="pool"}'] == 1 and "pool_pending" in found
