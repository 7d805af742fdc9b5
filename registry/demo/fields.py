"""Spatially correlated Gaussian fields: what one street has in common with the next.

TR 38.901 clause 7.4.4 correlates shadowing as exp(-distance / d_cor). Such a field is the sum of plane waves
whose wave vectors follow the spectral density of that correlation, in two dimensions a Cauchy law with
scale 1 / d_cor. The sum can be evaluated anywhere, so a device that comes back meets the same shadow.
"""

from dataclasses import dataclass
from math import erf

import numpy as np

from registry.demo.radio import Floats

PLANE_WAVES = 128


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A standard normal value at every point of the plane."""

    wave_vectors: Floats
    phases: Floats

    def at(self, points: Floats) -> Floats:
        """The field at points given as rows of x and y."""
        angles = points @ self.wave_vectors.T + self.phases
        return np.asarray(np.sqrt(2.0 / len(self.phases)) * np.cos(angles).sum(axis=1), dtype=np.float64)


def draw_field(correlation_m: float, rng: np.random.Generator) -> Field:
    """One field whose correlation over a distance d is exp(-d / correlation_m)."""
    direction = rng.standard_normal((PLANE_WAVES, 2))
    spread = np.abs(rng.standard_normal((PLANE_WAVES, 1)))
    return Field(direction / spread / correlation_m, rng.uniform(0.0, 2.0 * np.pi, PLANE_WAVES))


def mix(common: Floats, own: Floats, correlation: float) -> Floats:
    """A value that shares `correlation` of its variance with every other value of the same common part."""
    return np.asarray(np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own, dtype=np.float64)


def uniform_from_normal(values: Floats) -> Floats:
    """Each standard normal value's place in its distribution, from 0 to 1."""
    return np.array([0.5 * (1.0 + erf(v / 2.0**0.5)) for v in values])
