"""Reading JSON inputs by name: what cannot be read is Malformed and names the offending field.

>>> Fields({"T": 5, "B": True}).integer("B", low=1)
Traceback (most recent call last):
registry.errors.Malformed: B must be an integer, got True
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from registry.errors import Malformed

_T = TypeVar("_T")
_EXACT = 2**53  # the largest magnitude at which every integral float is an integer


class Fields:
    """A JSON object whose members are read one by one; `path` is what its parent calls it."""

    def __init__(self, inputs: object, path: str = "") -> None:
        if not isinstance(inputs, Mapping):
            raise Malformed(f"{path or 'the input'} must be an object, got {shown(inputs)}", field=path)
        self._inputs = inputs
        self._path = f"{path}." if path else ""
        self._asked: set[str] = set()

    def value(self, name: str) -> object:
        """The raw member `name`."""
        self._asked.add(name)
        if name not in self._inputs:
            raise Malformed(f"{self._path}{name} is missing", field=self._path + name)
        return self._inputs[name]

    def end(self, *idle: str) -> None:
        """Refuse a member that nothing asked for and that is not in `idle`: it may be a misspelt one."""
        for name in self._inputs:
            if name not in self._asked and name not in idle:
                path = self._path + shown(name)
                raise Malformed(f"{path} is no field here", field=path)

    def number(self, name: str, *, low: float = -math.inf, above: float | None = None) -> float:
        """A finite number, at least `low` and, when given, more than `above`."""
        return number(self.value(name), self._path + name, low=low, above=above)

    def integer(self, name: str, *, low: int | None = None, high: int | None = None) -> int:
        """An integer within `low` and `high`."""
        return integer(self.value(name), self._path + name, low=low, high=high)

    def text(self, name: str) -> str:
        return text(self.value(name), self._path + name)

    def nested(self, name: str) -> "Fields":
        return Fields(self.value(name), self._path + name)

    def items(self, name: str, read: Callable[[object, str], _T]) -> list[_T]:
        """A list, each element read by `read(value, its path)`."""
        path = self._path + name
        return [read(value, f"{path}[{k}]") for k, value in enumerate(elements(self.value(name), path))]

    def named(self, name: str, read: Callable[[object, str], _T]) -> dict[str, _T]:
        """An object used as a table, each value read by `read(value, its path)`."""
        raw = Fields(self.value(name), self._path + name)._inputs
        return {text(k, self._path + name): read(v, f"{self._path}{name}.{k}") for k, v in raw.items()}


def elements(value: object, path: str, *, count: int | None = None) -> Sequence[object]:
    """A list, of exactly `count` elements when given."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise Malformed(f"{path} must be a list, got {shown(value)}", field=path)
    if count is not None and len(value) != count:
        raise Malformed(f"{path} must have {count} elements, got {len(value)}", field=path)
    return value


def number(value: object, path: str, *, low: float = -math.inf, above: float | None = None) -> float:
    """A finite number; booleans and strings are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{path} must be a number, got {shown(value)}", field=path)
    try:
        found = float(value)
    except OverflowError as e:
        raise Malformed(f"{path} is beyond floating point", field=path) from e
    if not math.isfinite(found):
        raise Malformed(f"{path} must be finite, got {value}", field=path)
    if found < low or (above is not None and found <= above):
        bound = f"more than {above}" if above is not None and found <= above else f"at least {low}"
        raise Malformed(f"{path} must be {bound}, got {value}", field=path)
    return found + 0.0  # -0.0 is 0, in what is printed too


def integer(value: object, path: str, *, low: int | None = None, high: int | None = None) -> int:
    """An integer of any size; 5.0 is one too, as in JSON Schema."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"{path} must be an integer, got {shown(value)}", field=path)
    if low is not None and value < low:
        raise Malformed(f"{path} must be at least {low}, got {shown(value)}", field=path)
    if high is not None and value > high:
        raise Malformed(f"{path} must be at most {high}, got {shown(value)}", field=path)
    return value


def text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{path} must be a string, got {shown(value)}", field=path)
    return value


def decimal(value: object, path: str) -> Fraction:
    """The exact value of a number as it is written, so 0.7 - 0.1 equals 0.6 and ties are ties."""
    number(value, path)
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def shown(value: object) -> str:
    """The value for a message, cut to a line."""
    try:
        told = repr(value)
    except ValueError:  # an int with more digits than Python prints
        return "an integer of too many digits"
    return told if len(told) <= 60 else told[:57] + "..."
