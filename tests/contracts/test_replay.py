"""`mechanism run fwt_ledger --on-chain` on histories nobody wrote down: as the ledger has them."""

import random

import pytest

from incentives.evaluate import evaluate
from registry.errors import Malformed
from registry.wiring.replaying import replay_on_chain


def history(seed):
    """One to three users and miners, one or two slots, some of them idle, a cap beyond every run."""
    chance = random.Random(seed)
    users = [f"u{k}" for k in range(1 + seed % 3)]
    miners = {f"m{k}": chance.randint(0, 9) for k in range(chance.choice([1, 2]))}

    def slot():
        txs = [
            [chance.choice(users), chance.randint(1, 3_000), chance.choice("HL")]
            for _ in range(chance.choice([0, 0, 1, 2]))
        ]
        backlog = {"backlog_H": chance.choice([0, 3]), "backlog_L": chance.choice([0, 5])}
        return {"sealer": chance.choice(list(miners)), "txs": txs, **backlog}

    return {
        "users": users,
        "miners": miners,
        "gH": 40,
        "gL": chance.choice([0, 10]),
        "eps": chance.choice([1, 3]),
        "eta": chance.choice([0, 2]),
        "run_cap": chance.choice([0, 1, 10**12]),
        "tau0": [3, 9],
        "initial_user_balance": 10**15,
        "epochs": [[slot() for _ in range(1 + seed % 2)] for _ in range(4)],
    }


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_contracts_print_what_the_ledger_prints(seed):
    inputs = history(seed)
    assert replay_on_chain("fwt_ledger", inputs) == evaluate("fwt_ledger", inputs)


@pytest.mark.parametrize(
    "extra", [{"run_caps": 1}, {"epochs": [[{"txs": [], "backlog_H": 0, "backlog_L": 0, "x": 1}]]}]
)
def test_a_field_that_no_history_has_is_named(extra):
    with pytest.raises(Malformed, match="no field"):
        replay_on_chain("fwt_ledger", {**history(0), **extra})


def test_what_the_contract_cannot_be_deployed_with_names_its_field():
    with pytest.raises(Malformed) as caught:
        replay_on_chain("fwt_ledger", {**history(0), "eta": 33})
    assert "eta" in str(caught.value)
