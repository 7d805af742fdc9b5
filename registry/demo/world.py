"""The world of the demo: cells on a hexagonal grid, their radio environment, and what devices measure.

Every cell transmits on its layer's one carrier, so each cell's devices hear the others as interference.
A seed makes the streets (shadowing and lines of sight) and the devices' ways; the grid is always the same.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from registry.demo.fields import Field, draw_field, mix, uniform_from_normal
from registry.demo.mobility import Walker, walk
from registry.demo.radio import (
    UMA,
    UMI,
    Flags,
    Floats,
    Scenario,
    los_probability,
    path_loss_db,
    sinr_db,
    subcarriers,
    thermal_noise_dbm,
)

ORIGIN_LATITUDE, ORIGIN_LONGITUDE = 52.5200, 13.4050
METRES_PER_DEGREE = 111_320.0
# TR 38.901 clause 7.4.4 leaves site-to-site correlation to the user; 0.5 is the value of TR 36.814.
SITE_CORRELATION = 0.5
INTERFERENCE_LOAD = 0.5
STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Layer:
    """A set of sites on one carrier."""

    scenario: Scenario
    carrier_hz: float
    bandwidth_hz: float
    site_distance_m: float
    transmit_dbm: float
    noise_figure_db: float = 9.0


MACRO = Layer(UMA, carrier_hz=3.5e9, bandwidth_hz=40e6, site_distance_m=500.0, transmit_dbm=49.0)
STREET = Layer(UMI, carrier_hz=28e9, bandwidth_hz=100e6, site_distance_m=200.0, transmit_dbm=44.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, its layer, the sites of that layer in metres from the origin, and which of them it is."""

    name: str
    layer: Layer
    sites: tuple[tuple[float, float], ...]
    index: int

    @property
    def site(self) -> tuple[float, float]:
        """Where the cell's antenna stands."""
        return self.sites[self.index]

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """The area served: south, west, north, east in degrees."""
        x, y = self.site
        south, west = degrees(x - self.layer.site_distance_m / 2, y - self.layer.site_distance_m / 2)
        north, east = degrees(x + self.layer.site_distance_m / 2, y + self.layer.site_distance_m / 2)
        return south, west, north, east


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """What one device measured on its way: this is all that training needs from a simulator."""

    device: str
    positions_m: Floats
    is_los: Flags
    rsrp_dbm: Floats
    sinr_db: Floats


class Source(Protocol):
    """A simulator: gives the tracks of a cell's devices, the same ones for the same arguments."""

    @property
    def channel_model(self) -> str:
        """The propagation model, as manifests name it."""
        ...

    def tracks(self, cell: Cell, devices: int, seed: int) -> tuple[Track, ...]: ...


def degrees(x_m: float, y_m: float) -> tuple[float, float]:
    """Latitude and longitude of a point given in metres east and north of the origin."""
    metres_per_longitude = METRES_PER_DEGREE * np.cos(np.radians(ORIGIN_LATITUDE))
    latitude = ORIGIN_LATITUDE + y_m / METRES_PER_DEGREE
    return round(latitude, 6), round(ORIGIN_LONGITUDE + x_m / float(metres_per_longitude), 6)


def hexagonal_sites(count: int, distance_m: float) -> tuple[tuple[float, float], ...]:
    """The `count` points of a hexagonal grid nearest to its middle, from the inside out."""
    reach = int(count**0.5) + 2
    points = [
        (distance_m * (a + b / 2), distance_m * b * 3**0.5 / 2)
        for a in range(-reach, reach + 1)
        for b in range(-reach, reach + 1)
    ]
    points.sort(
        key=lambda p: (round(p[0] ** 2 + p[1] ** 2, 3), round(np.arctan2(p[1], p[0]) % (2 * np.pi), 6))
    )
    return tuple((round(x, 3), round(y, 3)) for x, y in points[:count])


def plan_cells(count: int, newcomer: str) -> tuple[Cell, ...]:
    """`count` cells and then a new one; every third is a street cell at 28 GHz, unlike its neighbours."""
    names = [f"cell-{i + 1}" for i in range(count)] + [newcomer]
    street = [i for i in range(count) if i % 3 == 2]
    macro_sites = hexagonal_sites(max(7, len(names) - len(street)), MACRO.site_distance_m)
    street_sites = hexagonal_sites(max(7, len(street)), STREET.site_distance_m)
    cells = []
    for i, name in enumerate(names):
        if i in street:
            cells.append(Cell(name, STREET, street_sites, street.index(i)))
        else:
            cells.append(Cell(name, MACRO, macro_sites, i - sum(s < i for s in street)))
    return tuple(cells)


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """The obstacles of one layer: per site a field for each condition and one that decides the condition."""

    common: Field
    los: tuple[Field, ...]
    nlos: tuple[Field, ...]
    condition: tuple[Field, ...]


