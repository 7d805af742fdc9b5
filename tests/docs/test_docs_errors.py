"""docs/errors.md names every error of the tree, with its code, status, exit code and hint."""

from pathlib import Path

from registry.errors import RegistryError

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def tree(kind: type[RegistryError]) -> list[type[RegistryError]]:
    return [
        kind,
        *(
            found
            for child in kind.__subclasses__()
            if child.__module__ == "registry.errors"
            for found in tree(child)
        ),
    ]


def row(kind: type[RegistryError]) -> str:
    meaning = (kind.__doc__ or "").split("\n")[0]
    retry = "yes" if kind.retryable else "no"
    numbers = f"{kind.status} | {kind.exit_code} | {retry}"
    return f"| `{kind.__name__}` | `{kind.code}` | {numbers} | {meaning} | {kind.usual_hint} |"


def test_every_error_is_on_the_page_as_it_is_in_the_code() -> None:
    page = PAGE.read_text()
    missing = [row(kind) for kind in tree(RegistryError) if row(kind) not in page]
    assert missing == []


def test_every_error_has_a_hint_and_an_exit_code() -> None:
    assert all(kind.usual_hint and kind.exit_code for kind in tree(RegistryError))
