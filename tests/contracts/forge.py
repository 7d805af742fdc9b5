"""Thousands of tapes in one process: forge plays them on the committed artifacts (contracts/replay)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tape import Tape

ROOT = Path(__file__).parents[2]
FORGE = ROOT / "scripts" / "devnet" / "forge"
NOT_INSTALLED = 3


def play(
    tapes: Iterable[Tape], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Write the tapes into `folder` and play them all; the first step that differs fails the run."""
    count = 0
    for count, tape in enumerate(tapes, start=1):
        (folder / str(count - 1)).write_bytes(tape.packed())
    settings = {
        "TWINLEDGER_TAPES": str(folder),
        "TWINLEDGER_TAPES_FIRST": "0",
        "TWINLEDGER_TAPES_COUNT": str(count),
        "TWINLEDGER_TAPES_CHAIN": str(Tape.chain_id),
    }
    return subprocess.run(
        [sys.executable, FORGE, "test", "--root", "replay"],
        cwd=ROOT,
        env={**os.environ, **environment, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
