"""A random history on py-evm with the reference ledger beside it: events for a recount (test_recount.py)."""

import random

from onchain import Fees, World, found
from pychain import Actor, actor

from incentives.ledger import DelayCosts, Ledger, Pending, Rules
from registry.core.ids import Role

MONEY = 10**9


class Twins:
    """One history told to the contract and to the reference at once."""

    names = (1, 2, 3, 4)  # so many accounts may pay from the start

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.slots = chance.choice([1, 2, 3])
        self.users = {f"u{i}": actor(f"u{i}") for i in range(chance.choice(self.names))}
        self.miners = {f"m{i}": actor(f"m{i}") for i in range(chance.choice([1, 2, 3, 4]))}
        prices = {name: chance.randint(0, 12) for name in self.miners}
        eta, eps, cap = chance.choice([1, 2, 6]), chance.randint(1, 3), chance.choice([1, 2, 100])
        g_l = chance.randint(0, 20)
        g_h, tau0 = g_l + chance.randint(0, 60), (chance.randint(0, 40), chance.randint(0, 40))
        self.world = self.deploy(eta, eps, cap, (g_h, g_l), tau0)
        rules = Rules(DelayCosts(high=g_h, low=g_l, run_cap=cap), eps=eps, eta=eta, tau0=tau0)
        self.ledger = Ledger(rules, prices=prices, accounts=self.users)
        for name, user in self.users.items():
            self.admit(name, user)
        for name, miner in self.miners.items():
            self.world.admit(miner, name, Role.MINER)
        self.world.price(list(self.miners.values()), list(prices.values()))
        self.everyone = {**self.users, **self.miners}

    def deploy(self, eta, eps, cap, costs, tau0) -> World:
        fees = Fees(
            slots_per_epoch=self.slots,
            eta=eta,
            eps=eps,
            run_cap=cap,
            g_h=costs[0],
            g_l=costs[1],
            tau0_h=tau0[0],
            tau0_l=tau0[1],
            grace_slots=0,
            post_slots=0,
        )
        return found(fees)

    def admit(self, name: str, user: Actor) -> None:
        self.world.admit(user, name, Role.SUBMITTER)
        self.world.deposit(user, MONEY)
        self.ledger.deposit(name, MONEY)

    @property
    def epoch(self) -> int:
        return self.ledger.epoch

    def slot(self, number: int) -> None:
        self.world.slot(self.epoch * self.slots + number)

    def seal_some(self) -> None:
        for number in range(self.slots):
            self.slot(number)
            sealer = self.chance.choice(list(self.ledger.prices))
            items = []
            for j in range(self.chance.choice([0, 1, 1, 3])):
                name, high = self.chance.choice(list(self.users)), self.chance.random() < 0.5
                size = self.chance.randint(1, 5_000)
                version = self.world.version(self.users[name], f"{self.epoch}.{number}.{j}", size)
                items.append(self.world.signed(self.users[name], version, high))
                self.ledger.include(name, size, high=high, slot=number, sealer=sealer)
            if items:
                assert not self.world.seal(self.miners[sealer], *items).all("Rejected")

    def post(self, name: str) -> None:
        bits = [(self.chance.random() < 0.5, self.chance.random() < 0.3) for _ in range(self.slots)]
        pending = [Pending(h, h or more) for h, more in bits]
        high = sum(1 << i for i, p in enumerate(pending) if p.high)
        every = sum(1 << i for i, p in enumerate(pending) if p.any)
        self.world.registry.send(self.miners[name], "post", self.epoch, high, every)
        self.ledger.post(name, pending)

    def close(self) -> None:
        """Some miners post, then the epoch is closed and its rebates are paid in pages."""
        self.slot(self.slots)
        for name in list(self.ledger.prices):
            if self.chance.random() < 0.8:
                self.post(name)
        closed = self.epoch
        idle = not self.ledger._sealed and not self.ledger._sealed_before and not self.ledger._posts
        self.world.registry.send(next(iter(self.users.values())), "close", closed)
        if idle:
            self.ledger.close_idle(1)
        else:
            self.ledger.close()
        self.compare()
        page = self.chance.choice([1, 2, 50])
        while self.world.registry.read("rebate")[4]:
            self.world.registry.send(next(iter(self.miners.values())), "payRebates", closed, page)
            self.ledger.pay_rebates(page)
        self.ledger.pay_rebates(50)
        self.compare()

    def rest(self) -> None:
        """Nothing happens for a while; one call closes it all."""
        if self.ledger._sealed or self.ledger._sealed_before or self.ledger._posts:
            return
        run = self.chance.randint(1, 40)
        self.slot(run * self.slots)
        self.world.registry.send(next(iter(self.users.values())), "close", self.epoch + run - 1)
        self.ledger.close_idle(run)
        self.compare()

    def change(self) -> None:
        """Another price, and perhaps somebody new; both from the next epoch on."""
        name = self.chance.choice(list(self.miners))
        prices = {**self.ledger.prices, name: self.chance.randint(0, 30)}
        self.world.price([self.miners[name]], [prices[name]])
        self.ledger.set_prices(prices)
        newcomer = f"n{self.epoch}"
        self.users[newcomer] = self.everyone[newcomer] = actor(newcomer)
        self.admit(newcomer, self.users[newcomer])
        self.ledger.enrol(newcomer)

    def compare(self) -> None:
        registry, menu = self.world.registry, self.ledger.menu
        assert registry.read("openEpoch")[0] == self.epoch
        assert registry.read("menu") == (menu.rho_high, menu.rho_low, menu.tax_high, menu.tax_low)
        assert tuple(registry.read("tau")) == self.ledger.tau
        assert registry.read("pool") == self.ledger.pool
        assert registry.read("carry") == self.ledger.carry
        found_ = {name: self.money(who) for name, who in self.everyone.items()}
        assert found_ == {name: self.ledger.balances.get(name, 0) for name in self.everyone}
        assert self.world.evm.balance(registry.address) == self.ledger.supply

    def money(self, who: Actor) -> int:
        earned = sum(self.world.registry.read("creditOf", who.address, e) for e in range(self.epoch + 1))
        return self.world.balance(who) + earned
