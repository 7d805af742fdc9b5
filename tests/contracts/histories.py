"""Random histories of the fee market, told to the reference ledger and written on a tape at once.

Every history has at least four accounts and three miners, of which one lies about what waits and one is
absent at times, items of both classes, withdrawals, and what is refused: too cheap, unpayable, forged or
repeated items, forged and repeated posts, a close before its time. The tape expects the ledger's wei.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import astuple

from onchain import Fees
from pychain import COUNCIL, EVE, Actor, actor
from tape import NOBODY, Tape, sender_bytes

from incentives.ledger import DelayCosts, Ledger, Pending, Rules
from registry.chain.seal import encode_seal
from registry.core.ids import FeeClass, Role, keccak, name_hash, to_address
from registry.core.version import NO_SALT, Domain, Submission, Version, submission_digest

MONEY = 10**9
BOND, PENALTY = 1_000, 600
AUDIT_SLOTS = 2
FAILED = 1


def random_fees(chance: random.Random) -> Fees:
    """Deployment constants: short epochs, so that runs meet their cap and epochs their neighbours."""
    g_l = chance.randint(0, 20)
    return Fees(
        slots_per_epoch=chance.choice([1, 2, 3, 8]),
        eta=chance.choice([0, 1, 2, 6]),
        run_cap=chance.choice([1, 2, 5, 100]),
        eps=chance.randint(1, 3),
        g_h=g_l + chance.randint(0, 60),
        g_l=g_l,
        tau0_h=chance.randint(0, 40),
        tau0_l=chance.randint(0, 40),
        slot_bytes=chance.choice([3_000, 100_000]),
        grace_slots=0,
        post_slots=0,
    )


class History:
    """One history, at most `closes` busy epochs and what lies between them."""

    def __init__(
        self, seed: int, *, founding: int | None = None, closes: int = 4, looks: float = 1.0
    ) -> None:
        """Histories with the same `founding` begin with the same steps, so a player may keep what they made.

        Every account is looked at when the history is over, and before this share of the closes.
        """
        self.looks = looks
        self.chance = random.Random(seed if founding is None else founding)
        self.fees = random_fees(self.chance)
        self.slots = self.fees.slots_per_epoch
        self.tape = Tape()
        self.counts: Counter[str] = Counter(histories=1)
        self.users = {f"u{i}": actor(f"u{i}") for i in range(self.chance.choice([4, 5]))}
        self.payers = {**self.users, "second": actor("second")}  # a second account of u0's namespace
        self.namespace = {name: 1 + i for i, name in enumerate(self.users)} | {"second": 1}
        self.miners = {f"m{i}": actor(f"m{i}") for i in range(self.chance.choice([3, 4, 5]))}
        self.everyone = {**self.payers, **self.miners}
        self.credits: dict[tuple[str, int], int] = {}
        self.beacons: dict[int, int] = {}
        self.bonds = dict.fromkeys(self.miners, BOND)
        self.now_slot = self.sealed_slot = 0
        self.budget = self.fees.slot_bytes
        self.sealed_in = self.sealed_before = False
        self.posted = 0
        self.seen: list[tuple[bool, bool]] = []
        self.last_item: tuple[Submission, bytes] | None = None
        self._found()
        if founding is not None:
            self.chance = random.Random(seed)
        for number in range(closes):
            if number != 1 or self.chance.random() < 0.8:
                self.seal_some()
            self.end_epoch(is_quiet=number > 1 and self.chance.random() < 0.15)
            if self.chance.random() < 0.4:
                self.change()
            if self.chance.random() < 0.3:
                self.condemn()
            self.take_out()
            self.rest()
        self.pay(len(self.ledger.roll.lines))
        self.compare(list(self.beacons))

    # ------------------------------------------------------------------ before anything is sealed

    def _found(self) -> None:
        tape, f = self.tape, self.fees
        tape.create("Consortium", [COUNCIL.address], 1, NOBODY)
        self.start = tape.at
        tape.create("TwinRegistry", tape.address["Consortium"], astuple(f))
        bonded = (
            tape.address["Consortium"],
            tape.address["TwinRegistry"],
            AUDIT_SLOTS,
            1 << 20,
            BOND,
            PENALTY,
        )
        tape.create("StorageMarket", *bonded)
        self.domain = Domain(tape.chain_id, tape.address["TwinRegistry"])
        contracts = (tape.address["TwinRegistry"], tape.address["StorageMarket"], NOBODY, NOBODY)
        tape.council("Consortium", "connect", *contracts)
        prices = {name: self.chance.randint(0, 12) for name in self.miners}
        costs = DelayCosts(high=f.g_h, low=f.g_l, run_cap=f.run_cap)
        rules = Rules(costs, eps=f.eps, eta=f.eta, tau0=(f.tau0_h, f.tau0_l))
        self.ledger = Ledger(rules, prices=prices, accounts=self.users)
        for name, who in self.payers.items():
            self._admit(name, who, "u0" if name == "second" else name, Role.SUBMITTER)
            self.deposit(name, MONEY if name in ("u0", "u1") else self.chance.choice([10**4, MONEY]))
        for name, who in self.miners.items():
            self._admit(name, who, name, Role.MINER)
            tape.send(EVE, "StorageMarket", "bond", who.address, value=BOND)
        self.set_prices(prices)
        tape.founded = len(tape.steps)

    def _admit(self, name: str, who: Actor, namespace: str, role: Role) -> None:
        self.tape.council("Consortium", "admit", who.address, namespace, int(role))

    def deposit(self, name: str, wei: int) -> None:
        self.tape.send(EVE, "TwinRegistry", "deposit", self.everyone[name].address, value=wei)
        self.ledger.deposit(name, wei)

    def set_prices(self, prices: dict[str, int]) -> None:
        addresses = [self.miners[name].address for name in prices]
        self.tape.council("StorageMarket", "setPrices", addresses, list(prices.values()))
        self.ledger.set_prices({**self.ledger.prices, **prices})

    # ------------------------------------------------------------------ time

    @property
    def epoch(self) -> int:
        return self.ledger.epoch

    def go(self, slot: int) -> None:
        """The next block is in this slot."""
        assert slot >= self.now_slot
        self.now_slot = slot
        # Well inside the slot: where every transaction has a block of its own, blocks are some seconds late.
        self.tape.at = self.start + slot * self.fees.slot_s + 100

    # ------------------------------------------------------------------ sealing

    def seal_some(self) -> None:
        """Slot by slot through the open epoch; in each some items or none, and what is left waiting."""
        for number in range(self.slots):
            self.go(self.epoch * self.slots + number)
            self.seal(number, self.chance.choice([0, 1, 1, 3]))
            if self.chance.random() < 0.2:
                self.pay(1)

    def seal(self, number: int, count: int) -> None:
        sealer = self.chance.choice(list(self.miners))
        items = [self.item(number, place, sealer) for place in range(count)]
        if items:
            payload = encode_seal([s for s, _ in items], [signature for _, signature in items])
            self.tape.send_raw(self.miners[sealer], "TwinRegistry", payload, what=f"seal {count}")

    def item(self, number: int, place: int, sealer: str) -> tuple[Submission, bytes]:
        """A signed item, and its money in the ledger when the contract must take it."""
        if self.last_item is not None and self.chance.random() < 0.05:
            self.counts["repeated"] += 1
            return self.last_item
        name, high = self.chance.choice(list(self.payers)), self.chance.random() < 0.5
        size = self.chance.randint(1, 5_000)
        price = self.ledger.menu.price(high)
        fault = self.chance.choice(["none"] * 12 + ["cheap", "forged"])
        offered = max(0, price - 1) if fault == "cheap" else 10**6
        signed = self._signed(name, f"{self.epoch}.{number}.{place}", size, high, offered, fault == "forged")
        left = min(
            self.fees.slot_bytes, self.budget + (self.now_slot - self.sealed_slot) * self.fees.slot_bytes
        )
        if fault == "forged" or offered < price:
            self.counts[fault if offered >= price else "cheap"] += 1
        elif left <= 0:
            self.counts["over budget"] += 1
        elif self.ledger.balances[name] < size * price:
            self.counts["unpayable"] += 1
        else:
            self.last_item = signed
            self.budget, self.sealed_slot, self.sealed_in = left - size, self.now_slot, True
            self._include(name, size, high, number, sealer)
        return signed

    def _include(self, name: str, size: int, high: bool, number: int, sealer: str) -> None:
        taxpayer = "u0" if name == "second" else name
        self.ledger.include(name, size, high=high, slot=number, sealer=sealer, taxpayer=taxpayer)
        self.counts["H" if high else "L"] += 1
        for miner, price in self.ledger.prices.items():
            margin = self.fees.eps * size if high and miner == sealer else 0
            place = (miner, self.epoch)
            self.credits[place] = self.credits.get(place, 0) + price * size + margin

    def _signed(
        self, name: str, label: str, size: int, high: bool, offered: int, is_forged: bool
    ) -> tuple[Submission, bytes]:
        who, digest = self.payers[name], keccak(label.encode())
        submitter = to_address("0x" + sender_bytes(who).hex())
        version = Version(self.namespace[name], _NAME, digest, digest, (), size, NO_SALT, submitter)
        fee_class = FeeClass.PRIORITY if high else FeeClass.STANDARD
        submission = Submission(version, fee_class, offered, self.tape.at, self.tape.at + 80_000)
        by = EVE if is_forged else who
        return submission, by.signer.sign_hash(submission_digest(self.domain, submission))

    # ------------------------------------------------------------------ the end of an epoch

    def end_epoch(self, *, is_quiet: bool = False) -> None:
        """Miners post what they saw, what they make up, or nothing; then the epoch is closed."""
        chance, end = self.chance, (self.epoch + 1) * self.slots
        if self.now_slot < end and self.ledger.rebate is None and chance.random() < 0.2:
            self.tape.refused("EpochNotOver(uint64,uint64)", EVE, "TwinRegistry", "close", self.epoch)
        self.go(end)
        truth = [(h, h or chance.random() < 0.3) for h in (chance.random() < 0.5 for _ in range(self.slots))]
        if not is_quiet:
            for place, name in enumerate(self.miners):
                self.post(place, name, truth)
        self.close()

    def post(self, place: int, name: str, truth: list[tuple[bool, bool]]) -> None:
        """Miner 0 lies, miner 1 is absent at first and at times, the others post the truth."""
        chance = self.chance
        if place == 1 and (self.epoch == 0 or chance.random() < 0.4):
            self.counts["absent"] += 1
            return
        told = truth
        if place == 0:
            told = chance.choice([[(True, True)] * self.slots, [(False, False)] * self.slots])
            self.counts["lies"] += told != truth
        high, every = (sum(bits[k] << i for i, bits in enumerate(told)) for k in (0, 1))
        if chance.random() < 0.1:
            self.tape.refused("NotMiner(address)", EVE, "TwinRegistry", "post", self.epoch, high, every)
        self.tape.send(self.miners[name], "TwinRegistry", "post", self.epoch, high, every)
        if chance.random() < 0.1:
            again = (self.miners[name], "TwinRegistry", "post", self.epoch, high, every)
            self.tape.refused("AlreadyPosted(uint64,address)", *again)
        self.ledger.post(name, [Pending(*bits) for bits in told])
        self.posted += 1

    def close(self) -> None:
        """Close the open epoch and begin its rebates; those of the epoch before are paid first."""
        if self.ledger.rebate is not None:
            refused = (EVE, "TwinRegistry", "close", self.epoch)
            self.tape.refused("RebatesDue(uint64,uint32,uint32)", *refused)
            self.pay(self.chance.choice([1, 2, 50]))
            while self.ledger.rebate is not None:
                self.pay(50)
            if self.chance.random() < self.looks:
                self.compare(list(self.beacons)[-2:])
        if not (self.sealed_in or self.sealed_before or self.posted):
            self.close_idle(1)
            return
        epoch = self.epoch
        self.tape.send(EVE, "TwinRegistry", "close", epoch)
        self.ledger.close()
        self.beacons[epoch] = self.now_slot
        self.sealed_before, self.sealed_in, self.posted = self.sealed_in, False, 0
        self.counts["closes"] += 1
        self.compare_market()
        self.pay(self.chance.choice([0, 1, 2, 50]))

    def pay(self, lines: int) -> None:
        """The next page of the rebates that are due, if any are."""
        if self.ledger.rebate is not None and lines:
            self.tape.send(EVE, "TwinRegistry", "payRebates", self.ledger.rebate.epoch, lines)
            self.ledger.pay_rebates(lines)
            self.counts["pages"] += 1

    def rest(self) -> None:
        """When nothing happened for two epochs, a long idle run is closed in one call."""
        if self.sealed_in or self.sealed_before or self.posted or self.chance.random() < 0.3:
            return
        while self.ledger.rebate is not None:
            self.pay(50)
        self.close_idle(self.chance.choice([1, 10, 40_000]))

    def close_idle(self, run: int) -> None:
        self.go(max(self.now_slot, (self.epoch + run) * self.slots))
        self.tape.send(EVE, "TwinRegistry", "close", self.epoch + run - 1)
        self.ledger.close_idle(run)
        self.sealed_before = False
        self.counts["idle epochs"] += run
        self.compare_market()

    # ------------------------------------------------------------------ between epochs

    def change(self) -> None:
        """Another price, and somebody new or somebody gone; all from the next epoch on."""
        self.set_prices({self.chance.choice(list(self.miners)): self.chance.randint(0, 30)})
        if "new" not in self.payers and self.ledger.has_begun:
            self.payers["new"] = self.everyone["new"] = actor("new")
            self.namespace["new"] = 1 + len(self.users) + len(self.miners)
            self._admit("new", self.payers["new"], "new", Role.SUBMITTER)
            self.ledger.enrol("new")
            self.deposit("new", MONEY)
        elif "new" in self.payers and "gone" not in self.counts and self.ledger.has_begun:
            self.counts["gone"] += 1
            self.tape.council("Consortium", "remove", self.everyone["new"].address)
            self.ledger.retire("new")
            del self.payers["new"]

    def condemn(self) -> None:
        """The last miner lost its blocks, the others say: its credits and a part of its bond go to all."""
        epoch, name = self.epoch - 1, list(self.miners)[-1]
        if (name, epoch) not in self.credits or self.now_slot > self.beacons.get(epoch, -9) + AUDIT_SLOTS:
            return
        everybody = (1 << len(self.miners)) - 1
        for peer in list(self.miners.values())[: len(self.miners) // 2 + 1]:
            attested = (epoch, self.miners[name].address, FAILED, everybody)
            self.tape.send(peer, "StorageMarket", "attest", *attested)
        self.ledger.penalise(name, self.credits.pop((name, epoch)))
        from_bond = min(self.bonds[name], PENALTY)
        self.ledger.deposit("bonds", from_bond)
        self.ledger.penalise("bonds", from_bond)
        self.tape.send(EVE, "StorageMarket", "bond", self.miners[name].address, value=from_bond)
        self.counts["condemned"] += 1

    def take_out(self) -> None:
        """A member withdraws; a miner collects what was audited and withdraws; nobody takes too much."""
        name = self.chance.choice(list(self.users))
        self.withdraw(name, self.chance.randint(0, self.ledger.balances[name]))
        miner, held = self.chance.choice(list(self.miners)), 0
        audited = [e for e, slot in self.beacons.items() if self.now_slot > slot + AUDIT_SLOTS]
        epochs = [e for e in audited if (miner, e) in self.credits]
        if epochs:
            self.tape.send(EVE, "TwinRegistry", "collect", self.miners[miner].address, epochs)
            held = sum(self.credits.pop((miner, e)) for e in epochs)
            self.counts["collected"] += len(epochs)
        self.withdraw(miner, self.chance.randint(0, held))

    def withdraw(self, name: str, wei: int) -> None:
        who = self.everyone[name]
        too_much = self.escrow(name) + 1
        if self.chance.random() < 0.3:
            refused = "InsufficientEscrow(address,uint256,uint256)"
            self.tape.refused(refused, who, "TwinRegistry", "withdraw", too_much)
        self.tape.send(who, "TwinRegistry", "withdraw", wei)
        self.ledger.withdraw(name, wei)
        self.counts["withdrawals"] += 1

    # ------------------------------------------------------------------ the comparison

    def escrow(self, name: str) -> int:
        """What an account can withdraw: the ledger's balance without credits that were not collected."""
        held = sum(wei for (miner, _), wei in self.credits.items() if miner == name)
        return self.ledger.balances.get(name, 0) - held

    def compare_market(self) -> None:
        """Taxes, menu, pool and carry."""
        menu = self.ledger.menu
        self.tape.read("TwinRegistry", "openEpoch", (), self.epoch)
        prices = menu.rho_high, menu.rho_low, menu.tax_high, menu.tax_low
        self.tape.read("TwinRegistry", "menu", (), *prices)
        self.tape.read("TwinRegistry", "tau", (), *self.ledger.tau)
        self.tape.read("TwinRegistry", "pool", (), self.ledger.pool)
        self.tape.read("TwinRegistry", "carry", (), self.ledger.carry)

    def compare(self, epochs: list[int]) -> None:
        """Every wei of every account as well, and every miner's credits of these epochs."""
        self.compare_market()
        for name, who in self.everyone.items():
            self.tape.read("TwinRegistry", "account", (who.address,), self.escrow(name))
        for miner, who in self.miners.items():
            for epoch in epochs:
                owed = self.credits.get((miner, epoch), 0)
                self.tape.read("TwinRegistry", "creditOf", (who.address, epoch), owed)
        self.tape.holds("TwinRegistry", self.ledger.supply)
        self.counts["comparisons"] += 1


_NAME = name_hash("m")
