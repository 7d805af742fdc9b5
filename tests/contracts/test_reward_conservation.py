"""Random histories of the pool: escrow in = paid + refunded + held, to the wei, after every step."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from onchain import Fees, again, found
from pychain import EVE, Reverted
from rewards import (
    AGGREGATOR,
    BOND,
    DEVICES,
    RATE,
    SPONSOR,
    VALIDATOR,
    Terms,
    accuracies,
    copy,
    found_rewards,
    leaf,
    missing,
)

from incentives.payouts import Payout

_FOUND = found_rewards(found(Fees()))
TASKS, ROUNDS = 3, 2
THETAS = st.lists(st.integers(0, 10**6), max_size=4)


class PoolHistory(RuleBasedStateMachine):
    """Anybody does anything at any time; what reverts changes nothing."""

    @initialize()
    def begin_afresh(self):
        self.rewards = copy(_FOUND, again(_FOUND.world))
        self.tables, self.opened = {}, 0

    def attempt(self, sender, function, *args, value=0):
        try:
            return self.rewards.pool.send(sender, function, *args, value=value)
        except Reverted:
            return None

    @rule(extra=st.integers(0, 5), seats=st.integers(1, 4))
    def open(self, extra, seats):
        if self.opened < TASKS:
            terms = Terms(seats=seats)
            self.rewards.open(terms, value=terms.escrow + extra)
            self.opened += 1

    @rule(seconds=st.integers(1, 400))
    def wait(self, seconds):
        self.rewards.world.evm.at = self.rewards.world.now + seconds

    @rule(task=st.integers(1, TASKS), round_=st.integers(0, ROUNDS), thetas=THETAS, lie=st.booleans())
    def settle(self, task, round_, thetas, lie):
        self.attempt(AGGREGATOR, "beginRound", task, round_, bytes(32))
        payouts = accuracies(*thetas)
        if lie and payouts:
            first = payouts[0]
            payouts[0] = Payout(first.account, RATE, (RATE, 10**6))
        table = self.rewards.table(payouts, task, round_)
        scope = table.scope
        args = (scope.task, scope.round, table.root, table.total, len(payouts), b"")
        if self.attempt(AGGREGATOR, "settle", *args, value=BOND):
            self.tables[task, round_] = table

    @rule(task=st.integers(1, TASKS), round_=st.integers(0, ROUNDS), who=st.integers(0, 3))
    def claim(self, task, round_, who):
        table = self.tables.get((task, round_))
        if table and any(p.account == DEVICES[who].address for p in table.payouts):
            self.attempt(EVE, "claim", task, round_, [leaf(table, DEVICES[who].address)])

    @rule(task=st.integers(1, TASKS), round_=st.integers(0, ROUNDS), who=st.integers(0, 3))
    def challenge(self, task, round_, who):
        table, account = self.tables.get((task, round_)), DEVICES[who].address
        has_leaf = table and any(p.account == account for p in table.payouts)
        given = leaf(table, account) if has_leaf else missing(DEVICES[who])
        self.attempt(VALIDATOR, "challenge", task, round_, given, "because", value=BOND)

    @rule(task=st.integers(1, TASKS), round_=st.integers(0, ROUNDS), upheld=st.booleans())
    def decide(self, task, round_, upheld):
        try:
            self.rewards.world.council(self.rewards.pool, "decide", task, round_, upheld, "because")
        except Reverted:
            return

    @rule(task=st.integers(1, TASKS), round_=st.integers(0, ROUNDS))
    def release(self, task, round_):
        self.attempt(EVE, "releaseBond", task, round_)

    @rule(task=st.integers(1, TASKS), rounds=st.lists(st.integers(0, ROUNDS), max_size=3))
    def refund(self, task, rounds):
        self.attempt(SPONSOR, "refund", task, rounds)

    @rule(price=st.integers(0, 50), value=st.integers(0, 99), bond=st.integers(0, 9))
    def serve(self, price, value, bond):
        job = bytes([price]) * 32
        self.attempt(AGGREGATOR, "offer", job, 0, price, value=bond)
        offers = self.rewards.pool.read("offersOf", job, 0)
        until = self.rewards.world.now + 200
        terms = (VALIDATOR.address, 2, until, 1, 0, 0, 1)
        worth = [value] * len(offers)
        self.attempt(SPONSOR, "award", job, 0, worth, terms, value=2 * (value + 1))

    @rule(service=st.integers(1, 3), epoch=st.integers(0, 2), passed=st.booleans())
    def attest_and_pay(self, service, epoch, passed):
        self.attempt(VALIDATOR, "attest", service, epoch, passed)
        self.attempt(EVE, "pay", service, epoch)

    @rule(service=st.integers(1, 3))
    def end(self, service):
        self.attempt(EVE, "end", service)

    @invariant()
    def every_wei_has_an_owner(self):
        if not hasattr(self, "rewards"):
            return
        assert self.rewards.held() == self._tasks() + self._services()

    def _tasks(self):
        read, held = self.rewards.pool.read, 0
        for task in range(1, self.opened + 1):
            held += read("task", task)[3]
            for round_ in range(ROUNDS):
                _root, purse, _at, _channels, state, bonded, *_ = read("roundOf", task, round_)
                held += purse + BOND * (bonded + (state == 3))
        return held

    def _services(self):
        read, held = self.rewards.pool.read, 0
        for number in range(1, 1000):
            try:
                held += read("offerOf", number)[5]
            except Reverted:
                break
        for number in range(1, 1000):
            try:
                held += sum(read("serviceOf", number)[9:11])
            except Reverted:
                break
        return held


TestPoolHistory = PoolHistory.TestCase
TestPoolHistory.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
