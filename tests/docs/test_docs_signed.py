"""docs/rewards.md tells a client of one's own exactly what is hashed for each signature."""

import re
from pathlib import Path

from registry.core.ids import keccak
from registry.core.measurement import MEASUREMENT_TYPEHASH
from registry.core.sealed_update import HANDOVER_TYPEHASH
from registry.core.version import CONTRIBUTION_TYPEHASH

PAGE = Path(__file__).parents[2] / "docs" / "rewards.md"


def test_the_types_on_the_page_are_those_that_are_hashed() -> None:
    types = re.findall(r"`([A-Z][A-Za-z]+\([^`]+\))`", PAGE.read_text())
    hashes = {text.partition("(")[0]: keccak(text.encode()) for text in types}
    assert hashes == {
        "Contribution": CONTRIBUTION_TYPEHASH,
        "Handover": HANDOVER_TYPEHASH,
        "Measurement": MEASUREMENT_TYPEHASH,
    }
