"""The fee market on the embedded chain against incentives/ledger.py, act by act, to the wei.

The differential histories of tests/contracts play whole epochs in their order. Here everything is
interleaved: a page between two seals, a withdrawal before a close, an audit while rebates are being paid;
and hypothesis shortens whatever differs to the acts that matter.
"""

import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from stateful.kit import run

sys.path.append(str(Path(__file__).parents[1] / "contracts"))

from onchain import BOND, PENALTY, Fees, World, again, found  # after the path that finds it
from pychain import ANA, BO, CY, EVE, MINERS, Actor, reverts

from incentives.ledger import DelayCosts, Ledger, Pending, Rules
from registry.core.ids import Role
from registry.errors import FeeTooLow

USERS = (ANA, BO, CY)
PRICES = (7, 5, 9)
AUDIT_SLOTS = 2
FEES = Fees(slot_bytes=4_000, grace_slots=0, post_slots=0)
K = FEES.slots_per_epoch
FAILED = 1
MONEY = 10**6
WEI = st.integers(0, 10**6)
USER = st.integers(0, len(USERS) - 1)
MINER = st.integers(0, len(MINERS) - 1)


@cache
def founded() -> World:
    world = found(FEES, audit_slots=AUDIT_SLOTS, minimum_bond=BOND, penalty=PENALTY)
    for user in USERS:
        world.admit(user, user.name, Role.SUBMITTER)
        world.deposit(user, MONEY)
    for place, miner in enumerate(MINERS):
        world.admit(miner, f"mine{place}", Role.MINER)
        world.storage.send(EVE, "bond", miner.address, value=10**6)
    world.price(MINERS, PRICES)
    return world


