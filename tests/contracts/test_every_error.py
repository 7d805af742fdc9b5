"""Every custom error of each contract is provoked, with its values, by a test of that contract."""

from pathlib import Path

import pytest

from contracts import artifact

# The Consortium's tests provoke what only it may do in the registry.
TESTS_OF = {
    "Consortium": ("test_consortium*.py",),
    "TwinRegistry": (
        "test_twin_registry.py",
        "test_versions.py",
        "test_fee_*.py",
        "test_seal_*.py",
        "test_consortium.py",
    ),
    "StorageMarket": ("test_storage_*.py",),
    "RewardPool": ("test_reward_*.py",),
    "AuditAnchor": ("test_audit_anchor.py",),
}
ERRORS = [
    (contract, entry["name"])
    for contract in TESTS_OF
    for entry in artifact(contract).abi
    if entry["type"] == "error"
]


@pytest.mark.parametrize(("contract", "error"), ERRORS)
def test_each_error_is_provoked(contract, error):
    found = (path for pattern in TESTS_OF[contract] for path in Path(__file__).parent.glob(pattern))
    assert any(f'reverts("{error}"' in path.read_text() for path in found)


def test_no_contract_is_left_out():
    artifacts = Path(__file__).parents[2] / "contracts" / "artifacts"
    assert set(TESTS_OF) == {path.stem for path in artifacts.glob("*.json")}
