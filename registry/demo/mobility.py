"""Devices that move: random waypoints inside the neighbourhood a device keeps to."""

from dataclasses import dataclass

import numpy as np

from registry.demo.radio import Floats


@dataclass(frozen=True, slots=True)
class Walker:
    """A device's habits: where it roams, how fast, and at which height it is held."""

    home_x_m: float
    home_y_m: float
    roam_m: float
    speed_m_s: float
    height_m: float


def _point_near(walker: Walker, rng: np.random.Generator) -> Floats:
    radius = walker.roam_m * np.sqrt(rng.random())
    angle = rng.uniform(0.0, 2.0 * np.pi)
    return np.array([walker.home_x_m + radius * np.cos(angle), walker.home_y_m + radius * np.sin(angle)])


def walk(walker: Walker, steps: int, step_s: float, rng: np.random.Generator) -> Floats:
    """Positions (x, y, z) every `step_s`: straight to a random waypoint, then on to the next."""
    here = _point_near(walker, rng)
    goal = _point_near(walker, rng)
    path = np.empty((steps, 3))
    for i in range(steps):
        path[i] = (here[0], here[1], walker.height_m)
        left = walker.speed_m_s * step_s
        while (gap := float(np.hypot(*(goal - here)))) < left:
            here, goal, left = goal, _point_near(walker, rng), left - gap
        here = here + (goal - here) * (left / gap)
    return path
