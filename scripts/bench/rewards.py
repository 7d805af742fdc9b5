#!/usr/bin/env python3
"""Times and growth of the reward mechanisms, and the gas of claims: `scripts/bench/rewards.py`.

Pure functions on generated players; each size is twice or ten times the one before, so the growth shows.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "contracts")]

from incentives import contract_theory, stackelberg  # noqa: E402
from incentives.auction import Bid, optimal_welfare, vcg  # noqa: E402
from incentives.payouts import Payout, PayoutTable, Scope  # noqa: E402
from registry.core.ids import Address, address_of  # noqa: E402

POOL = address_of(bytes(20))


def auction(devices: int) -> None:
    rng = np.random.default_rng(devices)
    values, claims = rng.integers(50, 150, devices), rng.integers(1, 100, devices)
    bids = [
        Bid(f"u{i}", int(v), int(c), 1 + i % 8) for i, (v, c) in enumerate(zip(values, claims, strict=True))
    ]
    vcg(bids, 64)


def welfare(devices: int) -> None:
    rng = np.random.default_rng(devices)
    optimal_welfare(
        [Bid(f"u{i}", 100, int(c), 1 + i % 8) for i, c in enumerate(rng.integers(1, 99, devices))], 64
    )


def contract(types: int) -> None:
    theta = np.linspace(1.0, 2.0, types)
    contract_theory.publish(
        replace(contract_theory.EXAMPLE, devices=types), theta.tolist(), [1 / types] * types
    )


def posted(devices: int) -> None:
    rng = np.random.default_rng(devices)
    players = [stackelberg.Device(float(a), float(b)) for a, b in rng.uniform(0.1, 1.0, (devices, 2))]
    server = stackelberg.Server(
        beta=60.0, a=0.3, b=0.0, delta=10.0, theta_max=0.8, reward_max=40.0, k_min=devices // 2
    )
    stackelberg.post_reward(server, players)


def root(devices: int) -> None:
    payouts = [
        Payout(Address(address_of(i.to_bytes(20, "big"))), 10**12, (10**12, 0)) for i in range(1, devices + 1)
    ]
    _ = PayoutTable(Scope(1, POOL, 1, 0), payouts).root


def claims() -> dict[str, int]:
    """Gas of a settlement and of claims, on py-evm with the committed contracts."""
    from onchain import Fees, again, found
    from pychain import COUNCIL
    from rewards import copy, found_rewards
    from test_reward_pool import stackelberg_crowd

    first = found_rewards(found(Fees()))
    second = copy(first, again(first.world))
    crowd, table, settle = stackelberg_crowd(first, 1000)
    first.fund(crowd[0], 1)
    one = first.claim(table, crowd[:1]).gas_used
    crowd, table, _ = stackelberg_crowd(second, 100)
    for device in crowd:
        second.fund(device, 1)
    hundred = second.claim(table, crowd, by=COUNCIL).gas_used // 100
    return {
        "settle a round": settle,
        "one claim among 1000": one,
        "each of 100 claims in one transaction": hundred,
    }


WORK: list[tuple[str, Callable[[int], None], tuple[int, ...]]] = [
    ("VCG, 64 channels, devices", auction, (1_250, 2_500, 5_000, 10_000)),
    ("one welfare programme, 64 channels, devices", welfare, (2_500, 5_000, 10_000)),
    ("contract theory, types", contract, (100, 1_000, 10_000)),
    ("Stackelberg, devices", posted, (10, 100, 1_000)),
    ("payout root, devices", root, (1_000, 10_000)),
]


def main() -> None:
    """Print one line a size, then the gas."""
    for what, run, sizes in WORK:
        before: tuple[int, float] | None = None
        for size in sizes:
            began = time.perf_counter()
            run(size)
            took = time.perf_counter() - began
            growth = "" if before is None else f"  x{took / before[1]:.2f} for x{size / before[0]:g}"
            print(f"{what} {size}: {took:.3f} s{growth}", flush=True)
            before = (size, took)
    for what, gas in claims().items():
        print(f"{what}: {gas} gas")


if __name__ == "__main__":
    main()
