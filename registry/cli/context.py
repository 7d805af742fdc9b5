"""Global options, found anywhere on the line, and what the commands make of them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from registry.errors import Malformed

if TYPE_CHECKING:
    from registry.config import Home, Settings
    from registry.sdk import Client

_VALUED = {"--home": "home", "--url": "url", "--key": "key", "--password-file": "password_file"}
_FLAGS = {"--json": "json", "--quiet": "quiet"}


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options of one run."""

    home: str | None = None
    url: str | None = None
    key: str | None = None
    password_file: str | None = None
    json: bool = False
    quiet: bool = False

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Make these the options that commands see."""
        token = _present.set(self)
        if self.password_file:
            os.environ["TWINLEDGER_PASSWORD_FILE"] = self.password_file
        try:
            yield
        finally:
            _present.reset(token)


_present: ContextVar[Globals] = ContextVar("globals")


def globals_() -> Globals:
    """The options of the running command."""
    return _present.get(Globals())


def client(cell: str | None = None) -> "Client":
    """The client that the options ask for."""
    from registry.sdk import Client

    given = globals_()
    return Client(given.url, given.key, cell, home=given.home)


def home() -> "Home":
    """The home that the options ask for."""
    from registry.config import resolve_home

    return resolve_home(globals_().home, os.environ)


def settings(**options: object) -> "Settings":
    """The settings in force; `options` are what the command line gave, None where it gave nothing."""
    from registry.config import load_settings

    given = {key.replace("__", "."): value for key, value in options.items() if value is not None}
    return load_settings(home(), os.environ, options=given).settings


def split_globals(arguments: Sequence[str]) -> tuple[Globals, list[str]]:
    """The global options out of the line, and the rest of it; nothing behind `--` is touched."""
    given = Globals()
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return given, [*rest, argument, *remaining]
        if name in _VALUED:
            chosen = value if equals else next(remaining, None)
            if chosen is None:
                raise UsageProblem(f"{name} needs a value")
            given = _with(given, _VALUED[name], chosen)
        elif argument in _FLAGS:
            given = _with(given, _FLAGS[argument], True)
        else:
            rest.append(argument)
    return given, rest


def _with(given: Globals, name: str, value: Any) -> Globals:
    return replace(given, **{name: value})


class UsageProblem(Malformed):
    """The command line itself cannot be read."""

    exit_code = 2
