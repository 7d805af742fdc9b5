"""Each function that sends money, about to be called by or for a wallet that calls back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attackers import Reenterer
from onchain import World
from pychain import ANA, BO, COUNCIL, CY, EVE, Contract
from rewards import (
    AGGREGATOR,
    BOND,
    DEVICES,
    FILE,
    MODEL,
    RATE,
    SPONSOR,
    VALIDATOR,
    Rewards,
    Terms,
    leaf,
    missing,
)

from incentives.payouts import Payout
from registry.core.ids import keccak

JOB = keccak(b"job")
HOSTING, CONNECTIVITY = 1, 2
FIRST = 2  # the first offer of a scene; another one stands before the curtain rises
Call = tuple[str, tuple[Any, ...]]


@dataclass
class Stage:
    """The contracts, the wallet, and a pool that also holds other people's money."""

    world: World
    rewards: Rewards
    bad: Reenterer

    @property
    def pool(self) -> Contract:
        return self.rewards.pool


@dataclass(frozen=True)
class Scene:
    """`call` pays the wallet `due`; `then` are calls back, each with the error it meets, "" for none."""

    contract: Contract
    call: Call
    due: int
    then: tuple[tuple[Call, str], ...]
    value: int = 0
    by_council: bool = False


def withdraw(stage: Stage) -> Scene:
    registry = stage.world.registry
    registry.send(COUNCIL, "deposit", stage.bad.address, value=100)
    for who in (ANA, BO):
        stage.world.deposit(who, 1_000)
    call = ("withdraw", (60,))
    return Scene(
        registry, call, 60, ((call, "InsufficientEscrow"), (("withdraw", (41,)), "InsufficientEscrow"))
    )


def unbond(stage: Stage) -> Scene:
    storage = stage.world.storage
    for who, amount in ((stage.bad, 100), (CY, 1_000)):
        storage.send(EVE, "bond", who.address, value=amount)
    stage.world.slot(60)
    call = ("unbond", (60,))
    return Scene(storage, call, 60, ((call, "BondTooSmall"), (("unbond", (41,)), "BondTooSmall")))


