"""Random histories: the contracts and incentives/ledger.py hold the same wei after every close and page.

200 on the embedded chain here; thousands in forge by `scripts/soak ledger`, which sets the first seed and
the number (docs/soak/ledger.json).
"""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from embedded import Differs, play
from forge import NOT_INSTALLED
from forge import play as play_in_forge
from histories import History
from tape import Kind, Tape

# Read before the fixture that gives each test a home of its own: the tools lie in the real one.
ENVIRONMENT = dict(os.environ)
FIRST = int(os.environ.get("TWINLEDGER_TEST_SEED", "0"))
HISTORIES = int(os.environ.get("TWINLEDGER_TEST_HISTORIES", "20"))
FOUNDINGS = 6
GROUP = 25


@pytest.mark.parametrize("first", range(0, 200, GROUP))
def test_contract_and_reference_agree_to_the_wei_on_the_embedded_chain(first):
    for seed in range(first, first + GROUP):
        play(History(seed, founding=seed % FOUNDINGS, closes=3, looks=0.2).tape)


def test_contract_and_reference_agree_to_the_wei_in_forge(tmp_path):
    counts = Counter()

    def tapes():
        for seed in range(FIRST, FIRST + HISTORIES):
            history = History(seed)
            counts.update(history.counts)
            yield history.tape

    done = play_in_forge(tapes(), tmp_path, ENVIRONMENT)
    if done.returncode == NOT_INSTALLED and os.environ.get("CI") != "true":
        pytest.skip(f"forge: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    if told := ENVIRONMENT.get("TWINLEDGER_TEST_COUNTS"):
        Path(told).write_text(json.dumps(counts))


def test_every_history_has_what_makes_it_one():
    """At least 3 closed epochs, 4 accounts, both classes somewhere, a liar, an absentee, withdrawals."""
    some = [History(seed, founding=seed % FOUNDINGS, closes=3) for seed in range(200)]
    assert all(len(h.users) >= 4 and len(h.miners) >= 3 for h in some)
    assert all(h.ledger.epoch >= 3 and h.counts["absent"] and h.counts["withdrawals"] for h in some)
    total = sum((h.counts for h in some), Counter())
    wanted = ("H", "L", "lies", "cheap", "forged", "repeated", "unpayable", "over budget", "idle epochs")
    assert all(total[what] > 10 for what in (*wanted, "condemned", "collected", "gone", "pages"))


def _changed(tape: Tape, kind: Kind, name: str) -> Tape:
    """The same tape, but one wei more is expected of the last such step."""
    place = max(i for i, s in enumerate(tape.steps) if s.kind is kind and s.what.startswith(name))
    step = tape.steps[place]
    more = (int.from_bytes(step.expected) + 1).to_bytes(len(step.expected))
    tape.steps[place] = replace(step, expected=more)
    return tape


@pytest.mark.parametrize(
    ("kind", "name"), [(Kind.READ, "account"), (Kind.READ, "tau"), (Kind.READ, "pool"), (Kind.HELD, "Twin")]
)
def test_one_wei_of_difference_is_found(kind, name):
    with pytest.raises(Differs):
        play(_changed(History(7, founding=1, closes=1).tape, kind, name))


def test_one_wei_of_difference_is_found_in_forge(tmp_path):
    good, bad = History(7, closes=1).tape, _changed(History(7, closes=1).tape, Kind.READ, "account")
    done = play_in_forge([good, bad], tmp_path, ENVIRONMENT)
    if done.returncode == NOT_INSTALLED and os.environ.get("CI") != "true":
        pytest.skip(f"forge: {done.stderr.strip()}")
    assert done.returncode == 1
    assert "Differs(1, " in done.stdout
