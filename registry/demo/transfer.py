"""Which twin suits a new cell, and how many rounds starting from it saves.

**Suitability.** A twin is *incompatible*, and excluded, when it states no radio terms, when its task,
inputs or outputs differ from the new cell's, when its propagation scenario differs, or when its carrier is
more than an octave away. Among the rest the nearest wins, by the distance

    d² = (log2 fc/fc')² + (¼ log2 B/B')² + (s / 1 km)²
       + ¼ [(ΔP/10 dB)² + (Δn/10 dB)² + (Δσ/4 dB)² + (ΔL/0.5)²]

with s the great-circle way between the middles of the cells' boxes and, from the reports that each cell
has, P the mean RSRP at 100 m, n the RSRP's fall per decade of distance, σ the spread about that line and L
the share of reports with line of sight. The scales are a choice: they say what counts as one unit apart.

**Rounds saved.** For one seed a cold start (random weights) and a warm start (the retrieved twin) train on
the same cell with the same reports, the same uplink draws and the same seed. The target is 5 % above the
best held-out error that the cold start reaches in its rounds, so a cold start always gets there and the
choice cannot favour the warm one. Rounds saved = cold rounds − warm rounds to that target; it may be
negative. Both have the same number of rounds; a warm start that does not arrive counts as all of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean, stdev

import numpy as np

from registry.demo.federated import Cohort, Schedule, SlopeRule, federate, plain_slope
from registry.demo.learner import Twin, draw_twin
from registry.demo.radio import SCENARIOS, distance_3d_m
from registry.demo.world import Cell, Track

EARTH_RADIUS_KM = 6371.0
CARRIER_OCTAVES = 1.0
TARGET_MARGIN = 1.05


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What the reports of a cell say about its channel."""

    rsrp_at_100m_dbm: float
    fall_db_per_decade: float
    spread_db: float
    los_share: float


@dataclass(frozen=True, slots=True)
class Profile:
    """What decides whether one cell's twin can serve another."""

    task: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scenario: str
    carrier_hz: float
    bandwidth_hz: float
    latitude: float
    longitude: float
    channel: ChannelStatistics


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate and its distance, smaller is nearer."""

    version_id: str
    model: str
    distance: float


@dataclass(frozen=True, slots=True)
class Excluded:
    """A candidate that cannot serve, and why."""

    version_id: str
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that a search found."""

    version_id: str
    model: str
    profile: Profile


def channel_statistics(cell: Cell, tracks: Sequence[Track]) -> ChannelStatistics:
    """A straight line through RSRP over the logarithm of distance, and how reports scatter about it."""
    positions = np.concatenate([t.positions_m for t in tracks])
    rsrp = np.concatenate([t.rsrp_dbm for t in tracks])
    ground = np.hypot(*(positions[:, :2] - np.array(cell.site)).T)
    decades = np.log10(distance_3d_m(SCENARIOS[cell.layer.scenario.name], ground, positions[:, 2]) / 100.0)
    slope, level = np.polyfit(decades, rsrp, 1)
    return ChannelStatistics(
        rsrp_at_100m_dbm=round(float(level), 3),
        fall_db_per_decade=round(float(-slope), 3),
        spread_db=round(float(np.std(rsrp - (slope * decades + level))), 3),
        los_share=round(float(np.mean(np.concatenate([t.is_los for t in tracks]))), 4),
    )


def way_km(a: Profile, b: Profile) -> float:
    """The great-circle way between two cells (haversine)."""
    lat = np.radians([a.latitude, b.latitude])
    half_lat, half_lon = (lat[1] - lat[0]) / 2, np.radians(b.longitude - a.longitude) / 2
    chord = np.sin(half_lat) ** 2 + np.cos(lat[0]) * np.cos(lat[1]) * np.sin(half_lon) ** 2
    return float(2.0 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord)))


def incompatibility(own: Profile, other: Profile) -> str | None:
    """Why the other cell's twin cannot serve this one, or None."""
    if (other.task, other.inputs, other.outputs) != (own.task, own.inputs, own.outputs):
        return "it predicts something else or from something else"
    if other.scenario != own.scenario:
        return f"its scenario is {other.scenario}, not {own.scenario}"
    octaves = abs(float(np.log2(other.carrier_hz / own.carrier_hz)))
    if octaves > CARRIER_OCTAVES:
        return f"its carrier is {octaves:.1f} octaves away"
    return None


