"""SECURITY.md, docs/security.md and docs/operations.md name tests and files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = re.compile(r"(?<![\w/])(?:tests|scripts|registry|contracts|docs)/[\w./-]*\w")
NAMED = re.compile(r"((?:tests|scripts|registry|contracts)/[\w./]+)?(?:::(\w+))?")


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/security.md"])
def test_what_a_page_names_is_there(page: str) -> None:
    file = None
    for quoted in re.findall(r"`([^`]+)`", (ROOT / page).read_text()):
        match = NAMED.fullmatch(quoted)
        if match is None or not any(match.groups()):
            continue
        if match[1]:
            file = ROOT / match[1]
            assert file.exists(), quoted
        if match[2]:
            assert file is not None
            assert re.search(rf"^def {match[2]}\b", file.read_text(), re.MULTILINE), quoted


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/security.md", "docs/operations.md"])
def test_what_a_command_runs_is_there(page: str) -> None:
    named = set(FILE.findall((ROOT / page).read_text()))
    assert len(named) > 10
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]