class FeeMachine(RuleBasedStateMachine):
    """The ledger is the model; beside it only what no ledger knows: time, capacity, audits, collections."""

    def __init__(self) -> None:
        super().__init__()
        self.world = again(founded())
        costs = DelayCosts(high=FEES.g_h, low=FEES.g_l, run_cap=FEES.run_cap)
        rules = Rules(costs, eps=FEES.eps, eta=FEES.eta, tau0=(FEES.tau0_h, FEES.tau0_l))
        prices = {miner.name: price for miner, price in zip(MINERS, PRICES, strict=True)}
        self.ledger = Ledger(rules, prices=prices, accounts=[user.name for user in USERS])
        for user in USERS:
            self.ledger.deposit(user.name, MONEY)
        self.prices = dict(prices)
        self.slot = 0
        self.budget, self.sealed_slot = FEES.slot_bytes, 0
        self.sealed_in = self.sealed_before = False
        self.posted: set[str] = set()
        self.members = {user.name for user in USERS}
        self.credits: dict[tuple[str, int], int] = {}
        self.audits: dict[int, tuple[bool, int]] = {}  # whether there is a beacon, and the last slot
        self.items = 0

    # ------------------------------------------------------------------ acts

    @rule(user=USER, wei=WEI)
    def deposit(self, user: int, wei: int) -> None:
        self.world.deposit(USERS[user], wei)
        self.ledger.deposit(USERS[user].name, wei)

    @rule(which=st.integers(0, len(USERS) + len(MINERS) - 1), wei=WEI)
    def withdraw(self, which: int, wei: int) -> None:
        """What is in escrow and no wei more: a miner's credits are not yet."""
        who = (*USERS, *MINERS)[which]
        if wei <= self.escrow(who):
            self.world.registry.send(who, "withdraw", wei)
            self.ledger.withdraw(who.name, wei)
            return
        with reverts("InsufficientEscrow", who.address, self.escrow(who), wei):
            self.world.registry.send(who, "withdraw", wei)
        if who in USERS:
            with pytest.raises(FeeTooLow):
                self.ledger.withdraw(who.name, wei)

    @rule(slots=st.integers(1, K + 1))
    def wait(self, slots: int) -> None:
        self.slot += slots
        self.world.slot(self.slot)

    @rule(user=USER, miner=MINER, high=st.booleans(), size=st.integers(1, 3_000))
    def seal(self, user: int, miner: int, high: bool, size: int) -> None:
        who, sealer, epoch = USERS[user], MINERS[miner], self.ledger.epoch
        self.items += 1
        item = self.world.signed(who, self.world.version(who, f"item {self.items}", size), high)
        if self.slot // K != epoch:
            with reverts("EpochNotClosed", epoch, self.slot // K):
                self.world.seal(sealer, item)
            return
        done = self.world.seal(sealer, item)
        left = min(FEES.slot_bytes, self.budget + (self.slot - self.sealed_slot) * FEES.slot_bytes)
        payable = self.ledger.balances.get(who.name, 0) >= size * self.ledger.menu.price(high)
        taken = who.name in self.members and left > 0 and payable
        assert (len(done.all("Registered")), len(done.all("Rejected"))) == (taken, not taken)
        if not taken:
            return
        self.budget, self.sealed_slot, self.sealed_in = left - size, self.slot, True
        self.ledger.include(who.name, size, high=high, slot=self.slot % K, sealer=sealer.name)
        for name, price in self.ledger.prices.items():
            margin = FEES.eps * size if high and name == sealer.name else 0
            self.credits[name, epoch] = self.credits.get((name, epoch), 0) + price * size + margin

    @rule(miner=MINER, high=st.integers(0, 2**K - 1), more=st.integers(0, 2**K - 1))
    def post(self, miner: int, high: int, more: int) -> None:
        """Once per miner and epoch, when it is over; what it says need not be true."""
        who, epoch = MINERS[miner], self.ledger.epoch
        call = (who, "post", epoch, high, high | more)
        if self.slot // K <= epoch:
            with reverts("EpochNotOver", epoch, self.slot // K):
                self.world.registry.send(*call)
        elif who.name in self.posted:
            with reverts("AlreadyPosted", epoch, who.address):
                self.world.registry.send(*call)
        else:
            self.world.registry.send(*call)
            self.posted.add(who.name)
            self.ledger.post(
                who.name, [Pending(bool(high >> i & 1), bool((high | more) >> i & 1)) for i in range(K)]
            )

    @rule()
    def close(self) -> None:
        """The open epoch, or all idle ones that are over, in one call."""
        first, over = self.ledger.epoch, self.slot // K
        if (run := self.ledger.rebate) is not None:
            with reverts("RebatesDue", run.epoch, *self.world.registry.read("rebate")[1:3]):
                self.world.registry.send(EVE, "close", first)
            return
        if over <= first:
            with reverts("EpochNotOver", first, over):
                self.world.registry.send(EVE, "close", first)
            return
        if self.sealed_in or self.sealed_before or self.posted:
            self.world.registry.send(EVE, "close", first)
            self.ledger.close()
            last_beacon = (first + 1) * K + AUDIT_SLOTS
            is_drawn = self.slot <= last_beacon
            self.audits[first] = (is_drawn, self.slot + AUDIT_SLOTS if is_drawn else last_beacon)
        else:
            self.world.registry.send(EVE, "close", over - 1)
            self.ledger.close_idle(over - first)
        self.sealed_before, self.sealed_in = self.sealed_in, False
        self.posted.clear()

    @rule(lines=st.integers(1, 5))
    def page(self, lines: int) -> None:
        if self.ledger.rebate is None:
            with reverts("NoRebateDue", self.ledger.epoch):
                self.world.registry.send(EVE, "payRebates", self.ledger.epoch, lines)
            return
        self.world.registry.send(EVE, "payRebates", self.ledger.rebate.epoch, lines)
        self.ledger.pay_rebates(lines)

    @rule(miner=MINER, price=st.integers(0, 30))
    def set_price(self, miner: int, price: int) -> None:
        self.world.price([MINERS[miner]], [price])
        self.prices[MINERS[miner].name] = price
        self.ledger.set_prices(self.prices)

    @rule(user=USER)
    def come_or_go(self, user: int) -> None:
        who = USERS[user]
        if who.name in self.members:
            self.world.council(self.world.consortium, "remove", who.address)
            self.ledger.retire(who.name)
            self.members.remove(who.name)
        else:
            self.world.admit(who, who.name, Role.SUBMITTER)
            self.ledger.enrol(who.name)
            self.members.add(who.name)

    @rule(miner=MINER)
    def collect(self, miner: int) -> None:
        """What an audit has released, all at once; what it holds, not at all."""
        who = MINERS[miner]
        for name, epoch in [place for place in self.credits if place[0] == who.name]:
            if epoch in self.audits and self.slot > self.audits[epoch][1]:
                self.world.registry.send(EVE, "collect", who.address, [epoch])
                del self.credits[name, epoch]
            else:
                with reverts("CreditHeld", who.address, epoch):
                    self.world.registry.send(EVE, "collect", who.address, [epoch])

    @rule(miner=MINER)
    def condemn(self, miner: int) -> None:
        """The others say that it lost its blocks: its credits and a part of its bond go to all."""
        who = MINERS[miner]
        running = [
            e for _, e in self.credits if self.audits.get(e, (False, 0))[0] and self.slot <= self.audits[e][1]
        ]
        if not running or (who.name, running[-1]) not in self.credits:
            return
        for peer in MINERS:
            if peer is not who:
                self.world.storage.send(
                    peer, "attest", running[-1], who.address, FAILED, 2 ** len(MINERS) - 1
                )
        self.ledger.penalise(who.name, self.credits.pop((who.name, running[-1])))
        self.ledger.deposit("bonds", PENALTY)
        self.ledger.penalise("bonds", PENALTY)

    # ------------------------------------------------------------------ the comparison

    def escrow(self, who: Actor) -> int:
        held = sum(wei for (name, _), wei in self.credits.items() if name == who.name)
        return self.ledger.balances.get(who.name, 0) - held

    @invariant()
    def agrees(self) -> None:
        registry, menu = self.world.registry, self.ledger.menu
        assert registry.read("openEpoch")[0] == self.ledger.epoch
        assert registry.read("menu") == (menu.rho_high, menu.rho_low, menu.tax_high, menu.tax_low)
        assert registry.read("tau") == self.ledger.tau
        assert (registry.read("pool"), registry.read("carry")) == (self.ledger.pool, self.ledger.carry)
        for who in (*USERS, *MINERS):
            assert self.world.balance(who) == self.escrow(who), who.name
        for miner in MINERS:
            for epoch in {e for _, e in self.credits}:
                owed = self.credits.get((miner.name, epoch), 0)
                assert registry.read("creditOf", miner.address, epoch) == owed
        assert self.world.evm.balance(registry.address) == self.ledger.supply


def test_the_fee_market_is_the_reference_ledger() -> None:
    run(FeeMachine, examples=4, steps=30)
