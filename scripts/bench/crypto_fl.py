"""cryptoFL, the nearest research prototype, beside ours: the gas that it publishes against ours, measured.

No package registry serves it, so nothing of it was run: its figures are those of its README, rounded by its
authors. Ours are exact, on py-evm with the committed contracts, and the same on every machine.
"""

import sys

from chain import SUBMITTERS
from kit import ROOT, Result

# "Gas Costs (Arbitrum Sepolia)" in the README of Luanmantegazine/cryptoFL at commit 4c25464 (8 July 2026).
RECORD_UPDATE, PUBLISH_GLOBAL = 80_000, 70_000
DEVICES = 100
_SMALL = 3  # the clients of a round in its own experiment
_LARGEST = 40


def measure() -> list[Result]:
    """A published global model, and a paid update; the notes say where theirs would be the cheaper one."""
    sys.path.append(str(ROOT / "tests" / "contracts"))
    from test_gas import registration_gas

    enough = next(n for n in range(1, _LARGEST) if _round(n) <= n * RECORD_UPDATE)
    return [
        _against(
            "gas to register a global model, in a batch of 200",
            registration_gas(SUBMITTERS),
            "publish global",
            PUBLISH_GLOBAL,
            f"alone in its seal it costs {_alone():,}",
        ),
        _against(
            f"gas of a device's paid update, {DEVICES} devices a round",
            round(_round(DEVICES) / DEVICES),
            "record update",
            RECORD_UPDATE,
            f"begun, settled and claimed in three transactions; below theirs from {enough} "
            f"devices on; with {_SMALL} it costs {round(_round(_SMALL) / _SMALL):,}",
        ),
    ]


def _against(what: str, ours: int, name: str, published: int, note: str) -> Result:
    there = f"cryptoFL, published and not run: {name} ~{published:,}"
    return Result(what, f"{ours:,}", there, published / ours, 1, note)


def _alone() -> int:
    """A registration that shares its seal with nobody."""
    from onchain import Fees, found
    from pychain import MINERS, actor

    from registry.core.ids import Role

    world = found(Fees())
    who = actor("submitter")
    world.admit(who, "org", Role.SUBMITTER)
    world.deposit(who, 10**15)
    world.admit(MINERS[0], "mine", Role.MINER)
    world.price(MINERS[:1], (7,))
    for label in ("first", "second"):
        done = world.seal(MINERS[0], world.signed(who, world.version(who, label)))
    if len(done.all("Registered")) != 1:
        raise RuntimeError("the registration was rejected")
    return done.gas_used


def _round(devices: int) -> int:
    """A round from its beginning to the last device paid: settled once, claimed by all in one transaction."""
    from onchain import Fees, found
    from pychain import COUNCIL, actor
    from rewards import RATE, STACKELBERG, Terms, found_rewards

    from incentives.payouts import Payout

    rewards = found_rewards(found(Fees()))
    crowd = [actor(f"crowd {i}") for i in range(devices)]
    for device in crowd:
        rewards.fund(device, 1)
    rewards.open(Terms(mechanism=STACKELBERG, seats=devices, rounds=1))
    rewards.at(101)
    gas = rewards.begin().gas_used
    table = rewards.table(
        [Payout(d.address, RATE * (10**6 - 7 * i) // 10**6, (RATE, 7 * i)) for i, d in enumerate(crowd)]
    )
    gas += rewards.settle(table).gas_used
    rewards.at(301)
    return int(gas + rewards.claim(table, crowd, by=COUNCIL).gas_used)
