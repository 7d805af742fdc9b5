"""Inputs nobody wrote down: every answer against a slow second reading of mechanisms.md."""

from fractions import Fraction
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from incentives.evaluate import evaluate

SMALL = st.integers(0, 6)  # ties and idle slots are common
BYTES = st.one_of(SMALL, st.integers(0, 5_000), st.integers(10**15, 10**18))


# ---------------------------------------------------------------------- fwt_run_length, fwt_ledger (2.2-2.5)


def run(headers, at, is_high, cap):
    """Slots from `at` on that have something pending, unbroken and cut at `cap`."""
    length = 0
    while at + length < len(headers):
        _, _, high, low = headers[at + length]
        if not (high if is_high else high + low):
            break
        length += 1
    return min(cap, length)


def floor_mean(values, weights):
    if sum(weights):
        return sum(v * w for v, w in zip(values, weights, strict=True)) // sum(weights)
    return sum(values) // len(values) if values else 0


def externalities(headers, count, g_h, g_l, cap):
    """(H, its gH part, its gL part, L) of the first `count` slots."""
    run_h = [run(headers, k, True, cap) for k in range(count)]
    run_a = [run(headers, k, False, cap) for k in range(count)]
    on_h = [g_h * h for h in run_h]
    on_l = [g_l * (a - min(h, a)) for h, a in zip(run_h, run_a, strict=True)]
    high, low = [h[0] for h in headers[:count]], [h[1] for h in headers[:count]]
    both = [a + b for a, b in zip(on_h, on_l, strict=True)]
    return (
        floor_mean(both, high),
        floor_mean(on_h, high),
        floor_mean(on_l, high),
        floor_mean([g_l * a for a in run_a], low),
    )


HEADER = st.tuples(BYTES, BYTES, SMALL, SMALL).map(list)
COSTS = {
    "gH": st.integers(0, 60),
    "gL": st.integers(0, 20),
    "run_cap": st.sampled_from([0, 1, 2, 5, 64, 10**9]),
}


@given(st.fixed_dictionaries({"headers_bytesH_bytesL_backH_backL": st.lists(HEADER, max_size=12), **COSTS}))
def test_run_lengths_are_counted_one_slot_at_a_time(inputs):
    headers, cap = inputs["headers_bytesH_bytesL_backH_backL"], inputs["run_cap"]
    high, hh, hl, low = externalities(headers, len(headers), inputs["gH"], inputs["gL"], cap)
    assert evaluate("fwt_run_length", inputs) == {
        "run_H": [run(headers, k, True, cap) for k in range(len(headers))],
        "run_all": [run(headers, k, False, cap) for k in range(len(headers))],
        "tau_H": high,
        "tau_HH_part": hh,
        "tau_HL_part": hl,
        "tau_L": low,
    }


@st.composite
def histories(draw):
    users = [f"u{k}" for k in range(draw(st.integers(0, 4)))]
    miners = {f"m{k}": draw(st.integers(0, 12)) for k in range(draw(st.integers(1, 3)))}
    tx = st.tuples(st.sampled_from(users or ["nobody"]), BYTES, st.sampled_from("HL")).map(list)
    slot = st.fixed_dictionaries(
        {
            "sealer": st.sampled_from(list(miners)),
            "txs": st.lists(tx, max_size=3) if users else st.just([]),
            "backlog_H": SMALL,
            "backlog_L": SMALL,
        }
    )
    slots = draw(st.integers(1, 4))
    return {
        "users": users,
        "miners": miners,
        **{name: draw(values) for name, values in COSTS.items()},
        "eps": draw(st.integers(1, 5)),
        "eta": draw(st.sampled_from([0, 1, 2, 6, 32])),
        "tau0": [draw(st.integers(0, 40)), draw(st.integers(0, 40))],
        "initial_user_balance": 10**30,
        "epochs": draw(st.lists(st.lists(slot, min_size=slots, max_size=slots), max_size=5)),
    }


