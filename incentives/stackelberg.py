"""Stackelberg pricing of local accuracy: a server posts one reward rate, devices answer (Pandey et al.) [M].

theta in (0, 1] is a device's relative local accuracy, small = more local work; A its weighted communication
cost, B its weighted cost of one unit of ln 1/theta, r the reward per unit of 1 - theta.

    device   u = r (1 - theta) - (1 + theta) (A + B ln 1/theta)
    server   U = beta (1 - 10^-(a x + b)) - r sum (1 - theta_k),   x = delta (1 - max theta_k)

>>> device = Device(communication=0.3, computation=0.5)
>>> round(best_response(device, reward=2.37733986), 6)
0.161937
>>> pay(3 * 10**18, theta_ppm(loss_before=900_000, loss_after=300_000))
2000001000000000000
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from incentives.roots import best_point
from registry.errors import Malformed

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Device:
    """A device's costs A >= 0 and B > 0, money."""

    communication: float
    computation: float

    def __post_init__(self) -> None:
        if not (self.communication >= 0 and self.computation > 0):
            raise Malformed(
                f"a device needs A >= 0 and B > 0, got {self.communication} and {self.computation}",
                field="A_B",
            )


@dataclass(frozen=True, slots=True)
class Server:
    """The leader's value of accuracy and its limits on rate, accuracy and number of devices."""

    beta: float
    a: float
    b: float
    delta: float
    theta_max: float
    reward_max: float
    k_min: int

    def value(self, worst_theta: float) -> float:
        """beta (1 - 10^-(a x + b)): concave in the rounds that the slowest device allows."""
        return self.beta * (1 - 10 ** -(self.a * self.delta * (1 - worst_theta) + self.b))


@dataclass(frozen=True, slots=True)
class Hire:
    """One device that joins at the posted rate."""

    index: int
    theta: float
    payment: float
    utility: float


@dataclass(frozen=True, slots=True)
class Posted:
    """The leader's best rate, its utility, and who joins."""

    reward: float
    server_utility: float
    hired: tuple[Hire, ...]


def best_response(device: Device, reward: float) -> float:
    """The device's unique best theta: -1/W_{-1}(-e^-g) with g = (r+A)/B - 1, and 1 where g <= 1."""
    g = (reward + device.communication) / device.computation - 1
    return float(_theta(np.array([g]))[0])


def _theta(g: NDArray[np.float64]) -> NDArray[np.float64]:
    """1/y with y - ln y = g, y >= 1, for every g; 1 where g <= 1.

    Newton on t = y - 1 from sqrt(2d) + d, an upper bound of the root: the function is convex, so each
    step stays above it. This is Lambert's branch W_{-1} without its underflow for large g.
    """
    d = np.maximum(g - 1, 0.0)
    t = np.sqrt(2 * d) + d
    solved = t > 0
    for _ in range(60):
        # Near zero t - ln(1+t) has no digits left and t = sqrt(2d) is exact to them.
        step = np.divide((t - np.log1p(t) - d) * (1 + t), t, out=np.zeros_like(t), where=solved & (t > 1e-5))
        t = t - step
        if np.all(np.abs(step) <= 1e-15 * (1 + t)):
            break
    return np.asarray(1 / (1 + t), dtype=np.float64)


def utility(device: Device, reward: float, theta: float) -> float:
    """Reward minus cost at any theta."""
    cost = device.communication - device.computation * math.log(theta)
    return reward * (1 - theta) - (1 + theta) * cost


def reward_for(device: Device, theta: float) -> float:
    """r(theta) = B (1/theta + ln theta + 1) - A: the rate whose best response is `theta`."""
    return device.computation * (1 / theta + math.log(theta) + 1) - device.communication


def participation(device: Device) -> tuple[float, float]:
    """(r0, theta0): the least rate at which the device joins, and its accuracy there.

    B (1/theta - theta + 2 ln theta) = 2A is sinh s - s = A/B in s = ln 1/theta.
    """
    s = _sinh_excess_root(device.communication / device.computation)
    theta = math.exp(-s)
    return device.computation * (math.exp(s) - s + 1) - device.communication, theta


