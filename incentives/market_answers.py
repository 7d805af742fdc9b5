"""JSON in, JSON out for the fee market: the golden file's `fwt_*` shapes."""

from collections.abc import Mapping

from incentives.backlog import DelayCosts, Pending, SealedBytes, estimate, runs
from incentives.fields import Fields, elements, integer, text
from incentives.fwt import Game, Rates, Users, Waits, equilibrium, optimal_taxes, optimum, welfare
from incentives.fwt_baselines import bidding_market, fifo_welfare, one_fee, two_fees
from incentives.ledger import Ledger, Menu, Rules
from incentives.queueing import ExponentialBlocks, FixedBlocks, Queue
from registry.errors import FeeTooLow, Malformed

Answer = Mapping[str, object]
_MOST = 10**15


def fwt_queue(inputs: Fields) -> Answer:
    queue, rate = _queue(inputs), inputs.number("x", low=0)
    return {"G": queue.count(rate), "dG": queue.slope(rate), "W": queue.wait(rate)}


def fwt_equilibrium(inputs: Fields) -> Answer:
    game = _game(inputs)
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    played = equilibrium(game, game.storage + taxes.atomic_high, game.storage + taxes.atomic_low)
    x_high, x_low = best.totals(game)
    waits = Waits.at(game.queue, x_high, x_low)
    return {
        "lambda_H": best.high,
        "lambda_L": best.low,
        "x_H": x_high,
        "x_L": x_low,
        "W_H": waits.high,
        "W_L": waits.low,
        "W_all": waits.all,
        "p_HH": taxes.p_hh,
        "p_HL": taxes.p_hl,
        "p_LH": taxes.p_lh,
        "p_LL": taxes.p_ll,
        "tax_H_atomic_per_tx": taxes.atomic_high,
        "tax_L_atomic_per_tx": taxes.atomic_low,
        "tau_H_price_taking_per_tx": taxes.taking_high,
        "tau_L_price_taking_per_tx": taxes.taking_low,
        "storage_floor_per_tx": game.storage,
        "SW_opt": welfare(game, best),
        "SW_fwt": welfare(game, played),
        **_baselines(game),
    }


def _baselines(game: Game) -> Answer:
    common, fees, market = one_fee(game), two_fees(game), bidding_market(game)
    total = sum(common.totals(game))
    waits = Waits.at(game.queue, *fees.rates.totals(game))
    return {
        "E1": {
            **_rates(common),
            "x": total,
            "W": game.queue.wait(total),
            "SW": fifo_welfare(game, common),
        },
        "E2": {
            "premium_per_tx": fees.premium,
            **_rates(fees.rates),
            "W_H": waits.high,
            "W_L": waits.low,
            "SW": welfare(game, fees.rates),
        },
        "E3": {**_rates(market), "SW": welfare(game, market)},
    }


def fwt_ledger(inputs: Fields) -> list[Answer]:
    """The state right after each close: earlier rebates paid in full, this epoch's not begun."""
    users, miners = inputs.items("users", text), inputs.named("miners", _amount)
    if len({*users, *miners}) != len(users) + len(miners):
        raise Malformed("users and miners must be distinct accounts", field="users")
    rules = Rules(
        _delay_costs(inputs),
        inputs.integer("eps", low=1),
        inputs.integer("eta", low=0, high=255),
        _tau0(inputs),
    )
    ledger = Ledger(rules, prices=miners, accounts=users)
    balance = inputs.integer("initial_user_balance", low=0)
    for account in (*users, *miners):
        ledger.deposit(account, balance if account in users else 0)
    states: list[Answer] = []
    for epoch in inputs.items("epochs", lambda value, path: elements(value, path)):
        menu = ledger.menu
        pending = [_seal(ledger, block, slot, f"epochs[{len(states)}]") for slot, block in enumerate(epoch)]
        for miner in miners:
            ledger.post(miner, pending)
        ledger.pay_rebates(len(users))
        ledger.close()
        states.append(_state(ledger, menu))
    return states


