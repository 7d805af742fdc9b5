"""Engines come from ordinary package clients and are kept in a cache outside the clone.

A build's folder carries the digest of what pins it (go.sum and the Go version, or the npm lock), so a changed
pin is a new folder and an old binary is never taken for a new one.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULES = Path(__file__).parent.parent / "modules"
OLDEST_GO_FOR = {"kubo": (1, 26), "geth": (1, 22)}


class MissingError(Exception):
    """An engine, or a tool that installs it, is not on this machine; the message names it."""


def cache() -> Path:
    """The folder of all builds, made if need be."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "twinledger" / "engines"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(*parts: bytes) -> str:
    """Sixteen hex digits that change when any part does."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Hold the lock of a build folder and yield a scratch folder that becomes it when the block succeeds."""
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        scratch = folder.parent / f"{folder.name}.part"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        yield scratch
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)


def tool(name: str, *, package: str) -> str:
    """The path of a program, installed from Debian's package when this is root on a Debian machine."""
    if (found := shutil.which(name)) is not None:
        return found
    apt_install(package, why=f"{name} is not on this machine")
    if (found := shutil.which(name)) is None:
        raise MissingError(f"{name} is not on this machine, and Debian's {package} did not bring it")
    return found


def apt_install(package: str, *, why: str) -> None:
    """Install one of Debian's packages, or say by name what is missing."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise MissingError(f"{why}: install {package}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-qy", "install", "--no-install-recommends", package]
    for argv in (["apt-get", "-q", "update"], install):
        if subprocess.run(argv, env=quiet, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            raise MissingError(f"{why}, and `{' '.join(argv)}` failed")


def go_version(engine: str) -> str:
    """What `go version` prints, once it is recent enough for the engine.

    An older Go that may fetch its own successor (GOTOOLCHAIN=auto) has done so by the time it answers.
    """
    go = shutil.which("go")
    oldest = OLDEST_GO_FOR[engine]
    wanted = f"Go {oldest[0]}.{oldest[1]} or newer"
    if go is None:
        raise MissingError(f"{engine} is built by {wanted}, and go is not on this machine")
    answer = subprocess.run(
        [go, "version"], cwd=MODULES / engine, capture_output=True, text=True, check=False
    ).stdout.strip()
    found = re.search(r"go(\d+)\.(\d+)", answer)
    if found is None or (int(found[1]), int(found[2])) < oldest:
        raise MissingError(f"{engine} is built by {wanted}, and this machine has {answer or 'an older one'}")
    return answer


def go_build_folder(engine: str) -> Path:
    """Where the binary of a Go engine is, or will be."""
    sums = (MODULES / engine / "go.sum").read_bytes()
    return cache() / f"{engine}-{digest(sums, go_version(engine).encode())}"


def go_build(engine: str, *, package: str, binary: str, flags: tuple[str, ...] = ()) -> Path:
    """Build a program of a Go module pinned by modules/ENGINE, unless the cache has it."""
    folder = go_build_folder(engine)
    if not (folder / binary).exists():
        with building(folder) as scratch:
            argv = ["nice", "-n", "10", "go", "build", "-mod=readonly", "-buildvcs=false", *flags]
            argv += ["-o", str(scratch / binary), package]
            if subprocess.run(argv, cwd=MODULES / engine, check=False).returncode != 0:
                raise MissingError(f"{engine} is not installed: `go build {package}` failed")
    return folder / binary


def go_binary(engine: str, binary: str) -> Path:
    """The binary of an engine that was built before."""
    return installed(go_build_folder(engine) / binary, engine)


def foundry_folder() -> Path:
    """Where anvil, forge and cast are, or will be."""
    pins = [(MODULES / "npm" / name).read_bytes() for name in ("package.json", "package-lock.json")]
    return cache() / f"foundry-{digest(*pins)}"


def foundry_install() -> Path:
    """Install the Foundry binaries from npm; they lie inside platform packages, so no install script runs.

    `npm ci` wants every platform's package in the lock and some registries serve only a few of them,
    so this is `npm install` under the lock: versions and integrity are checked all the same.
    """
    folder = foundry_folder()
    if not folder.exists():
        npm = tool("npm", package="npm")
        with building(folder) as scratch:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(MODULES / "npm" / name, scratch)
            argv = [npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
            if subprocess.run(argv, cwd=scratch, stdout=subprocess.DEVNULL, check=False).returncode != 0:
                raise MissingError("anvil is not installed: `npm install` failed")
    return folder


def foundry_binary(name: str) -> Path:
    """The path of anvil, forge or cast, installed before."""
    packages = foundry_folder() / "node_modules" / "@foundry-rs"
    found = [path for path in packages.glob(f"{name}-*/bin/{name}*") if path.is_file()]
    return installed(found[0] if found else packages / name, "anvil")


def installed(binary: Path, engine: str) -> Path:
    """The binary itself, or the command that brings it."""
    if not binary.exists():
        raise MissingError(f"{engine} is not installed: run `scripts/devnet/{engine} install`")
    return binary
