"""Reading JSON into typed values, one place at a time.

Every refusal names the place (`files[3].path`), the value and the rule. A member that the schema does not
know is refused, so a typing error cannot become a silent absence.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from registry.core.ids import parse_hex32
from registry.errors import InvalidManifest, Malformed

T = TypeVar("T")
SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 32
# Unicode's category Cc, which no later version may extend.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


# Not frozen, and neither are Members: a frozen one takes three times as long to make, and these are looked at
# once and dropped, twenty of each manifest.
@dataclass(slots=True)
class Node:
    """A JSON value and where it stands."""

    place: str
    value: object

    def refuse(self, rule: str) -> InvalidManifest:
        """The error that says what is wrong here."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return InvalidManifest(f"{self.place or 'the manifest'} is {shown}: {rule}")

    def text(self, longest: int = 256) -> str:
        """One line of 1 to `longest` characters without control characters."""
        value = self.value
        if type(value) is str and 0 < len(value) <= longest and not _CONTROL.search(value):
            return value
        self.prose(longest)  # raises where it is no text at all, or too long
        raise self.refuse("it must be one line of text, not empty")

    def prose(self, longest: int) -> str:
        """Any text of at most `longest` characters, without NUL."""
        if type(self.value) is not str or "\0" in self.value:
            raise self.refuse("it must be text")
        if len(self.value) > longest:
            raise self.refuse(f"it has {len(self.value)} characters, the limit is {longest}")
        return self.value

    def one_of(self, *allowed: str) -> str:
        """One of the words that the schema lists."""
        if type(self.value) is not str or self.value not in allowed:
            raise self.refuse(f"it must be one of {', '.join(allowed)}")
        return self.value

    def checked(self, read: Callable[[str], T]) -> T:
        """What `read` makes of the text; its Malformed is told with the place."""
        text = self.text(4096)
        try:
            return read(text)
        except Malformed as e:
            raise InvalidManifest(f"{self.place}: {e.message}", hint=e.hint) from e

    def hex32(self) -> bytes:
        """32 bytes as 0x and lower-case hex."""
        return self.checked(parse_hex32)

    def integer(self, low: int = 0, high: int = SAFE_INTEGER) -> int:
        """A whole number within the limits."""
        if type(self.value) is not int or not low <= self.value <= high:
            raise self.refuse(f"it must be a whole number from {low} to {high}")
        return self.value

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number within the limits."""
        if type(self.value) not in (int, float):
            raise self.refuse("it must be a number")
        value = float(self.value)  # type: ignore[arg-type]
        if not math.isfinite(value) or not low <= value <= high:
            raise self.refuse(f"it must be a finite number from {low} to {high}")
        return value

    def positive(self) -> float:
        """A finite number above zero."""
        value = self.number()
        if value <= 0:
            raise self.refuse("it must be above zero")
        return value

    def items(self, read: Callable[["Node"], T], *, most: int, least: int = 0) -> tuple[T, ...]:
        """A list, each item read by `read`; the same item twice is refused."""
        if type(self.value) is not list or not least <= len(self.value) <= most:
            raise self.refuse(f"it must be a list of {least} to {most} items")
        found = tuple(read(Node(f"{self.place}[{i}]", item)) for i, item in enumerate(self.value))
        if len(found) > 1 and len(set(found)) != len(found):
            raise self.refuse("an item occurs twice")
        return found

    def members(self, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> "Members":
        """An object with these members and no others."""
        if type(self.value) is not dict:
            raise self.refuse("it must be an object")
        known = _known(required, optional)
        if not self.value.keys() <= known:
            name = min(self.value.keys() - known)
            raise InvalidManifest(
                f"{self.place or 'the manifest'} has the unknown member {name[:80]!r}",
                hint="put what the schema does not know under x",
            )
        missing = [name for name in required if name not in self.value]
        if missing:
            raise InvalidManifest(f"{self.place or 'the manifest'} lacks {', '.join(missing)}")
        return Members(self.place, self.value)

    def entries(self, most: int) -> Iterator[tuple[str, "Node"]]:
        """The members of an object whose names the submitter chooses, in order of name."""
        if type(self.value) is not dict or len(self.value) > most:
            raise self.refuse(f"it must be an object of at most {most} members")
        for name in sorted(self.value):
            yield name, Node(f"{self.place}.{name}", self.value[name])

    def open_object(self) -> dict[str, object]:
        """An object that is signed and not interpreted; only its depth is limited."""
        if type(self.value) is not dict or _depth(self.value, MAX_DEPTH) > MAX_DEPTH:
            raise self.refuse(f"it must be an object at most {MAX_DEPTH} levels deep")
        return self.value


@dataclass(slots=True)
class Members:
    """The members of an object whose names were checked."""

    place: str
    values: dict[str, object]

    def need(self, name: str, read: Callable[[Node], T]) -> T:
        """A member that is there."""
        return read(Node(f"{self.place}.{name}" if self.place else name, self.values[name]))

    def find(self, name: str, read: Callable[[Node], T]) -> T | None:
        """A member that may be absent; null is no absence and is refused by `read`."""
        return self.need(name, read) if name in self.values else None

    def list_of(self, name: str, read: Callable[[Node], T], most: int) -> tuple[T, ...]:
        """A list that may be absent, which is the same as empty."""
        return self.find(name, lambda node: node.items(read, most=most)) or ()


@cache
def _known(required: tuple[str, ...], optional: tuple[str, ...]) -> frozenset[str]:
    return frozenset((*required, *optional))


def _depth(value: object, left: int) -> int:
    if left < 0 or type(value) not in (dict, list):
        return 0
    below = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(item, left - 1) for item in below), default=0)  # type: ignore[attr-defined]
