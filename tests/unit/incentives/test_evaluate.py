"""The JSON door: whatever is put in, the answer is finite JSON or a Malformed that names its field."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incentives.evaluate import KEYS, evaluate
from registry.errors import Malformed, NotFound, Rejected

GOLDEN = json.loads((Path(__file__).parents[2] / "vectors" / "data" / "mechanisms_golden.json").read_text())
ODD = [
    None,
    True,
    "",
    "x",
    [],
    {},
    -1,
    0,
    1,
    10**400,
    -(10**400),
    0.5,
    1e308,
    -1e308,
    1e-320,
    float("nan"),
    float("inf"),
    [[]],
    [None],
    {"a": 1},
    [["a"]],
]


def places(value, path=()):
    """Every position in a JSON value."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, child in children:
        yield from places(child, (*path, name))


def replaced(value, path, new):
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


@settings(deadline=None, max_examples=400)
@given(key=st.sampled_from(KEYS), pick=st.data())
def test_an_odd_value_anywhere_is_answered_or_refused(key, pick):
    inputs = GOLDEN[key][-1]["inputs"]
    path = pick.draw(st.sampled_from(list(places(inputs))))
    odd = pick.draw(st.sampled_from(ODD))
    try:
        answer = evaluate(key, replaced(inputs, path, odd))
    except Rejected:
        return
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("key", KEYS)
def test_each_missing_field_is_named(key):
    inputs = GOLDEN[key][0]["inputs"]
    for name in inputs:
        with pytest.raises(Malformed) as refused:
            evaluate(key, {k: v for k, v in inputs.items() if k != name})
        assert refused.value.values["field"] == name
        assert name in refused.value.message


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("nothing", [None, [], 3, "text"])
def test_an_input_that_is_no_object_is_malformed(key, nothing):
    with pytest.raises(Malformed):
        evaluate(key, nothing)


def test_an_unknown_key_is_not_found():
    with pytest.raises(NotFound):
        evaluate("fwt", {})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), True, "5", None, 10**400])
def test_what_is_no_finite_number_is_malformed(number):
    with pytest.raises(Malformed) as refused:
        evaluate("fwt_queue", {"kind": "exp", "T": 5, "B": 20, "x": number})
    assert refused.value.values["field"] == "x"


def test_an_integral_float_is_an_integer_and_a_fraction_is_not():
    assert evaluate("audit_bond", {"cost": 900.0, "wage": 1000, "p_ppm": 50000}) == {"bond": 17000}
    with pytest.raises(Malformed):
        evaluate("audit_bond", {"cost": 900.5, "wage": 1000, "p_ppm": 50000})


def test_integers_have_no_largest_value():
    wei = 10**60
    assert evaluate("audit_bond", {"cost": wei, "wage": 1, "p_ppm": 1}) == {"bond": wei * 10**6 - 1}
    offers = [["a", 9 * wei, wei], ["b", 5 * wei, wei]]
    award = evaluate("second_score", {"bids_id_value_price": offers, "reserve_score": 0})
    assert award == {"winner": "a", "payment": 5 * wei}


def test_one_user_and_two_users_are_games_too():
    inputs = dict(GOLDEN["fwt_equilibrium"][0]["inputs"], N=1)
    alone = evaluate("fwt_equilibrium", inputs)
    assert alone["lambda_H"] == 0 and alone["lambda_L"] > 0
    assert alone["tax_L_atomic_per_tx"] == 0
    assert alone["SW_fwt"] == pytest.approx(alone["SW_opt"], rel=1e-9)
    pair = evaluate("fwt_equilibrium", dict(inputs, N=2))
    assert pair["SW_fwt"] == pytest.approx(pair["SW_opt"], rel=1e-9)


def test_a_user_that_cannot_pay_is_named():
    inputs = dict(GOLDEN["fwt_ledger"][0]["inputs"], initial_user_balance=10)
    with pytest.raises(Malformed) as refused:
        evaluate("fwt_ledger", inputs)
    assert refused.value.values["field"].startswith("epochs[0]")


