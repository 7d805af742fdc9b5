"""What became of tasks: their state, their payouts recomputed from signed integers, and what each is owed."""

from collections.abc import Iterable

from incentives.contributions import Exclusion
from incentives.payouts import PayoutTable, Scope
from incentives.settlement import Agreement, Record, Settlement, compare, settle, verify_record
from registry.chain.base import ReceiptProof
from registry.chain.gateway import Contracts
from registry.chain.rewards import RewardReads
from registry.core.cid import Cid
from registry.core.ids import Address, hex32, parse_hex32, to_address
from registry.errors import Conflict, Malformed, NotFound, StoreUnavailable, VerificationFailed
from registry.index.tasks import TaskEvent, TaskIndex
from registry.service.receipts import proof_body
from registry.service.tasks import Tasks
from registry.wire import BlockBody
from registry.wire_payouts import PayoutFile, payout_file
from registry.wire_rewards import EntryBody, ScreenedBody, StandingBody, entry_of
from registry.wire_tasks import (
    MECHANISMS,
    ROUND_STATES,
    BidBody,
    ChoiceBody,
    EventProof,
    OwedBody,
    PayoutsBody,
    RoundBody,
    TaskBody,
    agreement_of,
)

_BEGUN = ROUND_STATES.index("begun")


class Rounds:
    """Reads tasks from the chain, the projection and the payout files."""

    def __init__(self, contracts: Contracts, index: TaskIndex, tasks: Tasks) -> None:
        self._contracts = contracts
        self._reads = RewardReads(contracts)
        self._index = index
        self._tasks = tasks

    def listed(self, after: int, limit: int) -> list[TaskBody]:
        """Tasks by number, from past `after`."""
        last = min(self._index.count(), after + limit)
        return [self.show(task) for task in range(after + 1, last + 1)]

    def show(self, task: int) -> TaskBody:
        """One task with its bids, choices and rounds; NotFound."""
        opened = self._reads.task(task)
        terms, events = opened.terms, self._index.events(task)
        menu = next((e.args for e in events if e.name == "MenuPublished"), {"rewards": (), "costs": ()})
        escrow = next((e.args["escrow"] for e in events if e.name == "TaskOpened"), opened.free)
        return TaskBody(
            task=task,
            sponsor=opened.sponsor,
            model_id=hex32(opened.model_id),
            mechanism=MECHANISMS[terms.mechanism],
            rounds=terms.rounds,
            seats=terms.seats,
            capacity=terms.capacity,
            unit=str(terms.unit),
            window=terms.window,
            bids_until=terms.bids_until,
            reveals_until=terms.reveals_until,
            deadline=terms.deadline,
            aggregator=terms.aggregator,
            bond=str(terms.bond),
            parameters=hex32(terms.parameters),
            escrow=str(escrow),
            free=str(opened.free),
            rewards=[str(r) for r in menu["rewards"]],
            costs=[str(c) for c in menu["costs"]],
            committed=[e.account for e in events if e.name == "BidCommitted"],
            bids=[
                BidBody(device=e.account, claim=str(claim), value=str(value), channels=int(channels))
                for e in events
                if e.name == "BidRevealed"
                for claim, value, channels in e.args["bids"]
            ],
            choices=[
                ChoiceBody(device=e.account, kind=e.args["kind"], item=e.args["item"])
                for e in events
                if e.name == "ItemChosen"
            ],
            progress=[self._round(e, events) for e in events if e.name == "RoundBegun"],
        )

    def payouts(self, task: int, round_: int | None = None) -> list[PayoutsBody]:
        """The settled rounds with their leaves, from the payout files."""
        self._reads.task(task)  # an unknown task is NotFound, not a task without rounds
        claimed: dict[int | None, list[str]] = {}
        for event in self._index.events(task, ("PayoutClaimed",)):
            claimed.setdefault(event.round, []).append(event.account)
        found = []
        for settled in self._settlements(task, round_):
            stated = self._file(settled)
            found.append(
                PayoutsBody(
                    round=stated.round,
                    state=ROUND_STATES[self._reads.round(task, stated.round).state],
                    root=settled.args["root"],
                    total=str(settled.args["total"]),
                    payouts_cid=_cid(settled),
                    claimable_at=settled.args["claimableAt"],
                    leaves=stated.leaves,
                    screened=stated.screened,
                    claimed=claimed.get(settled.round, []),
                )
            )
        return found

    def proposed(self, task: int, round_: int) -> PayoutFile:
        """The payout file that follows from what is signed here: what an aggregator settles."""
        begun = self._begun(task, round_)
        entries = [e for e in self._tasks.entries(task, round_) if e.aggregator_signature and e.measurements]
        record = self._record(task, begun.args["evaluation"], entries)
        return payout_file(settle(self._scope(task, round_), self.agreement(task), record), record)

    def recompute(self, task: int, round_: int) -> Settlement:
        """Settle the round again from its file's signed integers; VerificationFailed names what differs."""
        settled = next(iter(self._settlements(task, round_)), None)
        if settled is None:
            raise NotFound(f"round {round_} of task {task} is not settled")
        stated = self._file(settled)
        if stated.evaluation != self._begun(task, round_).args["evaluation"]:
            raise VerificationFailed(
                f"the file names the evaluation set {stated.evaluation}, not the round's"
            )
        agreement, scope = self.agreement(task), self._scope(task, round_)
        self._check_standing(task, stated.standing)
        verify_record(self._contracts.domain, scope, agreement, stated.record)
        found = settle(scope, agreement, stated.record)
        compare(found, stated.payouts, parse_hex32(settled.args["root"]))
        return found

    def owed(self, task: int, account: Address, round_: int | None = None) -> list[OwedBody]:
        """What each settled round owes an account, why, and the proof; NotFound when no round knows it."""
        parameters, opened = self._tasks.parameters(task), self._opening(task)
        found = []
        for settled in self._settlements(task, round_):
            stated = self._file(settled)
            entry = next((e for e in stated.contributions if e.contribution.device == account), None)
            leaf = next((x for x in stated.leaves if to_address(x.account) == account), None)
            if entry is None and leaf is None:
                continue
            table = PayoutTable(self._scope(task, stated.round), stated.payouts)
            present = self._reads.round(task, stated.round)
            found.append(
                OwedBody(
                    chain_id=self._contracts.domain.chain_id,
                    registry=self._contracts.domain.contract,
                    pool=self._contracts.address("RewardPool"),
                    task=task,
                    round=stated.round,
                    account=account,
                    state=ROUND_STATES[present.state],
                    claimable_at=settled.args["claimableAt"],
                    claimed=self._reads.is_claimed(task, stated.round, account),
                    leaf=leaf,
                    proof=[] if leaf is None else [hex32(node) for node in table.proof(account)],
                    root=settled.args["root"],
                    evaluation=stated.evaluation,
                    entry=entry,
                    screened=next((s for s in stated.screened if s.device == account), None),
                    parameters=parameters,
                    opened=self._event_proof(opened),
                    settled=self._event_proof(settled),
                )
            )
        if not found:
            raise NotFound(f"no settled round of task {task} knows {account}")
        return found

    def agreement(self, task: int) -> Agreement:
        """What was fixed before the rounds: the chain's terms, the parameters, bids and choices."""
        return agreement_of(self.show(task), self._tasks.parameters(task))

    def standing(self, devices: Iterable[Address], block: int) -> dict[Address, tuple[int, int]]:
        """Good and bad rounds of these devices among the rounds settled before a block."""
        counts = dict.fromkeys(devices, (0, 0))
        if not counts:
            return {}
        for settled in self._index.settled_before(block):
            for screened in self._evidence(settled):
                device = to_address(screened.device)
                if device not in counts or screened.excluded in _NO_EVIDENCE:
                    continue
                good, bad = counts[device]
                counts[device] = (good + 1, bad) if screened.excluded is None else (good, bad + 1)
        return counts

    def _evidence(self, settled: TaskEvent) -> list[ScreenedBody]:
        """Who was counted in a settled round; nothing where its aggregator left no readable file here."""
        try:
            return self._file(settled).screened
        except (StoreUnavailable, Malformed):
            return []

    def _check_standing(self, task: int, stated: list[StandingBody]) -> None:
        ours = self.standing([to_address(s.device) for s in stated], self._opening(task).block)
        for line in stated:
            counted = ours[to_address(line.device)]
            if counted != (line.positive, line.negative):
                raise VerificationFailed(
                    f"standing of {line.device}: the file says {line.positive} good and {line.negative} bad "
                    f"rounds, the payout files before the task say {counted[0]} and {counted[1]}"
                )

    def _record(self, task: int, evaluation: str, entries: list[EntryBody]) -> Record:
        signed = tuple(entry_of(entry) for entry in entries)
        block = self._opening(task).block
        bidders = [e.account for e in self._index.events(task, ("BidRevealed",))]
        devices = [e.contribution.device for e in signed] + [to_address(b) for b in bidders]
        return Record(parse_hex32(evaluation), signed, self.standing(devices, block))

    def _settlements(self, task: int, round_: int | None) -> list[TaskEvent]:
        """The settlement that stands of each round."""
        standing: dict[int | None, TaskEvent] = {}
        for event in self._index.events(task, ("RoundSettled", "RoundSlashed", "ChallengeDecided")):
            if event.name == "RoundSettled":
                standing[event.round] = event
            elif event.name == "RoundSlashed" or event.args["upheld"]:
                standing.pop(event.round, None)
        return [e for n, e in sorted(standing.items(), key=lambda i: i[0] or 0) if round_ in (None, n)]

    def _round(self, begun: TaskEvent, events: list[TaskEvent]) -> RoundBody:
        present = self._reads.round(begun.task, begun.round or 0)
        told = (e for e in reversed(events) if e.name == "RoundSettled" and e.round == begun.round)
        settled = next(told, None) if present.state > _BEGUN else None
        return RoundBody(
            round=begun.round or 0,
            # The chain may be a block ahead of its events here: until they are read the round is open.
            state=ROUND_STATES[present.state if settled else min(present.state, _BEGUN)],
            begun_at=present.begun_at,
            evaluation=begun.args["evaluation"],
            root=settled.args["root"] if settled else None,
            total=str(settled.args["total"]) if settled else None,
            leaves=settled.args["leaves"] if settled else None,
            payouts_cid=_cid(settled) if settled else None,
            claimable_at=present.claimable_at if settled else None,
            held=str(present.purse),
            challenger=present.challenger if int(present.challenger, 16) else None,
        )

    def _begun(self, task: int, round_: int) -> TaskEvent:
        for event in self._index.events(task, ("RoundBegun",)):
            if event.round == round_:
                return event
        raise Conflict(f"round {round_} of task {task} has not begun")

    def _opening(self, task: int) -> TaskEvent:
        for event in self._index.events(task, ("TaskOpened",)):
            return event
        raise NotFound(f"there is no task {task}")

    def _scope(self, task: int, round_: int) -> Scope:
        return Scope(self._contracts.domain.chain_id, self._contracts.address("RewardPool"), task, round_)

    def _file(self, settled: TaskEvent) -> PayoutFile:
        cid = _cid(settled)
        try:
            return self._tasks.payout_file(cid)
        except NotFound as e:
            # NotFound would read as "nothing is owed".
            raise StoreUnavailable(
                f"the payout file {cid} of round {settled.round} of task {settled.task} is not here",
                hint="it is looked for at gateway.peers: ask again, or the gateway it was settled through",
            ) from e

    def _event_proof(self, event: TaskEvent) -> EventProof:
        block = self._contracts.link.block(event.block)
        proof: ReceiptProof | None = self._contracts.link.receipt_proof(parse_hex32(event.tx_hash))
        return EventProof(
            block=BlockBody(number=block.number, hash=hex32(block.hash), time=block.time),
            tx_hash=event.tx_hash,
            event_index=event.event_index,
            receipt_proof=None if proof is None else proof_body(proof),
        )


# Left out through no fault of its own: neither good nor bad evidence.
_NO_EVIDENCE = {Exclusion.UNMEASURED, Exclusion.NOT_HIRED, Exclusion.REPUTATION}


def _cid(settled: TaskEvent) -> str:
    return str(Cid.of_raw(bytes.fromhex(settled.args["payouts"][2:])))