def _seal(ledger: Ledger, block: object, slot: int, epoch: str) -> Pending:
    """Charge one block's transactions; the bits of what it leaves pending."""
    fields = Fields(block, f"{epoch}[{slot}]")
    for tx, path in fields.items("txs", lambda value, path: (elements(value, path, count=3), path)):
        user, size, fee_class = text(tx[0], path), _amount(tx[1], path), text(tx[2], path)
        if fee_class not in ("H", "L"):
            raise Malformed(f"{path} has class {fee_class!r}, neither 'H' nor 'L'", field=path)
        if user in ledger.prices or user not in ledger.balances:
            raise Malformed(f"{path} names {user!r}, which is no user", field=path)
        sealer = fields.text("sealer")
        if sealer not in ledger.prices:
            raise Malformed(f"{epoch}[{slot}].sealer {sealer!r} is no miner", field=f"{epoch}[{slot}].sealer")
        try:
            ledger.include(user, size, high=fee_class == "H", slot=slot, sealer=sealer)
        except FeeTooLow as e:
            raise Malformed(f"{path} cannot be paid: {e.message}", field=path) from e
    high, low = fields.integer("backlog_H", low=0), fields.integer("backlog_L", low=0)
    fields.end("sealer")  # of a slot in which nothing was sealed
    return Pending(high > 0, high + low > 0)


def _state(ledger: Ledger, menu: Menu) -> Answer:
    return {
        "menu_in_force": {
            "rho_H": menu.rho_high,
            "rho_L": menu.rho_low,
            "tax_H": menu.tax_high,
            "tax_L": menu.tax_low,
        },
        "tau_after": list(ledger.tau),
        "pool": ledger.pool,
        "carry": ledger.carry,
        "balances": dict(ledger.balances),
    }


def fwt_run_length(inputs: Fields) -> Answer:
    costs = _delay_costs(inputs)
    headers = inputs.items(
        "headers_bytesH_bytesL_backH_backL",
        lambda value, path: [_amount(v, path) for v in elements(value, path, count=4)],
    )
    pending = [Pending(h[2] > 0, h[2] + h[3] > 0) for h in headers]
    delays = runs(pending, costs.run_cap)
    found = estimate([SealedBytes(h[0], h[1]) for h in headers], pending, [], costs)
    return {
        "run_H": [d.run_high for d in delays],
        "run_all": [d.run_all for d in delays],
        "tau_H": found.high,
        "tau_HH_part": found.high_on_high,
        "tau_HL_part": found.high_on_low,
        "tau_L": found.low,
    }


def _queue(inputs: Fields) -> Queue:
    kind = inputs.text("kind")
    interval, capacity = inputs.number("T", above=0), inputs.integer("B", low=1, high=_MOST)
    if kind == "exp":
        return ExponentialBlocks(interval, capacity)
    if kind == "fixed":
        return FixedBlocks(interval, capacity)
    raise Malformed(f"kind must be 'exp' or 'fixed', got {kind!r}", field="kind")


def _game(inputs: Fields) -> Game:
    """The first N // 2 users are H, the rest L; each of M miners stores a byte at cs."""
    users = inputs.integer("N", low=1, high=_MOST)
    own = inputs.number("cs", low=0) * inputs.number("s", above=0)
    return Game(
        Users(users // 2, inputs.number("aH", above=0), inputs.number("gH", low=0)),
        Users(users - users // 2, inputs.number("aL", above=0), inputs.number("gL", above=0)),
        kappa=inputs.number("kap", above=0),
        storage=inputs.integer("M", low=1, high=_MOST) * own,
        own_storage=own,
        queue=_queue(inputs),
    )


def _rates(rates: Rates) -> Answer:
    return {"lambda_H": rates.high, "lambda_L": rates.low}


def _delay_costs(inputs: Fields) -> DelayCosts:
    return DelayCosts(
        inputs.integer("gH", low=0), inputs.integer("gL", low=0), inputs.integer("run_cap", low=0)
    )


def _tau0(inputs: Fields) -> tuple[int, int]:
    taus = inputs.items("tau0", _amount)
    if len(taus) != 2:
        raise Malformed(f"tau0 must have 2 elements, got {len(taus)}", field="tau0")
    return taus[0], taus[1]


def _amount(value: object, path: str) -> int:
    return integer(value, path, low=0)