class Books:
    """The ledger of mechanisms.md 2, no tax with fewer than two accounts, kept the long way."""

    def __init__(self, inputs):
        self.inputs = inputs
        self.held = dict.fromkeys(inputs["users"], inputs["initial_user_balance"])
        self.held |= dict.fromkeys(inputs["miners"], 0)
        self.pool = self.carry = 0
        self.num = [tau << inputs["eta"] for tau in inputs["tau0"]]
        self.owed = None  # the epoch before's taxes by user

    def menu(self):
        cost, eps = sum(self.inputs["miners"].values()), self.inputs["eps"]
        tau_h, tau_l = (n >> self.inputs["eta"] for n in self.num)
        if len(self.inputs["users"]) < 2:
            tax_h = tax_l = 0
        else:
            tax_h, tax_l = max(tau_h, tau_l + eps) - eps, tau_l
        return {"rho_H": cost + eps, "rho_L": cost, "tax_H": tax_h, "tax_L": tax_l}

    def seal(self, menu, taxes, slot):
        size = {"H": 0, "L": 0}
        for user, b, k in slot["txs"]:
            fee, tax = b * menu[f"rho_{k}"], b * menu[f"tax_{k}"]
            self.held[user] -= fee + tax
            for miner, price in self.inputs["miners"].items():
                self.held[miner] += b * price
                fee -= b * price
            self.held[slot["sealer"]] += fee
            self.pool += tax
            taxes[user] += tax
            size[k] += b
        return [size["H"], size["L"], slot["backlog_H"], slot["backlog_L"]]

    def close(self, before, now):
        if before is not None:
            costs = self.inputs["gH"], self.inputs["gL"], self.inputs["run_cap"]
            high, _, _, low = externalities(before + now, len(before), *costs)
            for k, measured in enumerate((high, low)):
                self.num[k] += measured - (self.num[k] >> self.inputs["eta"])

    def rebate(self):
        count = len(self.inputs["users"])
        if self.owed is None or count < 2:
            return
        total, carry = sum(self.owed.values()), self.carry
        for user, own in self.owed.items():
            share = (total - own) // (count - 1) + carry // count
            self.held[user] += share
            self.pool -= share
            self.carry -= share
        self.carry += total


def by_the_books(inputs):
    books, rows, before = Books(inputs), [], None
    for epoch in inputs["epochs"]:
        menu, taxes = books.menu(), dict.fromkeys(inputs["users"], 0)
        now = [books.seal(menu, taxes, slot) for slot in epoch]
        books.rebate()
        books.close(before, now)
        books.owed, before = taxes, now
        rows.append(
            {
                "menu_in_force": menu,
                "tau_after": [n >> inputs["eta"] for n in books.num],
                "pool": books.pool,
                "carry": books.carry,
                "balances": dict(books.held),
            }
        )
    return rows


@given(histories())
def test_a_history_has_the_money_of_a_ledger_kept_the_long_way(inputs):
    assert evaluate("fwt_ledger", inputs) == by_the_books(inputs)


# ---------------------------------------------------------------------- sections 3 and 4


BID = st.tuples(st.sampled_from("abcd"), SMALL, SMALL, st.integers(1, 3)).map(list)


@given(bids=st.lists(BID, max_size=6), capacity=st.integers(0, 8))
def test_vcg_pays_the_harm_to_the_others(bids, capacity):
    def best(rows):
        users = sorted({b[0] for b in rows})
        picks = product(*[[None, *(b for b in rows if b[0] == u)] for u in users])
        sets = [[b for b in pick if b] for pick in picks]
        return max(sum(b[1] - b[2] for b in s) for s in sets if sum(b[3] for b in s) <= capacity)

    found = evaluate("auction_vcg", {"bids_id_chi_cost_channels": bids, "capacity": capacity})
    assert found["welfare"] == best(bids)
    chosen = [bids[k] for k in found["chosen_bid_indices"]]
    assert sum(b[1] - b[2] for b in chosen) == best(bids)
    for user, _chi, claim, _channels in chosen:
        without = best([b for b in bids if b[0] != user])
        assert found["payments"][user] == claim + best(bids) - without


@st.composite
def one_bid_each(draw):
    rows = draw(st.lists(st.tuples(SMALL, SMALL, st.integers(1, 3)), max_size=6))
    return [[f"u{k}", *row] for k, row in enumerate(rows)]


