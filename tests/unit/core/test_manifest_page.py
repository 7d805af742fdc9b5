"""docs/manifest.md: its examples parse, and it names every member and every format."""

import json
import re
from pathlib import Path

from registry.core.canonical import canonical, read_canonical
from registry.core.manifest import OPTIONAL, REQUIRED, build_manifest, parse_manifest
from registry.core.weights import FORMATS

PAGE = (Path(__file__).parents[3] / "docs" / "manifest.md").read_text(encoding="utf-8")
SMALLEST, GIVEN = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_are_manifests():
    smallest = parse_manifest(canonical(SMALLEST))
    full = build_manifest(smallest.namespace, smallest.name, smallest.files, smallest.parents, GIVEN)
    assert read_canonical(full.bytes) == {**SMALLEST, **read_canonical(canonical(GIVEN))}


def test_every_member_and_format_is_explained():
    for name in (*REQUIRED, *OPTIONAL, *FORMATS):
        assert f"`{name}`" in PAGE or f"`{name}[]`" in PAGE, name