def draw_streets(layer: Layer, sites: int, rng: np.random.Generator) -> Streets:
    """Fresh obstacles for every site of a layer."""
    s = layer.scenario
    return Streets(
        common=draw_field(s.nlos_correlation_m, rng),
        los=tuple(draw_field(s.los_correlation_m, rng) for _ in range(sites)),
        nlos=tuple(draw_field(s.nlos_correlation_m, rng) for _ in range(sites)),
        condition=tuple(draw_field(s.condition_correlation_m, rng) for _ in range(sites)),
    )


def _received(
    cell: Cell, streets: Streets, site: int, positions: Floats, common: Floats
) -> tuple[Floats, Flags]:
    layer = cell.layer
    plane, height = positions[:, :2], positions[:, 2]
    distance = np.maximum(np.hypot(*(plane - np.array(cell.sites[site])).T), 10.0)
    luck = uniform_from_normal(streets.condition[site].at(plane))
    is_los = luck < los_probability(layer.scenario, distance, height)
    own, spread = np.empty_like(distance), np.empty_like(distance)
    own[is_los], spread[is_los] = streets.los[site].at(plane[is_los]), layer.scenario.los_shadowing_db
    own[~is_los], spread[~is_los] = streets.nlos[site].at(plane[~is_los]), layer.scenario.nlos_shadowing_db
    shadow = spread * mix(common, own, SITE_CORRELATION)
    loss = path_loss_db(
        layer.scenario, distance, ut_height_m=height, carrier_hz=layer.carrier_hz, is_los=is_los
    )
    return layer.transmit_dbm - loss - shadow, is_los


def measure(cell: Cell, streets: Streets, device: str, positions: Floats) -> Track:
    """The reports of a device at the given positions: serving RSRP and SINR with every other cell's power."""
    common = streets.common.at(positions[:, :2])
    heard = [_received(cell, streets, i, positions, common) for i in range(len(cell.sites))]
    received = np.stack([power for power, _ in heard], axis=1)
    return track_of(cell, device, positions, heard[cell.index][1], received)


def track_of(cell: Cell, device: str, positions: Floats, is_los: Flags, received: Floats) -> Track:
    """The track that the powers received from every site (a column each, in dBm) amount to."""
    noise = thermal_noise_dbm(cell.layer.bandwidth_hz, cell.layer.noise_figure_db)
    return Track(
        device=device,
        positions_m=positions,
        is_los=is_los,
        rsrp_dbm=received[:, cell.index] - 10.0 * np.log10(subcarriers(cell.layer.bandwidth_hz)),
        sinr_db=sinr_db(received, cell.index, noise, INTERFERENCE_LOAD),
    )


def draw_walkers(cell: Cell, devices: int, rng: np.random.Generator) -> tuple[Walker, ...]:
    """Devices of unlike habits: each keeps to its own neighbourhood, one in three drives."""
    x, y = cell.site
    reach = cell.layer.site_distance_m / 2
    walkers = []
    for i in range(devices):
        radius, angle = reach * np.sqrt(rng.uniform(0.01, 1.0)), rng.uniform(0.0, 2.0 * np.pi)
        walkers.append(
            Walker(
                home_x_m=x + radius * np.cos(angle),
                home_y_m=y + radius * np.sin(angle),
                roam_m=reach * rng.uniform(0.2, 0.6),
                speed_m_s=12.0 if i % 3 == 2 else 1.4,
                height_m=1.5,
            )
        )
    return tuple(walkers)


@dataclass(frozen=True, slots=True)
class BuiltinSource:
    """The numpy simulator of this package."""

    mean_samples: int = 180

    @property
    def channel_model(self) -> str:
        """The propagation model, as manifests name it."""
        return "3GPP TR 38.901"

    def tracks(self, cell: Cell, devices: int, seed: int) -> tuple[Track, ...]:
        """Non-IID tracks: the devices differ in place, speed and number of reports."""
        rng = np.random.default_rng([seed, *cell.name.encode()])
        streets = draw_streets(cell.layer, len(cell.sites), rng)
        tracks = []
        for i, walker in enumerate(draw_walkers(cell, devices, rng)):
            steps = int(self.mean_samples * rng.uniform(0.5, 1.5))
            way = walk(walker, steps, STEP_S, rng)
            tracks.append(measure(cell, streets, f"ue-{i + 1:02d}", way))
        return tuple(tracks)
