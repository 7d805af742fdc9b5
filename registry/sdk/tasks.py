"""Tasks for sponsors, devices and whoever challenges; the rounds' own work is in tasks_rounds.py."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from incentives.payouts import PayoutTable, Scope
from registry.chain.abi import encode_values
from registry.chain.encoding import encode_call
from registry.chain.rewards import TaskTerms
from registry.core.ids import Address, address_bytes, keccak, model_id, sha256, to_address
from registry.core.refs import parse_reference
from registry.errors import Malformed, NotFound
from registry.sdk.owed import verify_owed
from registry.sdk.tasks_updates import UpdateWork
from registry.wire import parse_body
from registry.wire_rewards import ParametersBody
from registry.wire_tasks import MECHANISMS, OwedBody, PayoutsBody, TaskBody

_BATCH = 50  # claims of one transaction
_BIDS = "(uint128,uint128,uint32)[]"


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What a sponsor offers. Money in wei; times in seconds from now.

    `unit` is the posted rate, or the largest value of a bid; a contract's is its largest reward. `costs` has
    a row for each type.
    """

    parameters: ParametersBody
    mechanism: str
    aggregator: str
    rounds: int = 1
    seats: int = 100
    capacity: int = 0
    unit: int = 0
    bond: int = 0
    bids_s: int = 3600
    reveals_s: int = 3600
    window_s: int = 86_400
    deadline_s: int = 30 * 86_400
    rewards: tuple[int, ...] = ()
    costs: tuple[tuple[int, ...], ...] = ()
    escrow: int | None = None

    def terms(self, now: int) -> TaskTerms:
        """The struct for the contract."""
        if self.mechanism not in MECHANISMS:
            raise Malformed(f"{self.mechanism!r} is no mechanism", hint=f"there are {', '.join(MECHANISMS)}")
        reveals_until = now + self.bids_s + (self.reveals_s if self.mechanism == "auction" else 0)
        return TaskTerms(
            mechanism=MECHANISMS.index(self.mechanism),
            rounds=self.rounds,
            seats=self.seats,
            capacity=self.capacity,
            unit=max(self.rewards) if self.rewards else self.unit,
            window=self.window_s,
            bids_until=now + self.bids_s,
            reveals_until=reveals_until,
            deadline=now + self.deadline_s,
            aggregator=to_address(self.aggregator),
            bond=self.bond,
            parameters=sha256(self.parameters.encode()),
        )