def _sinh_excess_root(q: float) -> float:
    """s >= 0 with sinh s - s = q, by Newton from above (the function is convex)."""
    s = math.log(4 * q) if q > 3 else math.cbrt(6 * q)
    for _ in range(100):
        if s == 0:
            return 0.0
        excess = s**3 / 6 * (1 + s * s / 20 * (1 + s * s / 42 * (1 + s * s / 72)))
        step = ((excess if s < 0.5 else math.sinh(s) - s) - q) / (2 * math.sinh(s / 2) ** 2)
        s -= step
        if abs(step) <= 1e-15 * s:
            break
    return s


def post_reward(server: Server, devices: Sequence[Device]) -> Posted:
    """The leader's best rate up to `reward_max` that at least `k_min` devices accept.

    A device joins from e_k = max(r0, r(theta_max)) on. Between sorted entry points the leader's utility is
    smooth, so each stretch is searched alone; an entry point itself hires its device. x depends on the
    worst theta only, so with k_min = 1 the leader hires few: k_min is the sponsor's to choose.
    """
    entries = [entry_point(server, d) for d in devices]
    points = sorted({e for e in entries if e <= server.reward_max})
    order = sorted(range(len(devices)), key=lambda k: entries[k])
    best: tuple[float, float] | None = (server.value(1.0), 0.0) if server.k_min <= 0 else None
    # A stretch ends just before the next device must be paid too.
    ends = [math.nextafter(p, 0.0) for p in points[1:]] + [server.reward_max]
    for point, end in zip(points, ends, strict=False):
        hired = [devices[k] for k in order if entries[k] <= point]
        if len(hired) < server.k_min:
            continue
        stretch = _Stretch.of(server, hired)
        if best is None or stretch.bound(point, end) > best[0]:
            found = stretch.best(point, max(point, end))
            best = found if best is None else max(best, found, key=lambda pair: pair[0])
    if best is None:
        raise Malformed(
            f"no rate up to {server.reward_max} brings {server.k_min} devices", field="r_max or k_min"
        )
    return _posted(server, devices, entries, best[1])


def entry_point(server: Server, device: Device) -> float:
    """The rate from which a device both gains by joining and works to theta_max or better."""
    return max(participation(device)[0], reward_for(device, server.theta_max))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The leader's utility while exactly these devices are hired."""

    server: Server
    a: NDArray[np.float64]
    b: NDArray[np.float64]

    @classmethod
    def of(cls, server: Server, hired: Sequence[Device]) -> "_Stretch":
        a, b = (
            np.array(column)
            for column in zip(*((d.communication, d.computation) for d in hired), strict=True)
        )
        return cls(server, a, b)

    def parts(self, reward: float) -> tuple[float, float]:
        """(value, spend) at a rate; both rise with it."""
        theta = _theta((reward + self.a) / self.b - 1)
        return self.server.value(float(theta.max())), reward * float((1 - theta).sum())

    def gain(self, reward: float) -> float:
        value, spend = self.parts(reward)
        return value - spend

    def bound(self, low: float, high: float) -> float:
        """No rate in [low, high] is worth more: the value at the end less the spend at the start."""
        return self.parts(high)[0] - self.parts(low)[1]

    def best(self, low: float, high: float) -> tuple[float, float]:
        """(U, r) of the best rate in [low, high]."""
        return best_point(self.gain, low, high)


def _posted(server: Server, devices: Sequence[Device], entries: Sequence[float], reward: float) -> Posted:
    hired = []
    for k, device in enumerate(devices):
        if entries[k] <= reward:
            theta = best_response(device, reward)
            hired.append(Hire(k, theta, reward * (1 - theta), utility(device, reward, theta)))
    worst = max((h.theta for h in hired), default=1.0)
    return Posted(reward, server.value(worst) - sum(h.payment for h in hired), tuple(hired))


def theta_ppm(*, loss_before: int, loss_after: int) -> int:
    """min(10^6, floor(10^6 after / before)) from losses in micro-units; no loss before gives 10^6."""
    if loss_before < 0 or loss_after < 0:
        raise Malformed(f"a loss cannot be negative: {loss_before}, {loss_after}", field="loss")
    return PPM if loss_before == 0 else min(PPM, PPM * loss_after // loss_before)


def pay(rate: int, theta: int) -> int:
    """floor(rate (10^6 - theta) / 10^6) wei for a device that reached `theta` ppm."""
    if rate < 0 or not 0 <= theta <= PPM:
        raise Malformed(f"no payment for rate {rate} wei at theta {theta} ppm", field="theta_ppm")
    return rate * (PPM - theta) // PPM
