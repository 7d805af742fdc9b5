"""The demo: cells train twins and register them; a new cell finds one, verifies it and starts from it.

All dealings with the registry go through `registry.Client`, one per cell, over its socket.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from registry.demo.federated import (
    LOCAL_STEPS,
    Cohort,
    Schedule,
    SlopeRule,
    Training,
    cohort_of,
    federate,
    plain_slope,
)
from registry.demo.forensics import ask_who_fetched
from registry.demo.learner import SIZES, Twin, draw_twin
from registry.demo.manifests import TAG, Provenance, cells_of, manifest_of, own_profile, profile_of
from registry.demo.ns3_source import ns3_source
from registry.demo.privacy import Privacy, PrivacyCost, calibrate, noisy_slope, privacy_cost
from registry.demo.report import print_choice
from registry.demo.results import Choice, DemoResult, Sealed
from registry.demo.transfer import Candidate, Excluded, Savings, rank, rounds_saved
from registry.demo.weights import read_twin, write_twin
from registry.demo.world import BuiltinSource, Cell, Source, Track, plan_cells
from registry.errors import Malformed, NotFound, VerificationFailed

if TYPE_CHECKING:
    from registry import Client
    from registry.sdk import Retrieved

NEWCOMER = "new-cell"
WEIGHTS = "twin.safetensors"
DP_EPSILON, DP_DELTA, DP_CLIP = 8.0, 1e-5, 0.3
# Seeds of the comparison stay clear of the seeds of the cells' own data.
COMPARISON_SEEDS = 1_000


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `twinledger demo` can be asked for."""

    cells: int = 2
    devices: int = 8
    rounds: int = 25
    seed: int = 7
    source: str = "builtin"
    privacy: str = "none"
    comparisons: int = 10
    namespace: str = "local"
    home: Path | None = None

    def __post_init__(self) -> None:
        for name, low in (("cells", 1), ("devices", 1), ("rounds", 1), ("comparisons", 2), ("seed", 0)):
            if getattr(self, name) < low:
                raise Malformed(f"{name} is {getattr(self, name)}, the demo needs at least {low}")


@dataclass(frozen=True, slots=True)
class Stage:
    """What stays the same throughout one demo."""

    client_for: "Callable[[str], Client]"
    options: DemoOptions
    source: Source
    schedule: Schedule
    privacy: Privacy | None
    folder: Path
    progress: Progress

    @property
    def slope(self) -> SlopeRule:
        """The gradient rule that every device follows."""
        return plain_slope if self.privacy is None else noisy_slope(self.privacy)

    def full_name(self, cell: Cell) -> str:
        """The cell as the registry names it."""
        return f"{self.options.namespace}/{cell.name}"


def source_named(name: str) -> AbstractContextManager[Source]:
    """The simulator behind `--source`, running while the context lasts."""
    if name == "builtin":
        return nullcontext(BuiltinSource())
    if name == "ns3":
        return ns3_source()
    raise Malformed(f"no simulator is called {name!r}", hint="choose --source builtin or --source ns3")


def privacy_named(name: str, schedule: Schedule) -> Privacy | None:
    """The privacy terms behind `--privacy`, paid for all rounds in advance."""
    if name == "none":
        return None
    if name == "dp":
        steps = schedule.rounds * LOCAL_STEPS
        return calibrate(steps, epsilon=DP_EPSILON, delta=DP_DELTA, clip=DP_CLIP)
    raise Malformed(f"no privacy is called {name!r}", hint="choose --privacy none or --privacy dp")


def run_demo(
    client_for: "Callable[[str], Client]",
    options: DemoOptions,
    console: Console,
    *,
    source: Source | None = None,
) -> DemoResult:
    """Run the whole story with its progress on `console`; `report.print_report` tells what came of it.

    `client_for("ns/cell")` gives the client of that cell's edge server and is asked once per cell. `source`
    is any simulator; without it the one that `options.source` names.
    """
    schedule = Schedule(options.rounds)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    running = source_named(options.source) if source is None else nullcontext(source)
    with (
        running as simulator,
        TemporaryDirectory(prefix="twinledger-demo-") as folder,
        Progress(*columns, console=console) as bars,
    ):
        stage = Stage(
            client_for=cache(client_for),
            options=options,
            source=simulator,
            schedule=schedule,
            privacy=privacy_named(options.privacy, schedule),
            folder=Path(folder),
            progress=bars,
        )
        *cells, newcomer = plan_cells(options.cells, NEWCOMER)
        sealed = [_train_and_submit(stage, cell) for cell in cells]
        return _join(stage, newcomer, sealed)


def _join(stage: Stage, cell: Cell, sealed: list[Sealed]) -> DemoResult:
    options = stage.options
    tracks = stage.source.tracks(cell, options.devices, options.seed)
    choice = _choose(stage, cell, tracks)
    print_choice(choice, stage.progress.console)
    got = _retrieve(stage, cell, choice.chosen.version_id)
    donor = read_twin(Path(got.path) / WEIGHTS, SIZES)
    cohorts = cache(lambda seed: _cohort(stage, cell, seed))
    savings = _race(stage, cohorts, donor)
    cost = _price_privacy(stage, cohorts)
    sealed = [*sealed, _warm_start_and_submit(stage, cell, tracks, donor, choice)]
    checked = tuple(_verified(stage, cell, s) for s in sealed)
    asking = stage.client_for(stage.full_name(cell))
    finding = ask_who_fetched(asking, choice.chosen.model, choice.chosen.version_id, got.promise)
    return DemoResult(checked, choice, savings, stage.privacy, cost, finding, options.home)


