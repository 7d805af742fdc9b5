"""docs/code.md draws the house as the import linter holds it, and names files that exist."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "code.md").read_text()


def test_the_layers_are_those_that_are_checked():
    linted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    rows = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
    drawn = [set(re.findall(r"`([\w.]+)`", row)) for row in rows if "/" not in row]
    assert drawn == [set(re.split(r" [:|] ", layer)) for layer in linted["layers"]]


def test_every_file_it_names_is_there():
    named = set(re.findall(r"`((?:registry|miners|incentives|contracts|tests|scripts)/[\w./*]+)`", PAGE))
    assert len(named) > 40
    assert not [name for name in sorted(named) if not list(ROOT.glob(name))]
