"""References: how people name a model, one of its versions, or a cell.

    ns/name   ns/name@alias   ns/name@vN   0x… (a VersionId, or a prefix of at least 8 hex digits)

>>> parse_reference("acme/ran-twin@v3").number
3
>>> str(parse_reference("acme/ran-twin@champion"))
'acme/ran-twin@champion'
"""

import re
from dataclasses import dataclass

from registry.errors import Malformed

CHAMPION = "champion"
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
_NUMBER = re.compile(r"v[0-9]+")
_PREFIX = re.compile(r"0x[0-9a-f]{8,64}")
_HINT = "write ns/name, ns/name@alias, ns/name@vN or 0x and at least 8 hex digits"


@dataclass(frozen=True, slots=True)
class Reference:
    """What was asked for: a model with at most one of alias and number, or the beginning of a VersionId."""

    namespace: str | None = None
    name: str | None = None
    alias: str | None = None
    number: int | None = None
    version_prefix: str | None = None  # 0x and 8 to 64 lower-case hex digits

    @property
    def model(self) -> str | None:
        """`ns/name`, if the reference names a model."""
        return f"{self.namespace}/{self.name}" if self.name is not None else None

    @property
    def version_id(self) -> bytes | None:
        """The whole VersionId, if it was given in full."""
        whole = self.version_prefix is not None and len(self.version_prefix) == 66
        return bytes.fromhex(self.version_prefix[2:]) if whole and self.version_prefix else None

    def __str__(self) -> str:
        if self.version_prefix is not None:
            return self.version_prefix
        suffix = f"@{self.alias}" if self.alias is not None else ""
        return f"{self.model}{suffix}" if self.number is None else f"{self.model}@v{self.number}"


@dataclass(frozen=True, slots=True, order=True)
class CellName:
    """A radio cell, named by the namespace it belongs to."""

    namespace: str
    cell: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.cell}"


def parse_reference(text: str) -> Reference:
    """Read one of the four forms; hex digits of any case."""
    if text[:2] in ("0x", "0X"):
        prefix = text.lower()
        if _PREFIX.fullmatch(prefix) is None:
            raise Malformed(
                f"{text[:80]!r} is neither a version id nor a prefix of 8 to 64 hex digits", hint=_HINT
            )
        return Reference(version_prefix=prefix)
    model, at, suffix = text.partition("@")
    namespace, name = parse_model(model)
    if not at:
        return Reference(namespace, name)
    if _NUMBER.fullmatch(suffix) is None:
        return Reference(namespace, name, alias=check_alias(suffix))
    if suffix[1] == "0" or len(suffix) > 19:
        raise Malformed(f"{suffix[:40]!r} is no version number: they count v1, v2, v3", hint=_HINT)
    return Reference(namespace, name, number=int(suffix[1:]))


def parse_model(text: str) -> tuple[str, str]:
    """Split `ns/name` into its namespace and its name."""
    namespace, slash, name = text.partition("/")
    if not slash:
        raise Malformed(f"{text[:80]!r} names no model: the form is ns/name", hint=_HINT)
    return check_namespace(namespace), check_name(name)


def parse_cell(text: str) -> CellName:
    """Read `ns/cell-name`."""
    namespace, slash, cell = text.partition("/")
    if not slash:
        raise Malformed(
            f"{text[:80]!r} names no cell: the form is ns/cell-name", hint="run `twinledger cell list`"
        )
    return CellName(check_namespace(namespace), check_name(cell))


def check_name(text: str) -> str:
    """The text again, if it may be a name."""
    if _NAME.fullmatch(text) is None:
        raise Malformed(
            f"{text[:80]!r} is no name",
            hint="use 1 to 64 of a-z 0-9 . _ - and begin and end with a letter or a digit",
        )
    return text


def check_namespace(text: str) -> str:
    """The text again, if it may be a namespace: a name that cannot be taken for a VersionId."""
    if text.startswith("0x"):
        raise Malformed(f"the namespace {text[:80]!r} begins with 0x, like a version id")
    return check_name(text)


def check_alias(text: str) -> str:
    """The text again, if it may be an alias: a name that cannot be taken for a number or a VersionId."""
    if text == "latest" or text.startswith("0x") or _NUMBER.fullmatch(text) is not None:
        raise Malformed(
            f"{text[:80]!r} is no alias: latest, v1, v2, ... and 0x... are reserved",
            hint=f"no suffix means the alias {CHAMPION}, else the newest active version",
        )
    return check_name(text)
