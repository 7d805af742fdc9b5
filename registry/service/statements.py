"""Account statements: every debit and credit of an escrow, oldest first, with its reason."""

from dataclasses import dataclass

from registry.core.ids import Address, read_count
from registry.errors import Malformed
from registry.index import Index
from registry.index.accounts import START, EntryRow
from registry.index.accounts import Statements as Entries


@dataclass(frozen=True, slots=True)
class StatementPage:
    """A page of movements; all amounts up to a row sum to its balance."""

    items: list[EntryRow]
    next: str | None


class Statements:
    """Reads statements page by page."""

    def __init__(self, index: Index) -> None:
        self._entries = Entries(index.engine)

    def of(self, address: Address, *, cursor: str | None, limit: int) -> StatementPage:
        """Movements of an account from past the cursor; an account nobody paid has none."""
        rows = self._entries.of(address, after=_place(cursor), limit=limit + 1)
        items = rows[:limit]
        more = len(rows) > limit
        return StatementPage(items, ".".join(map(str, items[-1].place)) if more else None)


def _place(cursor: str | None) -> tuple[int, int, int]:
    if cursor is None:
        return START
    parts = cursor.split(".")
    if len(parts) != 3:
        raise Malformed(f"{cursor!r} is no cursor of a statement", hint="take `next` of the page before")
    block, log_index, part = (read_count(number, "the cursor") for number in parts)
    return block, log_index, part
