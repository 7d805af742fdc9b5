"""JSON in, JSON out for learning rewards and service awards, in the golden file's shapes."""

from collections.abc import Mapping
from fractions import Fraction
from math import lcm

from incentives.auction import Bid, dual_bound, greedy, greedy_integer, optimal_welfare, vcg
from incentives.contract_theory import Menu, Publisher, publish, publish_knowing_types
from incentives.fields import Fields, decimal, elements, integer, number, text
from incentives.reputation import Opinion, reputation
from incentives.services import (
    Ask,
    Offer,
    audit_bond,
    posted_price,
    second_score,
    sla_bonus,
    uniform_price,
)
from incentives.stackelberg import (
    Device,
    Server,
    best_response,
    participation,
    post_reward,
    utility,
)
from registry.errors import Malformed

Answer = Mapping[str, object]
_BIDS = "bids_id_chi_cost_channels"
_MOST_CHANNELS = 10**18
# The printed utility matrix has the square of this many numbers; `publish` itself takes far more types.
_MOST_TYPES = 2_000


def stackelberg_best_response(inputs: Fields) -> Answer:
    device = Device(inputs.number("A", low=0), inputs.number("B", above=0))
    reward = inputs.number("r", low=0)
    theta = best_response(device, reward)
    least_reward, least_theta = participation(device)
    return {
        "theta": theta,
        "utility": _settled(utility(device, reward, theta)),
        "r_ir": least_reward,
        "theta_ir": least_theta,
    }


def stackelberg_equilibrium(inputs: Fields) -> Answer:
    """Only hired clients are listed, in the order of the input."""
    server = Server(
        beta=inputs.number("beta", low=0),
        a=inputs.number("a", low=0),
        b=inputs.number("b", low=0),
        delta=inputs.number("delta", low=0),
        theta_max=inputs.number("theta_max", above=0),
        reward_max=inputs.number("r_max", low=0),
        k_min=inputs.integer("k_min", low=0),
    )
    if server.theta_max > 1:
        raise Malformed(f"theta_max must be at most 1, got {server.theta_max}", field="theta_max")
    posted = post_reward(server, inputs.items("clients_A_B", _device))
    return {
        "r": posted.reward,
        "server_utility": posted.server_utility,
        "thetas": [h.theta for h in posted.hired],
        "payments": [h.payment for h in posted.hired],
        "client_utilities": [_settled(h.utility) for h in posted.hired],
    }


def auction_greedy(inputs: Fields) -> Answer:
    """Numbers are taken as the decimals they are written as, so equal densities are equal."""
    bids, capacity, scale = _scaled_bids(inputs)
    outcome = greedy(bids, capacity)
    return {
        "winners": [bids[k].user for k in outcome.winners],
        "welfare": _amount(Fraction(outcome.welfare, scale), scale),
        "payments": {u: _amount(p / scale, scale) for u, p in outcome.payments.items()},
        "optimal_welfare": _amount(Fraction(optimal_welfare(bids, capacity), scale), scale),
        "lp_dual_bound": _amount(dual_bound(bids, capacity) / scale, scale),
    }


def auction_vcg(inputs: Fields) -> Answer:
    bids, capacity, scale = _scaled_bids(inputs)
    outcome = vcg(bids, capacity)
    return {
        "chosen_bid_indices": list(outcome.winners),
        "welfare": _amount(Fraction(outcome.welfare, scale), scale),
        "payments": {
            bids[k].user: _amount(Fraction(outcome.payments[bids[k].user], scale), scale)
            for k in outcome.winners
        },
        "lp_dual_bound": _amount(dual_bound(bids, capacity) / scale, scale),
    }


def auction_greedy_integer(inputs: Fields) -> Answer:
    rows = inputs.items(_BIDS, lambda value, path: (elements(value, path, count=4), path))
    bids = [
        Bid(text(r[0], path), integer(r[1], path), integer(r[2], path, low=0), _channels(r[3], path))
        for r, path in rows
    ]
    outcome = greedy_integer(bids, inputs.integer("capacity", low=0))
    return {"winners": [bids[k].user for k in outcome.winners], "payments": dict(outcome.payments)}


def contract(inputs: Fields) -> Answer:
    publisher = _publisher(inputs.nested("params"))
    types, shares = inputs.items("types", number), inputs.items("probs", number)
    if len(types) > _MOST_TYPES:
        raise Malformed(f"at most {_MOST_TYPES} types are printed, got {len(types)}", field="types")
    menu = publish(publisher, types, shares)
    known = publish_knowing_types(publisher, types, shares)
    return {
        **_items(menu),
        "utility_matrix_type_by_item": [[_settled(v) for v in row] for row in menu.utilities().tolist()],
        "publisher_profit": menu.profit,
        "ironed_blocks": [list(block) for block in menu.blocks],
        "full_information": {**_items(known), "profit": known.profit},
    }


