"""`twinledger` as processes of its own, and the engines of scripts/devnet, for tests of the real thing."""

import datetime
import ipaddress
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from eth_keyfile.keyfile import create_keyfile_json
from nodes import RICH
from nursery import Child, nursery

from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.core.ids import Address, keccak
from registry.core.signing import KeySigner
from registry.keystore import DEVELOPMENT, write_private

DEVNET = Path(__file__).parents[1] / "scripts" / "devnet"
_PATIENCE_S = 300


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def twinledger(*arguments: object, home: Path, given: str = "", **environment: str) -> Done:
    """Run one command to its end."""
    with tempfile.TemporaryDirectory(prefix="twinledger-command-") as folder:
        stdin, stdout, stderr = (Path(folder) / name for name in ("in", "out", "err"))
        stdin.write_text(given)
        child = nursery().start(
            *command(*arguments, home=home),
            folder=home.parent,
            environment=surroundings(home, environment),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        code = child.wait()
        return Done(code, stdout.read_text(), stderr.read_text())


def succeed(*arguments: object, home: Path, given: str = "", **environment: str) -> Any:
    """Run one command with --json and answer its document; anything but exit 0 fails the test."""
    done = twinledger(*arguments, "--json", home=home, given=given, **environment)
    assert done.code == 0, f"{arguments}: {done.err}{done.out}"
    return done.json


def command(*arguments: object, home: Path) -> list[str]:
    return [*map(str, arguments), "--home", str(home)]


def surroundings(home: Path, given: dict[str, str]) -> dict[str, str]:
    """An environment without any setting of whoever runs the tests."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TWINLEDGER_")}
    return kept | {"HOME": str(home.parent), "PYTHONPATH": str(DEVNET.parents[1])} | given


@dataclass(frozen=True)
class Process:
    """A command that runs until it is stopped; what it says on stderr is kept."""

    child: Child
    stderr: Path

    @property
    def said(self) -> list[str]:
        """All its whole lines."""
        return [line for line in self.stderr.read_text().splitlines(True) if line.endswith("\n")]

    def wait_for(self, pattern: str) -> str:
        """The first group of the first line that fits; the limit only keeps a broken run from hanging."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if found := re.search(pattern, "".join(self.said)):
                return found[1]
            assert self.child.poll() is None, self.stderr.read_text()
            time.sleep(0.02)
        raise AssertionError(f"it never said {pattern}: {self.said}")

    def stop(self) -> int:
        """SIGTERM, as an operator would."""
        self.child.terminate()
        return self.child.wait(_PATIENCE_S)


@contextmanager
def running(*arguments: object, home: Path, **environment: str) -> Iterator[Process]:
    """Start a command; it is stopped in the end, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="twinledger-process-") as folder:
        stderr = Path(folder) / "err"
        stderr.touch()
        child = nursery().start(
            *command(*arguments, home=home),
            folder=home.parent,
            environment=surroundings(home, environment),
            stderr=stderr,
        )
        process = Process(child, stderr)
        try:
            yield process
        finally:
            process.stop()


def keep_key(home: Path, name: str, label: str) -> Address:
    """A development keystore whose secret follows from the label."""
    secret = keccak(label.encode())
    signer = KeySigner(secret)
    keystore = create_keyfile_json(secret, b"", kdf="pbkdf2", iterations=1)
    held = {**keystore, "address": signer.address[2:].lower(), DEVELOPMENT: True}
    write_private(home / "keys" / f"{name}.json", json.dumps(held))
    return signer.address


def free_ports(count: int) -> list[int]:
    """Ports that are free on loopback at this moment, all different."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]


def fund(rpc: str, address: Address, wei: int) -> None:
    """Coin from the development network's rich account."""
    link = RpcChain([rpc], confirmations=0)
    try:
        Sender(link, RICH).send(address, b"", wei)
    finally:
        link.close()


@contextmanager
def engines(*names: str) -> Iterator[dict[str, str]]:
    """Start engines of scripts/devnet; the test is skipped by name where one is not installed."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="twinledger-e2e-", dir="/var/tmp"))
        )
        folder.chmod(0o755)  # PostgreSQL runs as another user
        found: dict[str, str] = {}
        for text in names:
            name, *options = text.split()
            place = folder / name
            done = _devnet(name, "start", place, *options)
            if done.returncode == 3 and os.environ.get("CI") != "true":
                pytest.skip(f"{name}: {done.stderr.strip()}")
            assert done.returncode == 0, done.stderr
            stack.callback(_devnet, name, "stop", place)
            pairs = (line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
            found |= {key: value.strip("'") for key, value in pairs}
        yield found


def _devnet(name: str, what: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(DEVNET / name), what, "--dir", str(folder), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files
