"""scripts/devnet on a machine that lacks something: exit code 3 and the name of what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEVNET = Path(__file__).parents[2] / "scripts" / "devnet"


@pytest.fixture
def bare(tmp_path):
    """Run a devnet program with nothing but Python on the PATH and no build in the cache."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    (programs / "env").symlink_to(shutil.which("env"))

    def run(*argv):
        environment = {**os.environ, "PATH": str(programs), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [DEVNET / argv[0], *argv[1:]], env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("engine", ["kubo", "geth"])
def test_without_go_the_go_engines_say_so(bare, engine):
    done = bare(engine, "install")
    assert done.returncode == 3
    assert f"{engine} is built by Go" in done.stderr
    assert "go is not on this machine" in done.stderr


def test_a_go_that_is_too_old_is_named_with_its_version(bare, tmp_path):
    go = tmp_path / "bin" / "go"
    go.write_text("#!/usr/bin/env python3\nprint('go version go1.19.8 linux/amd64')\n")
    go.chmod(0o755)
    done = bare("kubo", "install")
    assert done.returncode == 3
    assert "go1.19.8" in done.stderr


def test_an_engine_that_was_never_installed_names_the_command_that_does(bare, tmp_path):
    done = bare("anvil", "start", "--dir", str(tmp_path / "data"))
    assert done.returncode == 3
    assert done.stderr.strip() == "anvil is not installed: run `scripts/devnet/anvil install`"


def test_a_folder_without_an_engine_is_not_healthy(bare, tmp_path):
    done = bare("geth", "health", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert "never started" in done.stderr
