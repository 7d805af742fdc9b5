"""The simulated market agrees with the formulas, finds the optimum, and shows what deviations gain."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from incentives.backlog import DelayCosts
from incentives.fwt import Game, Users, Waits, optimal_taxes, optimum
from incentives.ledger import Rules
from incentives.queueing import ExponentialBlocks, FixedBlocks
from miners.deviations import (
    Panel,
    game_gain,
    largest_shift,
    ledger_gains,
    live_gain,
    posted_taxes,
    sybil_refund,
    with_phantoms,
)
from miners.simulate import Setting, closed_loop, measure, observe
from miners.sweep import Case, all_cases, mistaxed, solve, storage_cover

ROOT = Path(__file__).parents[3]
FIXED = FixedBlocks(5.0, 20)


def market(queue):
    return Game(Users(20, 6.0, 4.0), Users(20, 3.0, 1.0), 0.02, 3.0, 0.3, queue)


@pytest.mark.parametrize("queue", [FIXED, ExponentialBlocks(5.0, 20)])
def test_simulated_blocks_wait_and_measure_as_the_formulas_say(queue):
    game = market(queue)
    best = optimum(game)
    traffic = observe(queue, best.totals(game), 60_000, np.random.default_rng(5))
    seen, waits, taxes = (
        measure(traffic, game, 5.0),
        Waits.at(queue, *best.totals(game)),
        optimal_taxes(game, best),
    )
    assert traffic.wait_high == pytest.approx(waits.high, rel=0.03)
    assert traffic.wait_low == pytest.approx(waits.low, rel=0.08)
    assert abs(seen.high - taxes.taking_high) < 4 * seen.error_high
    assert abs(seen.low - taxes.taking_low) < 4 * seen.error_low


def test_adaptive_users_and_the_ledger_find_the_optimum():
    seen = closed_loop(market(FIXED), FIXED, Setting(1.0, 6, 0.05, 80), np.random.default_rng(1))
    assert np.mean([e.welfare_share for e in seen[40:]]) > 0.95


def test_without_a_tax_the_same_users_ruin_each_other():
    seen = closed_loop(market(FIXED), FIXED, Setting(0.0, 6, 0.05, 60), np.random.default_rng(1))
    assert np.mean([e.welfare_share for e in seen[20:]]) < 0.6


def test_the_same_seed_gives_the_same_run():
    runs = [
        closed_loop(market(FIXED), FIXED, Setting(1.0, 6, 0.05, 4), np.random.default_rng(9)) for _ in "ab"
    ]
    assert runs[0] == runs[1]


def test_the_sweep_has_144_markets_in_which_the_taxed_equilibrium_is_best():
    cases = all_cases()
    assert len(set(cases)) == 144
    for solved in map(solve, cases[::29]):
        assert solved.rate_error < 1e-12
        assert solved.taxed == pytest.approx(solved.best, rel=1e-12)
        assert max(solved.one_fee, solved.two_fees, solved.bidding) < solved.best


def test_a_wrong_tax_costs_welfare_on_both_sides():
    case = Case(40, 10, 0.001, 5.0)
    assert mistaxed(case, 1.0) == pytest.approx(1, rel=1e-12)
    assert max(mistaxed(case, 0.5), mistaxed(case, 1.5)) < 0.99


def test_only_the_tax_market_covers_every_miners_storage():
    found = storage_cover([0.5, 1.0, 1.5], 5000, np.random.default_rng(2))
    assert found["FWT"].fairness == pytest.approx(1) and found["FWT"].mean == pytest.approx(1)
    assert found["to the sealer"].fairness < 0.95 and found["split equally"].mean < 0.5


def test_rate_deviations_gain_nothing_in_the_game_and_little_live():
    game = market(FIXED)
    for kind in "HL":
        assert game_gain(game, kind, kind) <= 1e-9
        assert live_gain(game, kind, kind) < 0.01
    assert live_gain(game, "H", "L") < 0 and live_gain(game, "L", "H") < 0


@pytest.mark.parametrize("accounts", [1, 2, 5, 10])
def test_a_payer_with_several_accounts_recovers_their_share_less_one(accounts):
    assert sybil_refund(accounts, 10) == pytest.approx((accounts - 1) / 9, rel=1e-9)


def test_a_minority_of_lying_miners_moves_no_tax_and_a_majority_does():
    traffic = observe(FIXED, optimum(market(FIXED)).totals(market(FIXED)), 64 * 8, np.random.default_rng(3))
    rules = Rules(DelayCosts(66_667, 16_667, 128), eps=1, eta=6, tau0=(50_000, 40_000))
    honest = posted_taxes(traffic, Panel(5, 0, "never pending"), rules)
    for lie in ("always pending", "never pending"):
        assert largest_shift(honest, posted_taxes(traffic, Panel(5, 2, lie), rules)) == 0
        assert largest_shift(honest, posted_taxes(traffic, Panel(5, 3, lie), rules)) > 0


def test_an_always_cancelled_submission_raises_the_measured_tax_somewhat():
    game = market(FIXED)
    traffic = observe(FIXED, optimum(game).totals(game), 40_000, np.random.default_rng(4))
    plain, haunted = (measure(t, game, 5.0) for t in (traffic, with_phantoms(traffic, 20)))
    assert 1 < haunted.low / plain.low < 1.05


def test_no_deviation_of_the_live_ledger_passes_the_price_taking_gap():
    *gains, gap = ledger_gains(market(FIXED), FIXED, 64 * 12, np.random.default_rng(6))
    assert 0 < gap.high < 0.01 and 0 < gap.low < 0.01
    assert all(gain.high <= gap.high and gain.low <= gap.low for gain in gains)
    assert max(gains[0].high, gains[0].low) > 0
    exact = [gain for gain in gains if "split" in gain.deviation or "miners" in gain.deviation]
    assert len(exact) == 2 and all(gain.high == gain.low == 0 for gain in exact)


def test_the_study_runs_and_fills_every_table(tmp_path):
    pytest.importorskip("matplotlib")
    script = ROOT / "scripts" / "fwt_study"
    subprocess.run([sys.executable, script, "--quick", "--out", tmp_path], check=True, capture_output=True)
    page = (tmp_path / "fwt.md").read_text()
    tables = sorted(p.stem for p in (tmp_path / "fwt").glob("*.csv"))
    assert len(tables) == 9
    assert all(f"<!-- begin {name} -->\n| " in page for name in tables)
    assert len(list((tmp_path / "fwt").glob("*.png"))) == 3
