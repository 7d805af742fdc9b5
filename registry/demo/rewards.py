"""The rewards demo: a cell's devices decide by a mechanism whether and how much to train, and are paid.

Everybody has a key of their own and talks to the registry through the SDK: the sponsor opens a task with all
the money it can pay, devices bid or choose, each round is measured by three validators and settled by the
aggregator, and every device verifies and claims its own payout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from registry.core.ids import keccak
from registry.core.signing import KeySigner, Signer
from registry.demo.economy import MECHANISMS, Auctioned, Offered, PostedRate, costs_of, employ, to_wei_up
from registry.demo.federated import (
    Cohort,
    Schedule,
    Training,
    cohort_of,
)
from registry.demo.manifests import Provenance, manifest_of
from registry.demo.privacy import Privacy, PrivacyCost, privacy_cost
from registry.demo.rewards_result import Paid, RewardsResult
from registry.demo.rewards_rounds import MICRO, Job, People, train, wait_past
from registry.demo.run import DemoOptions, privacy_named, source_named
from registry.demo.weights import write_twin
from registry.demo.world import plan_cells
from registry.errors import Malformed
from registry.sdk.owed import verify_owed
from registry.sdk.receipts import Receipt
from registry.sdk.tasks import TaskPlan
from registry.wire_rewards import ParametersBody, PrivacyBody
from registry.wire_tasks import TaskBody

if TYPE_CHECKING:
    from registry import Client

VALIDATORS, MOST_ROUNDS, BOND = 3, 3, 10**15
COMPARED_SEEDS = 3


def run_rewards(
    sponsor: "Client",
    client_as: "Callable[[Signer], Client]",
    mechanism: str,
    options: DemoOptions,
    console: Console,
) -> RewardsResult:
    """Run one task from its opening to the claimed payouts and the registered twin."""
    if mechanism not in MECHANISMS:
        raise Malformed(f"no mechanism is called {mechanism!r}", hint=f"choose {', '.join(MECHANISMS)}")
    schedule = Schedule(min(options.rounds, MOST_ROUNDS))
    with source_named(options.source) as source:
        cell = plan_cells(1, "new-cell")[0]
        tracks = source.tracks(cell, options.devices, options.seed)
        channel_model = source.channel_model
    console.print("admitting a sponsor's aggregator, three validators and the devices")
    people, cohort = _admit(sponsor, client_as, cohort_of(cell, tracks, schedule.uplink), options.seed)
    for reader in (people.aggregator, *people.validators):
        # To these keys the devices encrypt their updates.
        reader.members.make_key()
    try:
        costs = costs_of(cohort, schedule.uplink)
        hiring = MECHANISMS[mechanism](costs)
        privacy = privacy_named(options.privacy, schedule)
        job = Job(cell, tracks, cohort, costs, hiring, schedule, privacy, channel_model)
        task = _open(people, job)
        console.print(f"task {task.task} is open by {mechanism} and holds {task.escrow} wei")
        job = _agree(people, job, task)
        rewarded = train(people, job, task, options.seed, console)
        training = rewarded.training
        paid = _collect(people, job, task, rewarded.efforts)
        receipt = _register(people.sponsor, job, task, training, options)
        cost = _price_privacy(job, options)
        after = people.sponsor.tasks.show(task.task)
        return RewardsResult(
            mechanism=mechanism,
            task=task.task,
            escrow=int(task.escrow),
            paid=paid,
            left=int(after.free) + sum(int(r.held) for r in after.progress),
            error_db=(training.rounds[0].error_db, training.error_db),
            model=receipt.model,
            version_id=receipt.version_id,
            privacy=privacy,
            privacy_cost=cost,
            home=options.home,
        )
    finally:
        people.close()


def _admit(
    sponsor: "Client", client_as: "Callable[[Signer], Client]", cohort: Cohort, seed: int
) -> tuple[People, Cohort]:
    """Admit everybody with a key that follows from the seed; devices are then named by address."""

    def member(name: str, role: str, grant: int = 0) -> "Client":
        signer = KeySigner(keccak(f"TwinLedger rewards demo {seed} {name}".encode()))
        sponsor.members.add(signer.address, f"demo-{role}s", [role], grant=grant)
        return client_as(signer)

    # Its bonds are granted into its escrow, which it takes out as coin.
    aggregator = member("aggregator", "aggregator", MOST_ROUNDS * BOND)
    aggregator.account.withdraw(MOST_ROUNDS * BOND)
    validators = tuple(member(f"validator {i}", "validator") for i in range(VALIDATORS))
    clients = [member(device.name, "device") for device in cohort.devices]
    people = People(sponsor, aggregator, validators, {str(c.address): c for c in clients})
    named = zip(cohort.devices, people.devices, strict=True)
    devices = tuple(replace(device, name=address) for device, address in named)
    return people, Cohort(devices, cohort.held_out)


def _open(people: People, job: Job) -> TaskBody:
    terms, seats = job.hiring.terms, len(job.cohort.devices)
    unit, capacity, rewards, costs = 0, 0, tuple[int, ...](), tuple[tuple[int, ...], ...]()
    if isinstance(terms, PostedRate):
        unit = terms.rate
    elif isinstance(terms, Auctioned):
        unit, capacity = max(bid.value for bid in terms.bids), terms.capacity
    else:
        rewards, costs = terms.menu.rewards, terms.menu.costs
    parameters = ParametersBody(
        model=f"local/rsrp-{job.cell.name}",
        validators=[v.address for v in people.validators],
        privacy=_privacy(job.privacy),
        near_bits=4,
        norm_limit_ppm=10 * MICRO,
    )
    # A posted rate needs nobody's act; but the opening itself may take its time on a busy machine.
    acting_s = 4 if isinstance(terms, PostedRate) else 10 + 2 * seats
    return people.sponsor.tasks.create(
        TaskPlan(
            parameters=parameters,
            mechanism=job.hiring.mechanism,
            aggregator=people.aggregator.address,
            rounds=job.schedule.rounds,
            seats=seats,
            capacity=capacity,
            unit=unit,
            bond=BOND,
            bids_s=acting_s,
            reveals_s=acting_s,
            window_s=2,
            deadline_s=3600,
            rewards=rewards,
            costs=costs,
        )
    )


def _privacy(terms: Privacy | None) -> PrivacyBody:
    if terms is None:
        return PrivacyBody()
    return PrivacyBody(
        kind="dp", clip=terms.clip, sigma=terms.sigma, epsilon=terms.epsilon, delta=terms.delta
    )


def _agree(people: People, job: Job, task: TaskBody) -> Job:
    """Devices bid, or choose, on chain; an auction's winners are those of the revealed bids."""
    terms, number = job.hiring.terms, task.task
    if isinstance(terms, Offered):
        choices = terms.choices
        people.everywhere(
            lambda c: c.tasks.choose(number, *choices[str(c.address)]), [people.devices[d] for d in choices]
        )
    elif isinstance(terms, Auctioned):
        bids = {
            device: [(b.claim, b.value, b.channels) for b in terms.bids if b.user == device]
            for device in people.devices
        }
        everyone = list(people.devices.values())
        people.everywhere(lambda c: c.tasks.bid(number, bids[str(c.address)]), everyone)
        wait_past(task.bids_until)
        people.everywhere(lambda c: c.tasks.reveal(number, bids[str(c.address)]), everyone)
    wait_past(task.reveals_until)
    if isinstance(terms, PostedRate):
        return job
    return replace(job, cohort=employ(job.cohort, job.hiring))


