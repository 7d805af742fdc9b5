"""Reputation of devices by weighted subjective logic (Kang et al., IoT-J) [M].

    alpha = w_p pos, beta = w_n neg, belief = (1 - u) alpha/(alpha + beta), reputation = belief + a u

u is the uncertainty of the opinion and a the prior. Without evidence u is 1, so the reputation is a.

>>> round(reputation(Opinion(positive=12, negative=2, uncertainty=0.1, prior=0.5), weights=(0.4, 0.6)), 9)
0.77
"""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.errors import Malformed

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Opinion:
    """Counts of good and bad rounds, how uncertain they leave us (0..1), and the prior (0..1)."""

    positive: float
    negative: float
    uncertainty: float
    prior: float

    def __post_init__(self) -> None:
        if self.positive < 0 or self.negative < 0:
            raise Malformed(
                f"counts cannot be negative: {self.positive}, {self.negative}", field="pos or neg"
            )
        if not (0 <= self.uncertainty <= 1 and 0 <= self.prior <= 1):
            raise Malformed(f"u {self.uncertainty} and a {self.prior} are not within 0 and 1", field="u or a")


def reputation(opinion: Opinion, *, weights: tuple[float, float]) -> float:
    """Belief plus the prior's share of the uncertainty; `weights` are (w_p, w_n)."""
    alpha, beta = weights[0] * opinion.positive, weights[1] * opinion.negative
    if alpha + beta == 0:
        return opinion.prior
    return (1 - opinion.uncertainty) * alpha / (alpha + beta) + opinion.prior * opinion.uncertainty


def reputation_ppm(
    positive: int, negative: int, *, u_ppm: int, prior_ppm: int, weights: tuple[int, int]
) -> int:
    """`reputation` on integers, floored to ppm: what a live gate compares with its threshold.

    >>> reputation_ppm(12, 2, u_ppm=100_000, prior_ppm=500_000, weights=(4, 6))
    770000
    """
    alpha, beta = weights[0] * positive, weights[1] * negative
    if alpha + beta == 0:
        return prior_ppm
    share = (PPM - u_ppm) * alpha * PPM + prior_ppm * u_ppm * (alpha + beta)
    return share // (PPM * (alpha + beta))


def combined(reputations: Sequence[tuple[float, float]]) -> float:
    """Direct and peer reputations (value, freshness) averaged by freshness.

    >>> combined([(0.9, 3.0), (0.5, 1.0)])
    0.8
    """
    total = sum(freshness for _, freshness in reputations)
    if total <= 0:
        raise Malformed("reputations without any freshness have no average", field="freshness")
    return sum(value * freshness for value, freshness in reputations) / total


def admitted(reputation_of: dict[str, int], *, threshold_ppm: int) -> tuple[str, ...]:
    """The devices that may pick an item of the menu, in the order given."""
    return tuple(device for device, ppm in reputation_of.items() if ppm >= threshold_ppm)
