"""`--source ns3`: the same pipeline on data from ns-3, a simulator that nobody here wrote.

ns-3 runs in one process for the whole demo (its start costs seconds), fed a request a line: a process of this
interpreter, which then needs the extra `pip install 'twinledger[ns3]'`, or of the Python that
TWINLEDGER_NS3_PYTHON names, which needs nothing but the `ns3` wheel.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import numpy as np

from registry.demo.mobility import Walker
from registry.demo.world import Cell, Track, draw_walkers, track_of
from registry.errors import Malformed, Unavailable

PROGRAM = Path(__file__).with_name("ns3_program.py")
INTERPRETER = "TWINLEDGER_NS3_PYTHON"
MEAN_STEPS = 180


@dataclass(frozen=True, slots=True)
class Ns3Source:
    """A running ns-3 process that simulates cells on request."""

    process: "subprocess.Popen[str]"
    complaints: IO[bytes]

    @property
    def channel_model(self) -> str:
        """The propagation model, as manifests name it."""
        return "ns-3 ThreeGpp (3GPP TR 38.901)"

    def tracks(self, cell: Cell, devices: int, seed: int) -> tuple[Track, ...]:
        """One track per device; ns-3 moved it and computed every power, for this seed always the same."""
        rng = np.random.default_rng([seed, *cell.name.encode()])
        walkers = draw_walkers(cell, devices, rng)
        steps = [int(MEAN_STEPS * rng.uniform(0.5, 1.5)) for _ in walkers]
        rows = self._ask(_request(cell, walkers, steps, seed=int(rng.integers(2**31))))
        return tuple(_track(cell, f"ue-{i + 1:02d}", np.array(own)) for i, own in enumerate(rows))

    def _ask(self, request: str) -> list[list[list[float]]]:
        if self.process.stdin is None or self.process.stdout is None:
            raise Unavailable("the ns-3 process has no pipes")
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            rows: list[list[list[float]]] = json.loads(answer)["rows"]
        except (OSError, ValueError, KeyError) as e:
            self.complaints.seek(0)
            last = self.complaints.read().decode(errors="replace").strip().splitlines()[-1:]
            raise Unavailable(f"ns-3 gave no answer: {' '.join(last) or 'it ended'}") from e
        return rows


def _request(cell: Cell, walkers: tuple[Walker, ...], steps: list[int], *, seed: int) -> str:
    layer = cell.layer
    habits = []
    for walker, count in zip(walkers, steps, strict=True):
        plain = asdict(walker)
        habits.append({"x": plain.pop("home_x_m"), "y": plain.pop("home_y_m"), "steps": count, **plain})
    return json.dumps(
        {
            "scenario": layer.scenario.name,
            "carrier_hz": layer.carrier_hz,
            "bs_height_m": layer.scenario.bs_height_m,
            "transmit_dbm": layer.transmit_dbm,
            "sites": cell.sites,
            "index": cell.index,
            "devices": habits,
            "seed": seed,
        }
    )


def _track(cell: Cell, device: str, rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Track:
    return track_of(cell, device, rows[:, :3], rows[:, 3] > 0.5, rows[:, 4:])


def ns3_python() -> str:
    """The interpreter that has ns-3; without one the error says how to get it."""
    named = os.environ.get(INTERPRETER)
    if named and not Path(named).is_file():
        raise Malformed(f"{INTERPRETER} names {named}, which does not exist", hint="unset it or correct it")
    if not named and find_spec("ns") is None:
        raise Malformed(
            "ns-3 is not installed for this Python",
            hint="run `pip install 'twinledger[ns3]'` or choose --source builtin",
        )
    return named or sys.executable


@contextmanager
def ns3_source() -> Iterator[Ns3Source]:
    """Start ns-3 and end it afterwards."""
    interpreter = ns3_python()
    # ns-3 looks for its libraries below the working folder too, and refuses to start when it finds two sets.
    with TemporaryFile() as complaints, TemporaryDirectory() as empty:
        process = subprocess.Popen(  # noqa: S603 - our own program, by the interpreter that was chosen
            [interpreter, str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            cwd=empty,
        )
        with process:
            try:
                yield Ns3Source(process, complaints)
            finally:
                # A request that is under way would otherwise be waited for.
                process.terminate()