def _cohort(stage: Stage, cell: Cell, seed: int) -> Cohort:
    tracks = stage.source.tracks(cell, stage.options.devices, seed)
    return cohort_of(cell, tracks, stage.schedule.uplink)


def _comparison_seeds(options: DemoOptions) -> range:
    first = COMPARISON_SEEDS * (options.seed + 1)
    return range(first, first + options.comparisons)


def _train(stage: Stage, cell: Cell, tracks: tuple[Track, ...], start: Twin, label: str) -> Training:
    bar = stage.progress.add_task(label, total=stage.schedule.rounds)
    return federate(
        start,
        cohort_of(cell, tracks, stage.schedule.uplink),
        stage.schedule,
        np.random.default_rng([stage.options.seed, *cell.name.encode()]),
        slope=stage.slope,
        on_round=lambda _: stage.progress.advance(bar),
    )


def _train_and_submit(stage: Stage, cell: Cell) -> Sealed:
    options = stage.options
    tracks = stage.source.tracks(cell, options.devices, options.seed)
    start = draw_twin(np.random.default_rng([options.seed, 1]))
    training = _train(stage, cell, tracks, start, f"{cell.name}: federated rounds")
    return _submit(stage, cell, tracks, training, parents=())


def _warm_start_and_submit(
    stage: Stage, cell: Cell, tracks: tuple[Track, ...], donor: Twin, choice: Choice
) -> Sealed:
    training = _train(stage, cell, tracks, donor, f"{cell.name}: warm rounds")
    return _submit(stage, cell, tracks, training, parents=(choice.chosen.version_id,))


def _submit(
    stage: Stage, cell: Cell, tracks: tuple[Track, ...], training: Training, *, parents: tuple[str, ...]
) -> Sealed:
    options = stage.options
    folder = stage.folder / cell.name
    folder.mkdir()
    path = folder / WEIGHTS
    write_twin(training.twin, path)
    made = Provenance(
        cell, options.namespace, tracks, training, stage.source.channel_model, options.seed, stage.privacy
    )
    client = stage.client_for(made.cell_name)
    began = perf_counter()
    model = f"{options.namespace}/rsrp-{cell.name}"
    pending = client.submit(model, [path], manifest_of(made), parents=parents, wait=False)
    receipt = client.wait(pending.version_id)
    return Sealed(
        model=model,
        number=receipt.number,
        version_id=receipt.version_id,
        size=path.stat().st_size,
        sha256=sha256(path.read_bytes()).hexdigest(),
        seal_s=perf_counter() - began,
        error_db=training.error_db,
        airtime_s=sum(r.seconds for r in training.rounds),
        retransmissions=sum(r.retransmissions for r in training.rounds),
        absences=sum(len(r.absent) for r in training.rounds),
    )


def _choose(stage: Stage, cell: Cell, tracks: tuple[Track, ...]) -> Choice:
    client = stage.client_for(stage.full_name(cell))
    candidates, excluded = [], []
    for found in client.search(tag=TAG):
        manifest: Mapping[str, object] = found.manifest or {}
        profile = profile_of(manifest)
        if stage.full_name(cell) in cells_of(manifest):
            excluded.append(Excluded(found.version_id, found.model, "it is this cell's own"))
        elif profile is None:
            excluded.append(Excluded(found.version_id, found.model, "it does not state its radio terms"))
        else:
            candidates.append(Candidate(found.version_id, found.model, profile))
    ranked, unfit = rank(own_profile(cell, tracks), candidates)
    if not ranked:
        raise NotFound(f"no twin in the registry suits {cell.name}", hint="run the demo with more cells")
    return Choice(ranked, (*excluded, *unfit))


def _retrieve(stage: Stage, cell: Cell, version_id: str) -> "Retrieved":
    name = stage.full_name(cell)
    return stage.client_for(name).retrieve(version_id, to=stage.folder / "retrieved", cell=name)


def _race(stage: Stage, cohorts: Callable[[int], Cohort], donor: Twin) -> Savings:
    seeds = _comparison_seeds(stage.options)
    bar = stage.progress.add_task("cold against warm, seeds", total=len(seeds))
    return rounds_saved(
        cohorts,
        donor,
        stage.schedule,
        seeds,
        slope=stage.slope,
        on_seed=lambda _: stage.progress.advance(bar),
    )


def _price_privacy(stage: Stage, cohorts: Callable[[int], Cohort]) -> PrivacyCost | None:
    if stage.privacy is None:
        return None
    seeds = _comparison_seeds(stage.options)
    return privacy_cost([(s, cohorts(s)) for s in seeds], stage.schedule, stage.privacy)


def _verified(stage: Stage, reader: Cell, sealed: Sealed) -> Sealed:
    """The same row after its files were retrieved, verified, and found equal to what was submitted."""
    name = stage.full_name(reader)
    to = stage.folder / f"check-{sealed.version_id[2:14]}"
    got = stage.client_for(name).retrieve(sealed.version_id, to=to, cell=name)
    if sha256((Path(got.path) / WEIGHTS).read_bytes()).hexdigest() != sealed.sha256:
        raise VerificationFailed(f"{sealed.model} came back with other bytes than were submitted")
    return replace(sealed, is_verified=True)
