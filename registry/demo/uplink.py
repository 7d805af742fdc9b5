"""The lossy uplink over which a device sends its model update.

An update of u bits over throughput Γ takes u/Γ seconds. The sender knows its mean SNR but not the fading,
so it spends only a share of the capacity; when a Rayleigh fade is deeper than that margin, the attempt is
lost and repeated, and after the last attempt or the round's deadline the device is absent from the round.
"""

from dataclasses import dataclass

import numpy as np

from registry.demo.radio import thermal_noise_dbm


@dataclass(frozen=True, slots=True)
class Uplink:
    """The terms of transmission that all devices of a cell share."""

    bandwidth_hz: float = 360e3
    transmit_dbm: float = 23.0
    noise_figure_db: float = 5.0
    interference_margin_db: float = 12.0
    capacity_share: float = 0.5
    attempts: int = 3
    deadline_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one update."""

    has_arrived: bool
    attempts: int
    seconds: float


def snr(uplink: Uplink, path_gain_db: float) -> float:
    """The mean signal-to-noise ratio at the base station, linear."""
    noise = thermal_noise_dbm(uplink.bandwidth_hz, uplink.noise_figure_db) + uplink.interference_margin_db
    return float(10.0 ** ((uplink.transmit_dbm + path_gain_db - noise) / 10.0))


def throughput_bps(uplink: Uplink, mean_snr: float) -> float:
    """Γ: the share of Shannon's capacity that the sender dares to use."""
    return float(uplink.capacity_share * uplink.bandwidth_hz * np.log2(1.0 + mean_snr))


def loss_probability(uplink: Uplink, mean_snr: float) -> float:
    """The probability that a Rayleigh fade leaves less capacity than was used."""
    needed = (1.0 + mean_snr) ** uplink.capacity_share - 1.0
    return float(1.0 - np.exp(-needed / mean_snr))


def send(uplink: Uplink, bits: int, mean_snr: float, rng: np.random.Generator) -> Delivery:
    """Send an update until it arrives, attempts run out, or the round is over."""
    each_s = bits / throughput_bps(uplink, mean_snr)
    possible = min(uplink.attempts, int(uplink.deadline_s / each_s))
    lost = rng.random(uplink.attempts) < loss_probability(uplink, mean_snr)
    for attempt in range(1, possible + 1):
        if not lost[attempt - 1]:
            return Delivery(True, attempt, attempt * each_s)
    return Delivery(False, possible, min(possible * each_s, uplink.deadline_s))
