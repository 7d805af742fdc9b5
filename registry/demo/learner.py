"""A small neural twin: an MLP that predicts a device's RSRP and SINR from where it is.

The parameters are one flat vector, so averaging, noise and digests are vector operations. Inputs and outputs
are scaled by constants and never by a cell's own statistics: only so can one cell's twin serve another.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from registry.demo.radio import SCENARIOS, Floats, distance_3d_m
from registry.demo.world import Cell, Track

INPUTS = (
    "log_distance",
    "los",
    "log_distance_if_los",
    "east",
    "north",
    "log_interferer_1",
    "log_interferer_2",
)
OUTPUTS = ("rsrp_dbm", "sinr_db")
SIZES = (len(INPUTS), 24, 16, len(OUTPUTS))
OUTPUT_CENTRE = np.array([-95.0, 5.0])
OUTPUT_SPREAD = np.array([20.0, 15.0])
ADAM_MEAN, ADAM_SQUARE, ADAM_FLOOR = 0.9, 0.99, 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Scaled inputs and outputs, one row per measurement."""

    inputs: Floats
    outputs: Floats

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """The network: layer sizes and every weight and bias in one vector."""

    sizes: tuple[int, ...]
    theta: Floats


def parameter_count(sizes: tuple[int, ...]) -> int:
    """How many numbers a network of these sizes holds."""
    return sum(m * n + n for m, n in pairwise(sizes))


def layers(twin: Twin) -> list[tuple[Floats, Floats]]:
    """The weight matrix and bias of each layer, as views into the vector."""
    parts, start = [], 0
    for m, n in pairwise(twin.sizes):
        weight = twin.theta[start : start + m * n].reshape(m, n)
        bias = twin.theta[start + m * n : start + m * n + n]
        parts.append((weight, bias))
        start += m * n + n
    return parts


def draw_twin(rng: np.random.Generator, sizes: tuple[int, ...] = SIZES) -> Twin:
    """A fresh network with Glorot weights and zero biases."""
    parts = []
    for m, n in pairwise(sizes):
        parts += [rng.standard_normal(m * n) * np.sqrt(2.0 / (m + n)), np.zeros(n)]
    return Twin(sizes, np.concatenate(parts))


def samples_of(cell: Cell, track: Track) -> Samples:
    """The training rows of one track: geometry in, radio out."""
    scenario = SCENARIOS[cell.layer.scenario.name]
    plane, height = track.positions_m[:, :2], track.positions_m[:, 2]
    distances = np.stack([np.hypot(*(plane - np.array(s)).T) for s in cell.sites], axis=1)
    own = np.log10(distance_3d_m(scenario, distances[:, cell.index], height) / 100.0)
    others = np.sort(np.delete(distances, cell.index, axis=1), axis=1)[:, :2]
    away = (plane - np.array(cell.site)) / cell.layer.site_distance_m
    los = track.is_los.astype(np.float64)
    inputs = np.column_stack([own, los, own * los, away, np.log10(others / 100.0)])
    outputs = (np.column_stack([track.rsrp_dbm, track.sinr_db]) - OUTPUT_CENTRE) / OUTPUT_SPREAD
    return Samples(inputs, outputs)


def _activations(twin: Twin, inputs: Floats) -> list[Floats]:
    values = [inputs]
    parts = layers(twin)
    for weight, bias in parts[:-1]:
        values.append(np.tanh(values[-1] @ weight + bias))
    weight, bias = parts[-1]
    return [*values, values[-1] @ weight + bias]


def predict(twin: Twin, inputs: Floats) -> Floats:
    """RSRP in dBm and SINR in dB for scaled inputs."""
    return np.asarray(_activations(twin, inputs)[-1] * OUTPUT_SPREAD + OUTPUT_CENTRE, dtype=np.float64)


def error_db(twin: Twin, samples: Samples) -> float:
    """The root mean square error over both outputs, in dB."""
    truth = samples.outputs * OUTPUT_SPREAD + OUTPUT_CENTRE
    return float(np.sqrt(np.mean((predict(twin, samples.inputs) - truth) ** 2)))


def _backward(twin: Twin, samples: Samples) -> list[tuple[Floats, Floats]]:
    """Per layer its input and the slope of half the squared error at its output, one row per sample."""
    values = _activations(twin, samples.inputs)
    delta = values[-1] - samples.outputs
    steps = []
    for (weight, _), value in zip(reversed(layers(twin)), reversed(values[:-1]), strict=True):
        steps.append((value, delta))
        delta = (delta @ weight.T) * (1.0 - value**2)
    return steps[::-1]


def gradient(twin: Twin, samples: Samples) -> Floats:
    """The mean loss's gradient as a flat vector."""
    parts = []
    for value, delta in _backward(twin, samples):
        parts += [(value.T @ delta).ravel(), delta.sum(axis=0)]
    return np.concatenate(parts) / len(samples)


def clipped_gradient_sum(twin: Twin, samples: Samples, clip: float) -> Floats:
    """The sum of the samples' gradients after each was scaled to a norm of at most `clip`."""
    steps = _backward(twin, samples)
    # A layer's gradient for one sample is an outer product, so its norm needs no per-sample matrix.
    squares = sum((1.0 + np.sum(v**2, axis=1)) * np.sum(d**2, axis=1) for v, d in steps)
    scale = np.minimum(1.0, clip / np.maximum(np.sqrt(squares), 1e-12))[:, None]
    parts = []
    for value, delta in steps:
        shrunk = delta * scale
        parts += [(value.T @ shrunk).ravel(), shrunk.sum(axis=0)]
    return np.concatenate(parts)


@dataclass(slots=True)
class Adam:
    """Adam's running moments for one local training; a round starts with fresh ones."""

    rate: float
    mean: Floats
    square: Floats
    step: int = 0

    def move(self, theta: Floats, slope: Floats) -> Floats:
        """The parameters after one step down the slope."""
        self.step += 1
        self.mean = ADAM_MEAN * self.mean + (1 - ADAM_MEAN) * slope
        self.square = ADAM_SQUARE * self.square + (1 - ADAM_SQUARE) * slope**2
        mean = self.mean / (1 - ADAM_MEAN**self.step)
        square = self.square / (1 - ADAM_SQUARE**self.step)
        return np.asarray(theta - self.rate * mean / (np.sqrt(square) + ADAM_FLOOR), dtype=np.float64)