def reputation_of(inputs: Fields) -> Answer:
    opinion = Opinion(
        inputs.number("pos", low=0), inputs.number("neg", low=0), inputs.number("u"), inputs.number("a")
    )
    weights = inputs.number("wp", low=0), inputs.number("wn", low=0)
    return {"reputation": reputation(opinion, weights=weights)}


def second_score_award(inputs: Fields) -> Answer:
    rows = inputs.items("bids_id_value_price", lambda value, path: (elements(value, path, count=3), path))
    offers = [Offer(text(r[0], path), integer(r[1], path), integer(r[2], path, low=0)) for r, path in rows]
    award = second_score(offers, reserve_score=inputs.integer("reserve_score"))
    return {"winner": award.winner, "payment": award.payment}


def uniform_procurement(inputs: Fields) -> Answer:
    rows = inputs.items("asks", lambda value, path: (elements(value, path, count=2), path))
    asks = [Ask(text(r[0], path), integer(r[1], path, low=0)) for r, path in rows]
    slots = uniform_price(asks, slots=inputs.integer("k", low=0), reserve=inputs.integer("reserve", low=0))
    return {"winners": list(slots.winners), "price": slots.price}


def audit_bond_of(inputs: Fields) -> Answer:
    bond = audit_bond(
        cost=inputs.integer("cost", low=0),
        wage=inputs.integer("wage", low=0),
        p_ppm=inputs.integer("p_ppm"),
    )
    return {"bond": bond}


def sla_bonus_of(inputs: Fields) -> Answer:
    bonus = sla_bonus(
        effort=inputs.integer("effort", low=0),
        high_ppm=inputs.integer("qh_ppm"),
        low_ppm=inputs.integer("ql_ppm"),
    )
    return {"bonus": bonus}


def sdn_price(inputs: Fields) -> Answer:
    weights = inputs.items("w", lambda value, path: number(value, path, low=0))
    posted = posted_price(weights, cost=inputs.number("c", low=0), capacity=inputs.number("capacity", low=0))
    return {"price": posted.price, "rates_desc": list(posted.rates), "profit": posted.profit}


def _device(value: object, path: str) -> Device:
    pair = elements(value, path, count=2)
    return Device(number(pair[0], path, low=0), number(pair[1], path, above=0))


def _scaled_bids(inputs: Fields) -> tuple[list[Bid], int, int]:
    """The bids in whole units of 1/scale, the capacity, and the scale."""
    rows = inputs.items(_BIDS, lambda value, path: (elements(value, path, count=4), path))
    exact = [(decimal(r[1], path), decimal(r[2], path)) for r, path in rows]
    scale = lcm(*(part.denominator for pair in exact for part in pair))
    bids = []
    for (row, path), (value, claim) in zip(rows, exact, strict=True):
        if claim < 0:
            raise Malformed(f"{path} claims a negative cost", field=path)
        bids.append(Bid(text(row[0], path), int(value * scale), int(claim * scale), _channels(row[3], path)))
    return bids, inputs.integer("capacity", low=0), scale


def _channels(value: object, path: str) -> int:
    return integer(value, path, low=1, high=_MOST_CHANNELS)


def _amount(amount: Fraction, scale: int) -> int | float:
    """Whole inputs keep whole answers exact; the rest are floats."""
    return int(amount) if scale == 1 and amount.denominator == 1 else float(amount)


def _publisher(params: Fields) -> Publisher:
    positive = {
        name: params.number(symbol, above=0)
        for name, symbol in (
            ("psi", "psi"),
            ("zeta", "zeta"),
            ("cycles", "c"),
            ("samples", "s"),
            ("time_max", "Tmax"),
            ("omega", "w"),
            ("reward_weight", "l"),
            ("mu", "mu"),
            ("f_max", "fmax"),
        )
    }
    f_min = params.number("fmin", low=0)
    if f_min > positive["f_max"]:
        raise Malformed(f"fmin {f_min} is above fmax {positive['f_max']}", field="params.fmin")
    publisher = Publisher(
        **positive,
        f_min=f_min,
        energy_com=params.number("Ecom", low=0),
        time_com=params.number("Tcom", low=0),
        devices=params.integer("N", low=0),
    )
    params.end()
    return publisher


def _items(menu: Menu) -> Answer:
    return {"f": list(menu.frequencies), "R": list(menu.rewards)}


def _settled(value: float) -> float:
    """A utility below 1e-9 is the rounding of a binding constraint: 0."""
    return 0.0 if abs(value) < 1e-9 else value
