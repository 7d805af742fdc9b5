"""Radio propagation after 3GPP TR 38.901 (clauses 7.4.1 to 7.4.4): path loss, line of sight, SINR.

Distances and heights are in metres, frequencies in hertz, losses in dB, powers in dBm. Every function
works element by element on arrays. The path loss is held to Table 7.4.1-1 by tests/vectors/test_pathloss.py.

>>> import numpy as np
>>> path_loss_db(UMA, np.array([100.0]), ut_height_m=np.array([1.5]), carrier_hz=3.5e9,
...              is_los=np.array([True])).round(2)
array([83.14])
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

# TR 38.901 Table 7.4.1-1 note 1 computes the breakpoint with this value, not the exact speed of light.
TABLE_SPEED_OF_LIGHT = 3.0e8
BOLTZMANN = 1.380649e-23
ROOM_TEMPERATURE_K = 290.0
SUBCARRIERS_PER_BLOCK = 12


@dataclass(frozen=True, slots=True)
class Scenario:
    """One outdoor column set of TR 38.901: Tables 7.4.1-1, 7.4.2-1, 7.5-6 and clause 7.6.3."""

    name: str
    bs_height_m: float
    los_intercept_db: float
    los_slope: float
    breakpoint_slope: float
    nlos_intercept_db: float
    nlos_slope: float
    nlos_carrier_slope: float
    nlos_height_slope: float
    los_decay_m: float
    los_shadowing_db: float
    nlos_shadowing_db: float
    los_correlation_m: float
    nlos_correlation_m: float
    condition_correlation_m: float


UMA = Scenario(
    name="UMa",
    bs_height_m=25.0,
    los_intercept_db=28.0,
    los_slope=22.0,
    breakpoint_slope=9.0,
    nlos_intercept_db=13.54,
    nlos_slope=39.08,
    nlos_carrier_slope=20.0,
    nlos_height_slope=0.6,
    los_decay_m=63.0,
    los_shadowing_db=4.0,
    nlos_shadowing_db=6.0,
    los_correlation_m=37.0,
    nlos_correlation_m=50.0,
    condition_correlation_m=50.0,
)
UMI = Scenario(
    name="UMi",
    bs_height_m=10.0,
    los_intercept_db=32.4,
    los_slope=21.0,
    breakpoint_slope=9.5,
    nlos_intercept_db=22.4,
    nlos_slope=35.3,
    nlos_carrier_slope=21.3,
    nlos_height_slope=0.3,
    los_decay_m=36.0,
    los_shadowing_db=4.0,
    nlos_shadowing_db=7.82,
    los_correlation_m=10.0,
    nlos_correlation_m=13.0,
    condition_correlation_m=50.0,
)
SCENARIOS: Mapping[str, Scenario] = MappingProxyType({s.name: s for s in (UMA, UMI)})


def distance_3d_m(scenario: Scenario, distance_m: Floats, ut_height_m: Floats) -> Floats:
    """The antenna-to-antenna distance from the distance on the ground."""
    return np.asarray(np.hypot(distance_m, scenario.bs_height_m - ut_height_m), dtype=np.float64)


def breakpoint_m(
    scenario: Scenario, ut_height_m: Floats, carrier_hz: float, environment_height_m: float | Floats = 1.0
) -> Floats:
    """The breakpoint distance d'BP = 4 h'BS h'UT fc / c, with heights above the effective environment."""
    bs = scenario.bs_height_m - environment_height_m
    ut = ut_height_m - environment_height_m
    return np.asarray(4.0 * bs * ut * carrier_hz / TABLE_SPEED_OF_LIGHT, dtype=np.float64)


def _los_loss_db(
    scenario: Scenario,
    distance_m: Floats,
    ut_height_m: Floats,
    carrier_hz: float,
    environment_height_m: float | Floats,
) -> Floats:
    d3d = distance_3d_m(scenario, distance_m, ut_height_m)
    bend = breakpoint_m(scenario, ut_height_m, carrier_hz, environment_height_m)
    carrier = scenario.los_intercept_db + 20.0 * np.log10(carrier_hz / 1e9)
    near = carrier + scenario.los_slope * np.log10(d3d)
    height = np.asarray(scenario.bs_height_m - ut_height_m, dtype=np.float64)
    beyond = carrier + 40.0 * np.log10(d3d) - scenario.breakpoint_slope * np.log10(bend**2 + height**2)
    return np.asarray(np.where(distance_m <= bend, near, beyond), dtype=np.float64)


