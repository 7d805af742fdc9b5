"""README's ten lines of Python run as they stand, right after `twinledger up`."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

README = Path(__file__).parents[2] / "README.md"
TWINLEDGER = (sys.executable, "-m", "registry.cli")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """`twinledger up` on an empty home, as a process of its own."""
    variables = {**os.environ, "TWINLEDGER_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    with (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen([*TWINLEDGER, "up", "--port", "0"], env=variables, stderr=log, stdout=log)
    client = tmp_path / "home" / "client.toml"
    while not client.exists():
        assert up.poll() is None, (tmp_path / "up.log").read_text()
        time.sleep(0.1)
    yield variables
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=60) == 0


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_python_block_runs_as_it_stands(environment: dict[str, str], tmp_path: Path) -> None:
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "local/ran-twin v1 is 0x" in done.stdout


def test_the_shell_block_runs_as_it_stands(environment: dict[str, str], tmp_path: Path) -> None:
    script = next(block for block in blocks("bash") if "twinledger submit" in block)
    (tmp_path / "manifest.json").write_text('{"description": "RSRP of tower 7"}')
    save_file({"w": np.ones(3, "float32")}, tmp_path / "twin.safetensors")
    command = f'set -e\ntwinledger() {{ "{sys.executable}" -m registry.cli "$@"; }}\n{script}'
    done = subprocess.run(
        ["bash", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "retrieved" / "twin.safetensors").exists()


def test_readme_names_only_pages_that_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert [target for target in targets if not (README.parent / target).exists()] == []
