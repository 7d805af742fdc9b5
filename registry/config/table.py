"""The table of all settings, derived from the dataclasses of `model`."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from registry.config.model import (
    EmbeddedChain,
    EmbeddedStore,
    KuboStore,
    Postgresql,
    RpcChain,
    Settings,
    Sqlite,
)

PREFIX = "TWINLEDGER_"
# Of each tagged union: the tag's values, the section that belongs to each, and its type.
UNIONS: Mapping[str, Mapping[str, tuple[str, type]]] = MappingProxyType(
    {
        "chain": {"embedded": ("embedded_chain", EmbeddedChain), "rpc": ("rpc", RpcChain)},
        "store": {"embedded": ("embedded_store", EmbeddedStore), "kubo": ("kubo", KuboStore)},
        "database": {"sqlite": ("sqlite", Sqlite), "postgresql": ("postgresql", Postgresql)},
    }
)


def value_in(settings: Settings, key: str) -> object:
    """The value of a key, as the file would hold it; None in the section of a backend that is not chosen."""
    section, _, name = key.rpartition(".")
    for tag, kinds in UNIONS.items():
        chosen = getattr(settings, tag)
        if key == tag:
            return next(kind for kind, (_, held) in kinds.items() if isinstance(chosen, held))
        for of_kind, held in kinds.values():
            if section == of_kind:
                return getattr(chosen, name) if isinstance(chosen, held) else None
    return getattr(getattr(settings, section), name)


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: `rpc.url` in the file is TWINLEDGER_RPC_URL in the environment."""

    key: str
    type: str  # text | whole number | number | file | list of texts | one of ...
    default: object
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def env(self) -> str:
        """The name of the environment variable."""
        return PREFIX + self.key.upper().replace(".", "_")

    @property
    def section(self) -> str:
        """The TOML table it stands in; empty for a tag."""
        return self.key.rpartition(".")[0]


def _sections() -> Iterator[tuple[str, type]]:
    hints = get_type_hints(Settings)
    for section in fields(Settings):
        if section.name in UNIONS:
            yield from UNIONS[section.name].values()
        else:
            yield section.name, hints[section.name]


def _rows() -> Iterator[Setting]:
    for tag, kinds in UNIONS.items():
        choices = tuple(kinds)
        yield Setting(tag, f"one of {', '.join(choices)}", choices[0], f"the {tag} backend", choices=choices)
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind, include_extras=True)
        yield from (_row(section, f, hints[f.name]) for f in fields(kind))


def _row(section: str, f: "Field[Any]", annotation: Any) -> Setting:
    hint, about = get_args(annotation)
    choices: tuple[str, ...] = get_args(hint) if get_origin(hint) is Literal else ()
    names = {int: "whole number", float: "number", str: "text"}
    if choices:
        shown = f"one of {', '.join(choices)}"
    elif isinstance(hint, UnionType) and Path in get_args(hint):
        shown = "file"
    else:
        shown = "list of texts" if get_origin(hint) is tuple else names[hint]
    return Setting(f"{section}.{f.name}", shown, f.default, about.doc, about.low, about.high, choices)


SECTIONS: Mapping[str, type] = MappingProxyType(dict(_sections()))
SETTINGS: tuple[Setting, ...] = tuple(_rows())


def settings_page() -> str:
    """docs/settings.md, as it must read."""
    lines = [_HEAD]
    for section in ("", *SECTIONS):
        rows = [row for row in SETTINGS if row.section == section]
        if not rows:
            continue
        about = (
            SECTIONS[section].__doc__ if section else "Which backend; its settings stand in its own section."
        )
        lines += [f"## {f'`[{section}]`' if section else 'Backends'}", "", f"{about}", ""]
        lines += ["| key | environment | type | default | what it is for |", "|---|---|---|---|---|"]
        lines += [
            f"| `{r.key}` | `{r.env}` | {r.type}{_limits(r)} | {_shown(r.default)} | {r.doc} |" for r in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _limits(row: Setting) -> str:
    if row.low is None:
        return ""
    return f", from {row.low:.16g}" if row.high is None else f", {row.low:.16g} to {row.high:.16g}"


def _shown(default: object) -> str:
    if default is None or default in ("", ()):
        return "none"
    return ", ".join(f"`{d}`" for d in default) if isinstance(default, tuple) else f"`{default}`"


_HEAD = """# Settings

One TOML file, `./twinledger.toml` if it exists, else `HOME/twinledger.toml`; then the environment, which
wins; then the options of the command, which win over both. A key that this page does not list is an error
that names the nearest known one. Secrets are never in the file: `*_file` names a file that holds the secret,
relative to the settings file. `twinledger config show` prints what is in force and where each value is from.

```toml
chain = "rpc"

[rpc]
url = "http://10.0.0.7:8545"
confirmations = 0

[access]
log = "open"
```

Four variables are no settings: `TWINLEDGER_HOME`, and the client's `TWINLEDGER_URL`, `TWINLEDGER_KEY` and
`TWINLEDGER_PASSWORD_FILE`. The section of a backend that is not chosen is refused in the file.

This page is generated from `registry/config/model.py`: `python -m registry.config > docs/settings.md`.
"""
