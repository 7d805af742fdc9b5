"""Evidence outlives the release that made it: a case of each schema verifies for ever (decision 0025).

data/case-1.zip is what `twinledger audit export --model local/rsrp-cell-1` wrote after `twinledger demo
--rewards contract --privacy dp` and one retrieval; data/trust-1.json is that installation's trust.json.
"""

from pathlib import Path

import pytest

from registry.cli.app import run
from registry.core.canonical import strict_json

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("schema", [1])
def test_a_case_of_an_earlier_release_verifies(schema, capsys):
    case, trust = DATA / f"case-{schema}.zip", DATA / f"trust-{schema}.json"
    assert run(["audit", "verify", str(case), "--trust", str(trust), "--json"]) == 0
    said = strict_json(capsys.readouterr().out.encode())
    assert said["pinned"] is True and said["entries"] == 4
    assert any("was sealed in block 70" in claim["text"] for claim in said["claims"])
