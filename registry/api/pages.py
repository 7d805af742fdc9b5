"""Lists come in pages of at most 1000, each continued by the cursor of the page before."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from fastapi import Request

from registry.core.ids import read_count
from registry.errors import Malformed

MAX_ITEMS = 1_000
USUAL = 100
T = TypeVar("T")
PAGED = ("limit", "cursor")


def integer(request: Request, name: str, default: int) -> int:
    """A query parameter that is a number from 0."""
    text = request.query_params.get(name)
    return default if text is None else read_count(text, name)


def check_parameters(request: Request, *names: str, repeated: Collection[str] = ()) -> None:
    """Malformed for a parameter that nobody defined, which would be passed over, or that is given twice."""
    query = request.query_params
    if unknown := set(query) - {*names}:
        hint = f"it takes {', '.join(names)}" if names else "it takes none"
        raise Malformed(f"there is no parameter {', '.join(sorted(unknown))}", hint=hint)
    twice = {name for name in query if name not in repeated and len(query.getlist(name)) > 1}
    if twice:
        raise Malformed(f"{', '.join(sorted(twice))} is taken once")


def page_size(limit: int) -> int:
    """A page has 1 to 1000 items."""
    if not 1 <= limit <= MAX_ITEMS:
        raise Malformed(f"limit is {limit}, not 1 to {MAX_ITEMS}")
    return limit


def page(request: Request, rows: Sequence[T], name: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """The page of `rows` that the query asks for, and the cursor of the next one.

    A cursor is the name of the last row that was given, so rows that come in between shift nothing.
    """
    limit = page_size(integer(request, "limit", USUAL))
    cursor = request.query_params.get("cursor")
    first = 0 if cursor is None else _after(rows, name, cursor)
    taken = rows[first : first + limit]
    return taken, name(taken[-1]) if first + limit < len(rows) else None


def _after(rows: Sequence[T], name: Callable[[T], str], cursor: str) -> int:
    for place, row in enumerate(rows):
        if name(row) == cursor:
            return place + 1
    raise Malformed(f"{cursor[:80]!r} is no cursor of this list", hint="take `next` of the page before")