@given(bids=one_bid_each(), capacity=st.integers(0, 8))
def test_greedy_pays_the_largest_claim_that_still_wins(bids, capacity):
    def winners(rows):
        left, won = capacity, []
        dense = sorted((b for b in rows if b[1] >= b[2]), key=lambda b: (-Fraction(b[1] - b[2], b[3]), b[0]))
        for user, _chi, _claim, channels in dense:
            if channels <= left:
                left, won = left - channels, [*won, user]
        return won

    found = evaluate("auction_greedy_integer", {"bids_id_chi_cost_channels": bids, "capacity": capacity})
    assert found["winners"] == winners(bids)
    for user, chi, _claim, channels in bids:
        others = [b for b in bids if b[0] != user]
        wins = [v for v in range(chi + 1) if user in winners([*others, [user, chi, v, channels]])]
        assert (user in found["payments"]) == (user in found["winners"])
        if user in found["winners"]:
            assert found["payments"][user] == max(wins)


@given(
    bids=st.lists(st.tuples(SMALL, SMALL), max_size=5),
    reserve=st.integers(0, 4),
)
def test_second_score_pays_value_less_the_next_score(bids, reserve):
    rows = [[f"e{k}", value, price] for k, (value, price) in enumerate(bids)]
    scores = sorted((-(value - price), name) for name, value, price in rows if value - price >= reserve)
    found = evaluate("second_score", {"bids_id_value_price": rows, "reserve_score": reserve})
    if not scores:
        assert found == {"winner": None, "payment": 0}
        return
    winner = scores[0][1]
    value = next(v for name, v, _ in rows if name == winner)
    follower = -scores[1][0] if len(scores) > 1 else reserve
    assert found == {"winner": winner, "payment": value - max(reserve, follower)}


@given(asks=st.lists(SMALL, max_size=6), k=st.integers(1, 4), reserve=SMALL)
def test_uniform_procurement_pays_the_first_ask_that_lost(asks, k, reserve):
    rows = [[f"a{n}", ask] for n, ask in enumerate(asks)]
    kept = sorted((ask, name) for name, ask in rows if ask <= reserve)
    found = evaluate("uniform_procurement", {"asks": rows, "k": k, "reserve": reserve})
    assert found["winners"] == [name for _, name in kept[:k]]
    assert found["price"] == (kept[k][0] if len(kept) > k else reserve)


WEI = st.one_of(SMALL, st.integers(0, 10**30))


@given(cost=WEI, wage=WEI, p_ppm=st.integers(1, 10**6))
def test_an_audit_bond_is_the_least_that_makes_honest_work_best(cost, wage, p_ppm):
    bond = evaluate("audit_bond", {"cost": cost, "wage": wage, "p_ppm": p_ppm})["bond"]

    def is_honest_best(s):
        return (wage - cost) * 10**6 >= (10**6 - p_ppm) * wage - p_ppm * s

    assert bond >= 0 and is_honest_best(bond)
    assert bond == 0 or not is_honest_best(bond - 1)


@given(effort=WEI, low=st.integers(0, 10**6 - 1), gap=st.integers(1, 10**6))
def test_an_sla_bonus_is_the_least_that_is_worth_the_effort(effort, low, gap):
    high = min(10**6, low + gap)
    bonus = evaluate("sla_bonus", {"effort": effort, "qh_ppm": high, "ql_ppm": low})["bonus"]
    assert bonus * (high - low) >= effort * 10**6
    assert bonus == 0 or (bonus - 1) * (high - low) < effort * 10**6


@given(w=st.lists(st.floats(0.01, 50), max_size=5), c=st.floats(0.01, 5), capacity=st.floats(0.1, 30))
def test_no_price_of_a_grid_earns_a_network_more(w, c, capacity):
    found = evaluate("sdn_price", {"w": w, "c": c, "capacity": capacity})
    best = 0.0
    for k in range(1, 400):
        price = c + (max([*w, c]) - c) * k / 400
        sold = sum(max(0.0, v / price - 1) for v in w)
        if sold <= capacity:
            best = max(best, (price - c) * sold)
    assert found["profit"] >= best - 1e-9 * max(1.0, best)
    assert sum(found["rates_desc"]) <= capacity * (1 + 1e-9)
