"""Every custom error of these contracts is provoked by a test of its own."""

from pathlib import Path

import pytest

from contracts import artifact

TESTS = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
ERRORS = sorted(
    {
        e["name"]
        for name in ("Consortium", "TwinRegistry", "StorageMarket", "RewardPool")
        for e in artifact(name).abi
        if e["type"] == "error"
    }
)


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_is_provoked(error):
    assert f'reverts("{error}"' in TESTS
