"""docs/verbs.md: every route has a command and a method, and all three exist."""

import re
from functools import reduce
from pathlib import Path

import pytest
import typer

from registry.api.app import ROUTERS
from registry.cli.app import app as commands
from registry.sdk import Client

PAGE = Path(__file__).parents[2] / "docs" / "verbs.md"
ROW = re.compile(r"^\| `([A-Z]+) ([^`]+)` \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, list[str], list[str]]]:
    ticked = re.compile(r"`([^`]+)`")
    return [(m[1], m[2], ticked.findall(m[3]), ticked.findall(m[4])) for m in ROW.finditer(PAGE.read_text())]


def spelled(path: str) -> str:
    """A route as the page writes it: both spellings of a reference are `{ref}`."""
    path = re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
    path = path.replace("/v1/versions/{namespace}/{name}", "/v1/versions/{ref}")
    return path.replace("{namespace}", "{ns}")


def routes() -> set[tuple[str, str]]:
    return {
        (method, spelled(route.path))
        for router in ROUTERS
        for route in router.routes
        for method in route.methods
    }


def test_every_route_is_in_the_table_and_every_row_is_a_route() -> None:
    assert {(method, path) for method, path, _, _ in rows()} == routes()


def test_every_command_of_the_table_exists() -> None:
    root = typer.main.get_command(commands)
    named = {command for _, _, names, _ in rows() for command in names}
    assert all(reduce(lambda group, part: group.commands[part], name.split(), root) for name in named)


def test_every_method_of_the_table_exists(client: Client) -> None:
    named = {method for _, _, _, methods in rows() for method in methods}
    missing = [name for name in named if not reaches(client, name.removeprefix("client.").split("."))]
    assert missing == []


def reaches(found: object, parts: list[str]) -> bool:
    for part in parts:
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


@pytest.mark.parametrize("group", ["", "submission", "fees", "account", "member", "council", "key", "miner"])
def test_every_command_explains_itself(group: str) -> None:
    root = typer.main.get_command(commands)
    found = root.commands[group] if group else root
    assert all(command.help for command in found.commands.values())