def claim(stage: Stage) -> Scene:
    amounts = [Payout(who.address, RATE * 3 // 4, (RATE, 250_000)) for who in (stage.bad, DEVICES[1])]
    stage.rewards.open()
    table = stage.rewards.settled(amounts)
    stage.rewards.at(400)
    call = ("claim", (1, 0, [leaf(table, stage.bad.address)]))
    return Scene(
        stage.pool,
        call,
        RATE * 3 // 4,
        (
            (call, "AlreadyClaimed"),
            (("refund", (1, [0])), "DeadlineNotReached"),
            (("withdrawOwed", (stage.bad.address,)), "NothingOwed"),
        ),
    )


def refund(stage: Stage) -> Scene:
    terms = Terms()
    stage.rewards.open()
    given = (MODEL, terms.values(stage.world.now, AGGREGATOR.address), (), ())
    stage.bad.send(stage.pool, "openTask", *given, value=terms.escrow)
    stage.rewards.at(2_000)
    call = ("refund", (2, [0, 1]))
    return Scene(
        stage.pool,
        call,
        terms.escrow,
        ((call, ""), (("withdrawOwed", (stage.bad.address,)), "NothingOwed")),
    )


def _settled_by_the_wallet(stage: Stage) -> None:
    stage.rewards.open(aggregator=stage.bad)
    stage.rewards.at(101)
    stage.bad.send(stage.pool, "beginRound", 1, 0, keccak(b"evaluation"))
    table = stage.rewards.table([Payout(DEVICES[0].address, RATE, (RATE, 0))])
    stage.bad.send(stage.pool, "settle", 1, 0, table.root, table.total, 1, FILE, value=BOND)


def release_bond(stage: Stage) -> Scene:
    _settled_by_the_wallet(stage)
    stage.rewards.at(400)
    call = ("releaseBond", (1, 0))
    return Scene(stage.pool, call, BOND, ((call, ""),))


def decide(stage: Stage) -> Scene:
    _settled_by_the_wallet(stage)
    stage.pool.send(VALIDATOR, "challenge", 1, 0, missing(DEVICES[1]), "left out", value=BOND)
    again = (("decide", (1, 0, False, "again")), "OnlyConsortium")
    early = (("releaseBond", (1, 0)), "WindowOpen")
    return Scene(stage.pool, ("decide", (1, 0, False, "no")), BOND, (again, early), by_council=True)


def challenge(stage: Stage) -> Scene:
    stage.rewards.open()
    table = stage.rewards.settled([Payout(DEVICES[0].address, RATE, (RATE, 250_000))])
    call = ("challenge", (1, 0, leaf(table, DEVICES[0].address), ""))
    return Scene(stage.pool, call, BOND + BOND // 2, ((call, "WrongRoundState"),), value=BOND)


def withdraw_owed(stage: Stage) -> Scene:
    stage.bad.send(stage.pool, "offer", JOB, CONNECTIVITY, 50, value=300)
    stage.pool.send(SPONSOR, "take", FIRST, 50, award_terms(stage), value=100)
    # So much to read while it is paid that the 30,000 gas do not last: the bond is owed.
    stage.bad.send(stage.pool, "taskCount", then=bytes(1_000))
    stage.world.evm.at += 2_000
    stage.pool.send(EVE, "end", 1)
    assert stage.pool.read("owedTo", stage.bad.address) == 300
    call = ("withdrawOwed", (stage.bad.address,))
    return Scene(stage.pool, call, 300, ((call, "NothingOwed"), (("end", (1,)), "ServiceOver")))


def withdraw_offer(stage: Stage) -> Scene:
    stage.bad.send(stage.pool, "offer", JOB, HOSTING, 50, value=300)
    call = ("withdrawOffer", (FIRST,))
    return Scene(
        stage.pool,
        call,
        300,
        ((call, "OfferNotStanding"), (("withdrawOwed", (stage.bad.address,)), "NothingOwed")),
    )


def award_terms(stage: Stage, **changes: Any) -> tuple[Any, ...]:
    fields = {
        "attestor": VALIDATOR.address,
        "epochs": 2,
        "deadline": stage.world.now + 1_000,
        "units": 1,
        "reserve": 5,
        "bond": 0,
        "bonus": 0,
    }
    return tuple((fields | changes).values())


def award(stage: Stage) -> Scene:
    stage.pool.send(BO, "offer", JOB, HOSTING, 50, value=300)
    call = ("award", (JOB, HOSTING, [70], award_terms(stage)))
    # One bidder is paid value less reserve, 65 for each of two epochs.
    return Scene(stage.pool, call, 1_000 - 130, ((call, "NoOfferAccepted"),), value=1_000)


def take(stage: Stage) -> Scene:
    stage.pool.send(BO, "offer", JOB, CONNECTIVITY, 50, value=300)
    call = ("take", (FIRST, 50, award_terms(stage)))
    return Scene(stage.pool, call, 1_000 - 100, ((call, "OfferNotStanding"),), value=1_000)


def _served_by_the_wallet(stage: Stage) -> None:
    stage.bad.send(stage.pool, "offer", JOB, CONNECTIVITY, 50, value=300)
    stage.pool.send(SPONSOR, "take", FIRST, 50, award_terms(stage), value=100)
    stage.pool.send(VALIDATOR, "attest", 1, 0, True)


def pay(stage: Stage) -> Scene:
    _served_by_the_wallet(stage)
    call = ("pay", (1, 0))
    return Scene(
        stage.pool,
        call,
        50,
        (
            (call, "EpochAlreadyPaid"),
            (("end", (1,)), "ServiceRunning"),
            (("withdrawOwed", (stage.bad.address,)), "NothingOwed"),
        ),
    )


def end(stage: Stage) -> Scene:
    _served_by_the_wallet(stage)
    stage.world.evm.at += 2_000
    call = ("end", (1,))
    return Scene(stage.pool, call, 300, ((call, "ServiceOver"), (("pay", (1, 0)), "ServiceOver")))


def slash(stage: Stage) -> Scene:
    stage.pool.send(BO, "offer", JOB, CONNECTIVITY, 50, value=300)
    stage.bad.send(stage.pool, "take", FIRST, 50, award_terms(stage), value=100)
    then = ((("slash", (1, "again")), "OnlyConsortium"), (("end", (1,)), "ServiceOver"))
    return Scene(stage.pool, ("slash", (1, "never came")), 400, then, by_council=True)


SCENES: dict[str, Callable[[Stage], Scene]] = {
    "TwinRegistry.withdraw": withdraw,
    "StorageMarket.unbond": unbond,
    "RewardPool.claim": claim,
    "RewardPool.refund": refund,
    "RewardPool.releaseBond": release_bond,
    "RewardPool.decide": decide,
    "RewardPool.challenge": challenge,
    "RewardPool.withdrawOwed": withdraw_owed,
    "RewardPool.withdrawOffer": withdraw_offer,
    "RewardPool.award": award,
    "RewardPool.take": take,
    "RewardPool.pay": pay,
    "RewardPool.end": end,
    "RewardPool.slash": slash,
}