def path_loss_db(
    scenario: Scenario,
    distance_m: Floats,
    *,
    ut_height_m: Floats,
    carrier_hz: float,
    is_los: Flags,
    environment_height_m: float | Floats = 1.0,
) -> Floats:
    """The path loss of Table 7.4.1-1 without shadowing; the NLOS loss is never below the LOS loss."""
    los = _los_loss_db(scenario, distance_m, ut_height_m, carrier_hz, environment_height_m)
    nlos = (
        scenario.nlos_intercept_db
        + scenario.nlos_slope * np.log10(distance_3d_m(scenario, distance_m, ut_height_m))
        + scenario.nlos_carrier_slope * np.log10(carrier_hz / 1e9)
        - scenario.nlos_height_slope * (ut_height_m - 1.5)
    )
    return np.where(is_los, los, np.maximum(los, nlos))


def _height_gain(ut_height_m: Floats) -> Floats:
    return np.where(ut_height_m > 13.0, np.maximum(ut_height_m - 13.0, 0.0) / 10.0, 0.0) ** 1.5


def los_probability(scenario: Scenario, distance_m: Floats, ut_height_m: Floats) -> Floats:
    """The probability of line of sight of Table 7.4.2-1; it is 1 within 18 m."""
    d = np.maximum(distance_m, 18.0)
    flat = 18.0 / d + np.exp(-d / scenario.los_decay_m) * (1.0 - 18.0 / d)
    if scenario.name == UMI.name:
        return flat
    lift = _height_gain(ut_height_m) * 1.25 * (d / 100.0) ** 3 * np.exp(-d / 150.0)
    return np.minimum(flat * (1.0 + np.where(distance_m > 18.0, lift, 0.0)), 1.0)


def environment_height_m(
    scenario: Scenario, distance_m: Floats, ut_height_m: Floats, rng: np.random.Generator
) -> Floats:
    """The effective environment height hE of Table 7.4.1-1 note 1; above 1 m only for tall UMa receivers."""
    height = np.ones_like(distance_m)
    if scenario.name == UMI.name:
        return height
    reach = np.where(distance_m > 18.0, 1.25 * (distance_m / 100.0) ** 3 * np.exp(-distance_m / 150.0), 0.0)
    chance_of_one = 1.0 / (1.0 + _height_gain(ut_height_m) * reach)
    for i in np.flatnonzero(rng.random(distance_m.shape) >= chance_of_one):
        # The steps 12, 15, … end at hUT − 1.5; a receiver too low for the first step keeps it.
        height[i] = rng.choice(np.arange(12.0, max(ut_height_m[i] - 1.5, 12.0) + 1e-9, 3.0))
    return height


def thermal_noise_dbm(bandwidth_hz: float, noise_figure_db: float) -> float:
    """The receiver's noise power over a bandwidth, kTB plus the noise figure."""
    watts = BOLTZMANN * ROOM_TEMPERATURE_K * bandwidth_hz
    return float(10.0 * np.log10(watts * 1e3) + noise_figure_db)


def subcarriers(bandwidth_hz: float, spacing_hz: float = 30e3) -> int:
    """The subcarriers in use: whole resource blocks inside 95 % of the channel."""
    return SUBCARRIERS_PER_BLOCK * int(0.95 * bandwidth_hz / (SUBCARRIERS_PER_BLOCK * spacing_hz))


def sinr_db(received_dbm: Floats, serving: int, noise_dbm: float, load: float) -> Floats:
    """Signal over noise and the other cells' power, each other cell transmitting `load` of the time.

    `received_dbm` has one row per measurement and one column per cell of the same carrier.
    """
    milliwatts = 10.0 ** (received_dbm / 10.0)
    signal = milliwatts[:, serving]
    others = load * (milliwatts.sum(axis=1) - signal)
    # The subtraction can leave a rounding residue below zero when one cell outshines all others.
    noise = 10.0 ** (noise_dbm / 10.0)
    return np.asarray(10.0 * np.log10(signal / (np.maximum(others, 0.0) + noise)), dtype=np.float64)