class Tasks(UpdateWork):
    """Federated-learning tasks of one gateway, as one member."""

    def create(self, plan: TaskPlan) -> TaskBody:
        """Open a task and fund its largest payout; answers it with its number."""
        self._upload(plan.parameters.encode())
        model = self._model_id(plan.parameters.model)
        # Last, because the times of a short task count from here; an idle chain's newest block may be old.
        terms = plan.terms(max(int(time.time()), self._session.account().chain_time))
        costs = [cost for row in plan.costs for cost in row]
        args = [model, terms.values, list(plan.rewards), costs]
        escrow = terms.escrow if plan.escrow is None else plan.escrow
        self._session.transact("/v1/tasks", "RewardPool", "openTask", args, value=escrow)
        mine, wanted = self._session.signer().address, "0x" + terms.parameters.hex()
        found = [t for t in self.all() if (t.sponsor, t.parameters) == (mine, wanted)]
        if not found:
            raise NotFound("the task is not projected yet", hint="run `twinledger task list`")
        return found[-1]

    def all(self) -> Iterator[TaskBody]:
        """Every task, by number."""
        for item in self._session.http.items("/v1/tasks"):
            yield parse_body(TaskBody, item)

    # ------------------------------------------------------------------ devices

    def bid(self, task: int, bids: Sequence[tuple[int, int, int]], salt: bytes | None = None) -> str:
        """Commit to bids (claim, value, channels); reveal the same ones when bidding is over."""
        commitment = self._commitment(task, bids, salt or self._salt(task))
        return self._act(task, "bids", "commitBid", [task, commitment])

    def reveal(self, task: int, bids: Sequence[tuple[int, int, int]], salt: bytes | None = None) -> str:
        """Reveal the bids committed to."""
        return self._act(task, "reveals", "revealBid", [task, list(bids), salt or self._salt(task)])

    def choose(self, task: int, kind: int, item: int | None = None) -> str:
        """Choose an item of the menu as a device of type `kind`; by default its own."""
        return self._act(task, "choices", "choose", [task, kind, kind if item is None else item])

    def owed(
        self, task: int | None = None, *, account: str | None = None, round: int | None = None
    ) -> list[OwedBody]:
        """What an account (oneself) is owed, why, and the proof, verified; of one task or of all."""
        who = to_address(account) if account else self._session.signer().address
        if task is None:
            return [owed for body in self.all() for owed in self._owed(body.task, who, None)]
        self.show(task)  # an unknown task is NotFound, not one that owes nothing
        return self._owed(task, who, round)

    def claim(self, task: int, round: int | None = None) -> list[str]:
        """Claim one's own verified payouts that are due; one transaction for each round."""
        hashes = []
        for owed in self.owed(task, round=round):
            if owed.leaf is not None and not owed.claimed:
                payout = owed.leaf.payout
                proof = [bytes.fromhex(node[2:]) for node in owed.proof]
                leaf = (payout.account, payout.amount, payout.detail_bytes, proof)
                hashes.append(self._act(task, "claims", "claim", [task, owed.round, [leaf]]))
        return hashes

    # ------------------------------------------------------------------ everybody

    def claim_all(self, task: int, round: int) -> list[str]:
        """Claim every unclaimed payout of a round for its accounts, in batches."""
        payouts = self._payouts_of(task, round)
        table = PayoutTable(self._scope(task, round), [leaf.payout for leaf in payouts.leaves])
        due = [p for p in table.payouts if p.account not in payouts.claimed]
        leaves = [(p.account, p.amount, p.detail_bytes, list(table.proof(p.account))) for p in due]
        return [
            self._act(task, "claims", "claim", [task, round, leaves[start : start + _BATCH]])
            for start in range(0, len(leaves), _BATCH)
        ]

    def challenge(self, task: int, round: int, reason: str = "", *, account: str | None = None) -> str:
        """Challenge a settled round with the task's bond: by an account's leaf, or for want of one."""
        payouts = self._payouts_of(task, round)
        table = PayoutTable(self._scope(task, round), [leaf.payout for leaf in payouts.leaves])
        who = to_address(account) if account else self._session.signer().address
        leaf: tuple[object, ...] = (who, 0, b"", [])
        if any(p.account == who for p in table.payouts):
            payout = table.payout(who)
            leaf = (who, payout.amount, payout.detail_bytes, list(table.proof(who)))
        bond = int(self.show(task).bond)
        return self._act(task, "challenges", "challenge", [task, round, leaf, reason], value=bond)

    def decide(self, task: int, round: int, *, upheld: bool, reason: str) -> str:
        """Council: propose to uphold or to reject a challenge."""
        call = encode_call("RewardPool", "decide", [task, round, upheld, reason])
        target = self._session.deployment().address("RewardPool")
        return self._session.transact("/v1/proposals", "Consortium", "propose", [target, call, reason])

    def release(self, task: int, round: int) -> str:
        """Give the aggregator of an unchallenged round its bond back."""
        return self._act(task, "refunds", "releaseBond", [task, round])

    def refund(self, task: int) -> str:
        """After the deadline: what was not paid to the sponsor, bonds to their owners."""
        rounds = [round_.round for round_ in self.show(task).progress]
        return self._act(task, "refunds", "refund", [task, rounds])

    def _owed(self, task: int, account: Address, round_: int | None) -> list[OwedBody]:
        try:
            path = f"/v1/tasks/{task}/payouts/{account}/proof"
            found = list(self._session.http.items(path, {"round": round_}))
        except NotFound:
            if round_ is not None:
                raise
            return []
        items = [parse_body(OwedBody, item) for item in found]
        for item in items:
            verify_owed(item)
        return items

    def _payouts_of(self, task: int, round_: int) -> PayoutsBody:
        for payouts in self.payouts(task, round_):
            return payouts
        raise NotFound(f"round {round_} of task {task} is not settled")

    def _scope(self, task: int, round_: int) -> Scope:
        pool = self._session.deployment().address("RewardPool")
        return Scope(self._session.domain().chain_id, pool, task, round_)

    def _commitment(self, task: int, bids: Sequence[tuple[int, int, int]], salt: bytes) -> bytes:
        scope, mine = self._scope(task, 0), self._session.signer().address
        types = ("uint256", "address", "uint64", "address", _BIDS, "bytes32")
        return keccak(encode_values(types, (scope.chain_id, scope.pool, task, mine, list(bids), salt)))

    def _salt(self, task: int) -> bytes:
        """Nobody can guess it and nothing must be kept: a keystore signs one digest in one way."""
        pool = self._session.deployment().address("RewardPool")
        name = b"TwinLedger bid" + address_bytes(pool) + task.to_bytes(8, "big")
        return keccak(self._session.signer().sign_hash(keccak(name)))

    def _model_id(self, model: str) -> bytes:
        reference = parse_reference(model)
        if reference.namespace is None or reference.name is None:
            raise Malformed(f"{model!r} names no model", hint="write NAMESPACE/NAME")
        for item in self._session.http.items("/v1/members"):
            if item["namespace"] == reference.namespace:
                return model_id(item["namespace_id"], reference.name)
        raise NotFound(f"there is no namespace {reference.namespace}")
