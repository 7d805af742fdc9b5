"""What people and machines see: stdout carries only the result, stderr everything else."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from registry.cli.context import globals_
from registry.errors import RegistryError

if TYPE_CHECKING:
    from registry.wiring.examining import Finding


def show(value: Any, lines: Iterable[str] = ()) -> None:
    """The result: one JSON document with --json, else the lines."""
    if globals_().json:
        print(json.dumps(plain(value), indent=2))
        return
    for line in lines:
        print(line)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows under their headings, aligned; one line says so when there are none."""
    if not rows:
        return ["nothing found"]
    cells = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def show_findings(findings: "Sequence[Finding]") -> None:
    """What `doctor` and `audit fsck` looked at, and which of it is wrong."""
    rows = [["WRONG" if one.is_wrong else "ok", one.part, one.result] for one in findings]
    document = [{"part": one.part, "result": one.result, "wrong": one.is_wrong} for one in findings]
    show(document, table(["state", "part", "result"], rows))


def plain(value: Any) -> Any:
    """Shapes and dataclasses as JSON values."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def note(text: str) -> None:
    """A hint or a warning, on stderr."""
    if not globals_().quiet:
        print(text, file=sys.stderr)


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; call what it yields with the steps done."""
    if globals_().quiet or not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, advance=done)


def error_line(error: RegistryError, *, quiet: bool) -> str:
    """An error as a person reads it: what happened, then what to do."""
    hint = "" if quiet or not error.hint else f"\nhint: {error.hint}"
    return f"error: {error.message}{hint}"


def short(identifier: str) -> str:
    """The first digits of a long id; at least eight, so that it is a reference."""
    return identifier[:14]


def time_of(seconds: int) -> str:
    """Unix seconds as UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
