"""docs/audit.md and the published schema of log entries: they name every kind, command and test there is."""

import json
import re
from functools import reduce
from pathlib import Path

import jsonschema
import typer

from registry.audit.schemas import entry_schema, kinds
from registry.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "audit.md").read_text()


def test_the_published_schema_is_the_one_that_entries_are_tested_against() -> None:
    published = json.loads((ROOT / "docs" / "log-entry-1.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == entry_schema(), "run: python -m registry.audit > docs/log-entry-1.schema.json"


def test_every_kind_of_the_gateway_log_is_explained() -> None:
    table = PAGE.split("| kind | is written when |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", table.replace("`audit probing`", ""))) == kinds("gateway")


def test_every_command_and_every_test_exists() -> None:
    root = typer.main.get_command(app)
    named = set(re.findall(r"\baudit [a-z]+\b(?=[^a-z])", " ".join(re.findall(r"`([^`]*)`", PAGE))))
    assert {"audit events", "audit complete", "audit verify", "audit witness"} <= named
    assert all(reduce(lambda group, part: group.commands[part], name.split(), root) for name in named)
    tests = re.findall(r"`pytest (\S+)`", PAGE)
    assert len(tests) == 10
    assert all((ROOT / path).is_file() for path in tests)
