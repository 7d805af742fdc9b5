"""From a TOML file, the environment and a command's options to `Settings`."""

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.config.home import Home
from registry.config.model import Settings
from registry.config.table import PREFIX, SECTIONS, SETTINGS, UNIONS, Setting
from registry.errors import Malformed

# Variables that docs/settings.md names beside the settings.
OF_CLIENTS = tuple(PREFIX + name for name in ("HOME", "URL", "KEY", "PASSWORD_FILE"))
# Those and the ones of the tools, and those with which tests name real engines.
NOT_SETTINGS = frozenset(OF_CLIENTS) | frozenset(
    PREFIX + name
    for name in (
        *("SOLC", "SOLC_MODULES", "POSTGRES"),
        *("ANVIL", "ANVIL_WS", "GETH", "GETH_2", "GETH_3", "GETH_WS", "GETH_WS_2", "GETH_WS_3"),
        *("NS3_PYTHON", "CHROMIUM", "WRITE_GAS"),
    )
)
_TEST_PREFIX = PREFIX + "TEST_"
_BY_KEY = {row.key: row for row in SETTINGS}
_BY_ENV = {row.env: row for row in SETTINGS}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, the file they are from, and the source of each value that is no default."""

    settings: Settings
    file: Path | None
    sources: tuple[tuple[str, str], ...]


def load_settings(
    home: Home,
    environ: Mapping[str, str],
    *,
    folder: Path = Path(),
    options: Mapping[str, object] | None = None,
) -> Loaded:
    """Read `folder`/twinledger.toml, else HOME's; `options` are dotted keys that a command line gave."""
    file = next((f for f in (folder / "twinledger.toml", home.settings) if f.is_file()), None)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, value in (_file_values(file) if file else {}).items():
        values[key], sources[key] = (
            _typed(_BY_KEY[key], value, f"{file}", file.parent if file else folder),
            f"{file}",
        )
    for name, text in _environment(environ).items():
        row = _BY_ENV[name]
        values[row.key], sources[row.key] = _typed(row, _from_text(row, text), name, folder), name
    for key, value in (options or {}).items():
        values[key], sources[key] = _typed(_known(key, "the command"), value, "the command", folder), "option"
    return Loaded(_build(values), file, tuple(sorted(sources.items())))


def read_secret(file: Path) -> str:
    """The secret that a `*_file` setting names, without the line's end."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise Malformed(
            f"the secret in {file} cannot be read: {e}", hint="run `twinledger config check`"
        ) from e


def _file_values(file: Path) -> dict[str, object]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise Malformed(f"{file} cannot be read: {e}", hint="run `twinledger config check`") from e
    values: dict[str, object] = {}
    for name, content in tables.items():
        members = (
            {f"{name}.{k}": v for k, v in content.items()} if isinstance(content, dict) else {name: content}
        )
        if isinstance(content, dict) and name not in SECTIONS:
            raise _unknown(name, str(file), tuple(SECTIONS))
        values |= {_known(key, str(file)).key: value for key, value in members.items()}
    _refuse_idle_backends(values, file)
    return values


def _refuse_idle_backends(values: Mapping[str, object], file: Path) -> None:
    for tag, kinds in UNIONS.items():
        chosen = values.get(tag, next(iter(kinds)))
        for kind, (section, _) in kinds.items():
            idle = [key for key in values if key.startswith(f"{section}.")]
            if kind != chosen and idle:
                raise Malformed(
                    f"{file} sets {idle[0]}, but {tag} is {chosen!r}",
                    hint=f'write {tag} = "{kind}" or leave it out',
                )


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    found = {
        name: text
        for name, text in environ.items()
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and not name.startswith(_TEST_PREFIX)
    }
    for name in found:
        if name not in _BY_ENV:
            raise _unknown(name, "the environment", (*_BY_ENV, *OF_CLIENTS))
    return found


def _known(key: str, where: str) -> Setting:
    if key not in _BY_KEY:
        raise _unknown(key, where, tuple(_BY_KEY))
    return _BY_KEY[key]


def _unknown(name: str, where: str, known: tuple[str, ...]) -> Malformed:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "docs/settings.md lists all settings"
    return Malformed(f"{where} has the unknown setting {name!r}", hint=hint)


def _from_text(row: Setting, text: str) -> object:
    try:
        if row.type == "whole number":
            return int(text)
        if row.type == "number":
            return float(text)
    except ValueError as e:
        raise Malformed(f"{row.env} is {text!r}, which is no {row.type}") from e
    return [part.strip() for part in text.split(",") if part.strip()] if row.type == "list of texts" else text


def _typed(row: Setting, value: object, where: str, folder: Path) -> object:
    """The value as the model has it, or Malformed with what is expected."""
    match row.type, value:
        case "whole number", int() if type(value) is int:
            checked: object = value
        case "number", int() | float() if type(value) is not bool:
            checked = float(value)
        case "text", str():
            checked = value
        case "file", str() | Path():
            checked = (folder / Path(value).expanduser()).absolute()
        case "list of texts", list() | tuple() if all(isinstance(item, str) for item in value):
            checked = tuple(value)
        case _, str() if value in row.choices:
            checked = value
        case _:
            raise Malformed(f"{where} sets {row.key} to {value!r}, which is no {row.type}")
    low, high = row.low, row.high
    if isinstance(checked, int | float) and not (
        math.isfinite(checked) and (low is None or checked >= low) and (high is None or checked <= high)
    ):
        raise Malformed(f"{where} sets {row.key} to {value!r}, which is not within {low} to {high}")
    return checked


def _build(values: Mapping[str, Any]) -> Settings:
    chosen: dict[str, tuple[str, type]] = {
        tag: kinds[values.get(tag, next(iter(kinds)))] for tag, kinds in UNIONS.items()
    }
    of_unions = {section for kinds in UNIONS.values() for section, _ in kinds.values()}
    plain = {section: (section, kind) for section, kind in SECTIONS.items() if section not in of_unions}
    built = {
        name: kind(**{k.partition(".")[2]: v for k, v in values.items() if k.startswith(f"{section}.")})
        for name, (section, kind) in (chosen | plain).items()
    }
    return Settings(**built)
