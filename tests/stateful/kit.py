"""How long the state machines run: short and always the same in tests, long and each time others in soaks."""

import os

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

EXAMPLES = int(os.environ.get("TWINLEDGER_TEST_EXAMPLES", "0"))
SEED = int(os.environ.get("TWINLEDGER_TEST_SEED", "0"))


def run(machine: type[RuleBasedStateMachine], *, examples: int, steps: int) -> None:
    """Run histories of a machine: so many with a fixed seed, or as many as a soak asks for with its own."""
    run_state_machine_as_test(
        seed(SEED)(machine) if EXAMPLES else machine,
        settings=settings(
            max_examples=EXAMPLES or examples,
            stateful_step_count=steps,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
