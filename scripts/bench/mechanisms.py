"""Times and growth of the reward mechanisms, and the gas of settlements and claims.

Pure functions on generated players; each size is twice or ten times the one before, so the growth shows.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from kit import ROOT, Result, seconds

from incentives import contract_theory, stackelberg
from incentives.auction import Bid, optimal_welfare, vcg
from incentives.payouts import Payout, PayoutTable, Scope
from registry.core.ids import Address, address_of

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


def gas() -> list[Result]:
    """Gas of settlements and of claims, on py-evm with the committed contracts: exact on every machine."""
    sys.path.append(str(ROOT / "tests" / "contracts"))
    from onchain import Fees, again, found
    from pychain import COUNCIL
    from rewards import copy, found_rewards
    from test_reward_pool import stackelberg_crowd

    first = found_rewards(found(Fees()))
    second, third = copy(first, again(first.world)), copy(first, again(first.world))
    crowd, table, settle = stackelberg_crowd(first, 1000)
    first.fund(crowd[0], 1)
    one = first.claim(table, crowd[:1]).gas_used
    crowd, table, _ = stackelberg_crowd(second, 100)
    for device in crowd:
        second.fund(device, 1)
    each = second.claim(table, crowd, by=COUNCIL).gas_used // 100
    small = stackelberg_crowd(third, 2)[2]
    return [
        _at_most("gas to settle a round of 1,000 devices", settle, small, 1.01, "a round of 2: "),
        _at_most("gas of one claim among 1,000 devices", one, 80_000, 1),
        _at_most("gas of each of 100 claims to known accounts in one transaction", each, 45_000, 1),
    ]


def _at_most(what: str, ours: int, limit: int, target: float, against: str = "") -> Result:
    return Result(what, f"{ours:,}", f"{against}{limit:,}", ours / limit, target, at_most=True)


# Work, sizes, and how many times as long the last size may take as the one before.
WORK: list[tuple[str, Callable[[int], None], tuple[int, ...], float]] = [
    ("VCG with 64 channels, winners and all payments, devices", auction, (1_250, 2_500, 5_000, 10_000), 3),
    ("one welfare programme with 64 channels, devices", welfare, (2_500, 5_000, 10_000), 3),
    ("contract theory with ironing, types", contract, (100, 1_000, 10_000), 20),
    ("Stackelberg, the best rate, devices", posted, (10, 100, 1_000), 100),
    ("payout root, devices", root, (1_000, 10_000), 20),
]


def _least(run: Callable[[int], None], sizes: Sequence[int]) -> list[float]:
    """The least of three times for each size, taken in turn: a busy moment of the machine counts for none."""
    rounds = [[seconds(partial(run, size)) for size in sizes] for _ in range(3)]
    return [min(times) for times in zip(*rounds, strict=True)]


def measure(*, full: bool) -> list[Result]:
    """Each mechanism's largest size against the size before; `full` adds one size more."""
    results = []
    for what, run, sizes, target in WORK:
        factor = sizes[-1] // sizes[-2]
        steps = [*sizes, sizes[-1] * factor] if full else [*sizes]
        times = _least(run, steps)
        path = ", ".join(f"{size:,}: {took:.3g} s" for size, took in zip(steps, times, strict=True))
        results.append(
            Result(
                f"{what}, {steps[-1]:,}",
                f"{times[-1]:.3g} s",
                f"{steps[-2]:,}: {times[-2]:.3g} s",
                times[-1] / times[-2],
                target,
                path,
                at_most=True,
            )
        )
    return [*results, *gas()]