def _collect(
    people: People, job: Job, task: TaskBody, efforts: Mapping[str, Sequence[int]]
) -> tuple[Paid, ...]:
    """Every device asks what it is owed and why, checks the proof, and claims it."""
    progress = people.sponsor.tasks.show(task.task).progress
    wait_past(max((r.claimable_at or 0 for r in progress), default=0))
    rows = []
    for number, (address, client) in enumerate(people.devices.items()):
        verified = [verify_owed(item) for item in client.tasks.owed(task.task)]
        client.tasks.claim(task.task)
        rows.append(
            Paid(
                device=f"device {number}",
                address=address,
                steps=tuple(efforts[address]),
                rounds=sum(v.amount > 0 for v in verified),
                cost=sum(_cost(job, address, steps) for steps in efforts[address]),
                paid=sum(v.amount for v in verified),
            )
        )
    return tuple(rows)


def _cost(job: Job, address: str, steps: int) -> int:
    """What a round cost a device: air and processor time; under a contract what the menu says."""
    if isinstance(job.hiring.terms, Offered):
        return next(hired.cost for hired in job.hiring.hired if hired.device == address)
    return to_wei_up(next(own for own in job.costs if own.device == address).of(steps))


def _register(
    sponsor: "Client", job: Job, task: TaskBody, training: Training, options: DemoOptions
) -> Receipt:
    """Register the twin with the task, its participants and their updates in the manifest."""
    made = Provenance(
        job.cell, options.namespace, job.tracks, training, job.channel_model, options.seed, job.privacy
    )
    manifest = dict(manifest_of(made))
    people = [
        {"member": p.device, "update_sha256": p.update_sha256, "samples": p.samples, "cell": made.cell_name}
        for p in training.participants
    ]
    manifest["training"] = {**_mapping(manifest["training"]), "task": task.task, "participants": people}
    with TemporaryDirectory(prefix="twinledger-rewards-") as folder:
        path = Path(folder) / "twin.safetensors"
        write_twin(training.twin, path)
        model = f"{options.namespace}/rsrp-{job.cell.name}"
        pending = sponsor.submit(model, [path], manifest, wait=False)
        return sponsor.wait(pending.version_id)


def _price_privacy(job: Job, options: DemoOptions) -> PrivacyCost | None:
    if job.privacy is None:
        return None
    seeds = range(options.seed, options.seed + COMPARED_SEEDS)
    return privacy_cost([(s, job.cohort) for s in seeds], job.schedule, job.privacy)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