def test_a_ledger_without_transactions_only_lets_the_tax_decay():
    inputs = dict(GOLDEN["fwt_ledger"][0]["inputs"])
    inputs["epochs"] = [[{"sealer": "m0", "txs": [], "backlog_H": 0, "backlog_L": 0}]] * 3
    states = evaluate("fwt_ledger", inputs)
    assert [s["tau_after"] for s in states] == [[12, 5], [9, 3], [6, 3]]
    assert {s["pool"] for s in states} == {0}


def test_empty_markets_have_empty_answers():
    assert evaluate("auction_vcg", {"bids_id_chi_cost_channels": [], "capacity": 5}) == {
        "chosen_bid_indices": [],
        "welfare": 0,
        "payments": {},
        "lp_dual_bound": 0,
    }
    assert evaluate(
        "auction_greedy_integer", {"bids_id_chi_cost_channels": [["a", 5, 1, 2]], "capacity": 0}
    ) == {
        "winners": [],
        "payments": {},
    }
    assert evaluate("second_score", {"bids_id_value_price": [], "reserve_score": 5}) == {
        "winner": None,
        "payment": 0,
    }
    assert evaluate("uniform_procurement", {"asks": [["a", 50]], "k": 2, "reserve": 35}) == {
        "winners": [],
        "price": 35,
    }
    unsold = evaluate("sdn_price", {"w": [0.1, 0.2], "c": 5, "capacity": 0})
    assert (unsold["rates_desc"], unsold["profit"]) == ([], 0)


def test_decimal_ties_are_ties():
    """0.7 - 0.1 and 0.6 differ as floats; as written they are equal, so the lower id comes first."""
    bids = [["b", 0.6, 0.0, 1], ["a", 0.7, 0.1, 1]]
    found = evaluate("auction_greedy", {"bids_id_chi_cost_channels": bids, "capacity": 1})
    assert found["winners"] == ["a"]
    assert found["payments"] == {"a": pytest.approx(0.1)}


def test_no_evidence_leaves_the_prior():
    inputs = {"pos": 0, "neg": 0, "u": 0.2, "a": 0.3, "wp": 0.4, "wn": 0.6}
    assert evaluate("reputation", inputs) == {"reputation": 0.3}


def members(value):
    """Every object in a JSON value that is no table of names."""
    return [p for p in places(value) if isinstance(at(value, p), dict) and p[-1:] != ("miners",)]


def at(value, path):
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize("key", KEYS)
def test_a_field_that_is_none_of_the_mechanism_is_refused_wherever_it_stands(key):
    inputs = GOLDEN[key][0]["inputs"]
    for path in members(inputs):
        with pytest.raises(Malformed) as refused:
            evaluate(key, replaced(inputs, path, {**at(inputs, path), "reserv": 1}))
        assert "reserv" in refused.value.values["field"]


def test_an_answer_of_more_digits_than_are_printed_is_refused():
    with pytest.raises(Malformed):
        evaluate("audit_bond", {"cost": 10**4299, "wage": 0, "p_ppm": 1})


def test_a_negative_zero_is_zero():
    inputs = dict(GOLDEN["fwt_equilibrium"][0]["inputs"], cs=-0.0)
    assert str(evaluate("fwt_equilibrium", inputs)["storage_floor_per_tx"]) == "0.0"


ADDRESS = "0xABCDEF0123456789abcdef0123456789abcdef01"


@pytest.mark.parametrize(
    ("key", "inputs"),
    [
        (
            "second_score",
            {"bids_id_value_price": [[ADDRESS, 5, 1], [ADDRESS.lower(), 6, 1]], "reserve_score": 0},
        ),
        ("uniform_procurement", {"asks": [[ADDRESS, 5], [ADDRESS.lower(), 6]], "k": 1, "reserve": 9}),
        *(
            (
                auction,
                {
                    "bids_id_chi_cost_channels": [[ADDRESS, 5, 1, 1], [ADDRESS.lower(), 6, 1, 1]],
                    "capacity": 4,
                },
            )
            for auction in ("auction_vcg", "auction_greedy", "auction_greedy_integer")
        ),
    ],
)
def test_one_address_in_two_spellings_is_not_two_bidders(key, inputs):
    with pytest.raises(Malformed) as refused:
        evaluate(key, inputs)
    assert ADDRESS in refused.value.message
