"""Any mechanism on JSON: what `twinledger mechanism run KEY` computes.

`evaluate` reads the value of `inputs` and returns the value of `outputs`, in the shapes of the known-answer
file. Whatever cannot be read, or leaves the range of floating point, is Malformed.

>>> evaluate("audit_bond", {"cost": 900, "wage": 1000, "p_ppm": 50000})
{'bond': 17000}
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from types import MappingProxyType

import numpy as np

from incentives import market_answers as market
from incentives import reward_answers as rewards
from incentives.fields import Fields, shown
from registry.errors import Malformed, NotFound

Answer = Mapping[str, object] | Sequence[object]

_MECHANISMS: Mapping[str, Callable[[Fields], Answer]] = MappingProxyType(
    {
        "fwt_queue": market.fwt_queue,
        "fwt_equilibrium": market.fwt_equilibrium,
        "fwt_ledger": market.fwt_ledger,
        "fwt_run_length": market.fwt_run_length,
        "stackelberg_best_response": rewards.stackelberg_best_response,
        "stackelberg_equilibrium": rewards.stackelberg_equilibrium,
        "auction_greedy": rewards.auction_greedy,
        "auction_greedy_integer": rewards.auction_greedy_integer,
        "auction_vcg": rewards.auction_vcg,
        "contract": rewards.contract,
        "reputation": rewards.reputation_of,
        "second_score": rewards.second_score_award,
        "uniform_procurement": rewards.uniform_procurement,
        "audit_bond": rewards.audit_bond_of,
        "sla_bonus": rewards.sla_bonus_of,
        "sdn_price": rewards.sdn_price,
    }
)
KEYS = tuple(_MECHANISMS)
# Python reads and prints integers of up to 4,300 digits, and readers of JSON rarely more.
_MOST_BITS = 14_000


def evaluate(key: str, inputs: object) -> Answer:
    """The outputs of mechanism `key`; an unknown key is NotFound, a bad input Malformed with its `field`."""
    mechanism = _MECHANISMS.get(key)
    if mechanism is None:
        raise NotFound(f"no mechanism is called {shown(key)}", hint="run `twinledger mechanism list`")
    fields = Fields(inputs)
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            answer = mechanism(fields)
        fields.end()
    except (ArithmeticError, MemoryError) as e:
        raise Malformed(f"the inputs of {key} leave the range of floating point", field="inputs") from e
    if not _is_printable(answer):
        raise Malformed(f"the answer of {key} has numbers too large to be printed", field="inputs")
    return answer


def _is_printable(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, int):
        return value.bit_length() <= _MOST_BITS
    if isinstance(value, Mapping):
        return all(_is_printable(v) for v in value.values())
    if isinstance(value, list):
        return all(_is_printable(v) for v in value)
    return True
