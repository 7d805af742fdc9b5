"""The zero of an increasing function and the top of a smooth one: how first-order conditions are solved.

>>> round(increasing_zero(lambda x: x * x - 2, 0, 2), 9)
1.414213562
>>> increasing_zero(lambda x: x + 1, 0, 2)  # already positive: the corner is the answer
0
"""

import math
import sys
from collections.abc import Callable

_PRECISION = 2 * sys.float_info.epsilon
_GRID = 48
_SHRINK = (math.sqrt(5) - 1) / 2


def increasing_zero(f: Callable[[float], float], low: float, high: float) -> float:
    """The zero of an increasing `f`, or the end of [low, high] nearest to it.

    Chandrupatla's bracketing method: inverse quadratic steps, bisection where they would be unsafe.
    """
    at_low, at_high = f(low), f(high)
    if at_low >= 0:
        return low
    if at_high <= 0:
        return high
    a, fa, b, fb, step = low, at_low, high, at_high, 0.5
    while True:
        x = a + step * (b - a)
        fx = f(x)
        if (fx < 0) == (fa < 0):
            c, fc = a, fa
        else:
            c, fc, b, fb = b, fb, a, fa
        a, fa = x, fx
        best, f_best = (a, fa) if abs(fa) < abs(fb) else (b, fb)
        floor = (_PRECISION * abs(best) + sys.float_info.min) / abs(b - a)
        if f_best == 0 or floor > 0.5:
            return best
        step = min(1 - floor, max(floor, _interpolate(a, fa, b, fb, c, fc)))


def best_point(f: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """(value, point) of the largest `f` in [low, high]: a grid brackets it, golden section refines it."""
    grid = [low + (high - low) * (k / _GRID) for k in range(_GRID)] + [high]
    values = [f(x) for x in grid]
    top = max(range(len(grid)), key=lambda k: values[k])
    left, right = grid[max(0, top - 1)], grid[min(_GRID, top + 1)]
    while right - left > 1e-11 * (1 + right):
        c, d = right - _SHRINK * (right - left), left + _SHRINK * (right - left)
        left, right = (left, d) if f(c) >= f(d) else (c, right)
    middle = (left + right) / 2
    return max((values[top], grid[top]), (f(middle), middle))


def _interpolate(a: float, fa: float, b: float, fb: float, c: float, fc: float) -> float:
    """The next point as a share of b - a: quadratic where that stays inside the bracket, else the middle."""
    xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
    if phi * phi < xi and (1 - phi) * (1 - phi) < 1 - xi:
        return fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    return 0.5