def distance(a: Profile, b: Profile) -> float:
    """The distance of the module's formula; symmetric, and 0 between a profile and itself."""
    one, two = a.channel, b.channel
    channel = (
        ((one.rsrp_at_100m_dbm - two.rsrp_at_100m_dbm) / 10.0) ** 2
        + ((one.fall_db_per_decade - two.fall_db_per_decade) / 10.0) ** 2
        + ((one.spread_db - two.spread_db) / 4.0) ** 2
        + ((one.los_share - two.los_share) / 0.5) ** 2
    )
    radio = np.log2(a.carrier_hz / b.carrier_hz) ** 2 + (np.log2(a.bandwidth_hz / b.bandwidth_hz) / 4.0) ** 2
    return float(np.sqrt(radio + way_km(a, b) ** 2 + channel / 4.0))


def rank(own: Profile, candidates: Iterable[Candidate]) -> tuple[tuple[Ranked, ...], tuple[Excluded, ...]]:
    """The twins that can serve, nearest first (ties by version id), and those that cannot."""
    fit, unfit = [], []
    for c in candidates:
        reason = incompatibility(own, c.profile)
        if reason is None:
            fit.append(Ranked(c.version_id, c.model, distance(own, c.profile)))
        else:
            unfit.append(Excluded(c.version_id, c.model, reason))
    return tuple(sorted(fit, key=lambda r: (r.distance, r.version_id))), tuple(unfit)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One seed's race to the same held-out error."""

    seed: int
    target_db: float
    cold_rounds: int
    warm_rounds: int
    has_warm_arrived: bool

    @property
    def saved(self) -> int:
        """Cold minus warm."""
        return self.cold_rounds - self.warm_rounds


@dataclass(frozen=True, slots=True)
class Savings:
    """The mean of several seeds with its 95 % interval."""

    runs: tuple[Comparison, ...]
    mean: float
    low: float
    high: float


def compare(
    cohort: Cohort, donor: Twin, schedule: Schedule, seed: int, slope: SlopeRule = plain_slope
) -> Comparison:
    """Race a cold and a warm start on the same cohort with the same draws."""
    start = draw_twin(np.random.default_rng([seed, 0]))
    cold = federate(start, cohort, schedule, np.random.default_rng([seed, 1]), slope=slope)
    target = TARGET_MARGIN * min(r.error_db for r in cold.rounds)
    cold_rounds = next(r.number for r in cold.rounds if r.error_db <= target)
    race = replace(schedule, target_db=target)
    warm = federate(donor, cohort, race, np.random.default_rng([seed, 1]), slope=slope)
    return Comparison(seed, target, cold_rounds, warm.rounds[-1].number, warm.error_db <= target)


def student_quantile_95(freedom: int) -> float:
    """The two-sided 95 % point of Student's t (Cornish and Fisher, within 0.003 from 5 degrees on)."""
    z = NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + terms[0] / freedom + terms[1] / freedom**2 + terms[2] / freedom**3


def summarise(runs: Sequence[Comparison]) -> Savings:
    """The mean rounds saved and Student's 95 % interval over the seeds."""
    saved = [r.saved for r in runs]
    mean = fmean(saved)
    half = student_quantile_95(len(saved) - 1) * stdev(saved) / len(saved) ** 0.5
    return Savings(tuple(runs), mean, mean - half, mean + half)


def rounds_saved(
    cohort_for: Callable[[int], Cohort],
    donor: Twin,
    schedule: Schedule,
    seeds: Iterable[int],
    *,
    slope: SlopeRule = plain_slope,
    on_seed: Callable[[Comparison], None] = lambda _: None,
) -> Savings:
    """Race cold against warm for each seed; `cohort_for(seed)` gives the new cell's devices."""
    runs = []
    for seed in seeds:
        runs.append(compare(cohort_for(seed), donor, schedule, seed, slope))
        on_seed(runs[-1])
    return summarise(runs)
