"""The registry that most people use, MLflow's, beside ours in one run: the same weights, over loopback.

MLflow's server runs as its handbook starts it (SQLite, artifacts through the server) in an environment of its
own, kept in the cache. It is spoken to by plain HTTP, which spares it its own client. Ours does more in the
same time: every version is hashed, signed, sealed on a chain, its receipt verified, every retrieved byte too.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import count as count_up
from pathlib import Path
from typing import Any

import numpy as np
from installation import Installation, on_anvil
from kit import Result, side_by_side
from safetensors.numpy import save_file
from through import anvil

from registry.sdk import Client
from registry.sdk.receipts import Receipt
from registry.sdk.submitting import Work

MLFLOW = "3.17.2"
MODEL = "local/peer"
_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_PATIENCE_S = 120
_WARM = 5
_ROUNDS = 5


def measure(*, full: bool) -> list[Result]:
    """Register and retrieve the same files with both, in turn."""
    count = 1_000 if full else 200
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = [_weights(folder / f"{number}.safetensors", number) for number in range(count)]
        rpc = stack.enter_context(anvil(folder / "anvil"))
        ours = stack.enter_context(on_anvil(folder, rpc, miners=1))
        theirs = stack.enter_context(_mlflow(folder / "mlflow"))
        _call(theirs, "POST", f"{_API}/registered-models/create", {"name": "peer"})
        _register(ours, files[:_WARM], "warm")
        registered = count / _register(ours, files, "run"), count / _register_there(theirs, files)
        client = stack.enter_context(ours.client())
        mine, yours = count_up(), count_up()
        took = side_by_side(
            lambda: _retrieve(client, folder, [next(mine) % count for _ in range(count // _ROUNDS)]),
            lambda: _retrieve_there(theirs, files, [next(yours) % count for _ in range(count // _ROUNDS)]),
            _ROUNDS,
        )
        retrieved = [count // _ROUNDS / one for one in took]
        silent = _overwrite(theirs)
    return [
        Result(
            f"versions registered per second, {count} of 64 KiB, one client",
            f"{registered[0]:.0f}/s sealed on anvil, receipts verified",
            f"MLflow {MLFLOW}: {registered[1]:.0f}/s",
            registered[0] / registered[1],
            1,
            f"a registered version's file {'was' if silent else 'could not be'} replaced in MLflow without a "
            "word; ours are named by their hash",
        ),
        Result(
            f"versions retrieved per second, {count} of 64 KiB in {_ROUNDS} turns, one client",
            f"{retrieved[0]:.0f}/s, every byte verified, every retrieval logged",
            f"MLflow {MLFLOW}: {retrieved[1]:.0f}/s, nothing verified",
            retrieved[0] / retrieved[1],
            1,
        ),
    ]


def _weights(path: Path, seed: int) -> Path:
    save_file({"w": np.random.default_rng(seed).normal(size=(128, 128)).astype("float32")}, path)
    return path


def _register(found: Installation, files: Sequence[Path], run: str) -> float:
    works = [Work(MODEL, [path], {"description": f"{run} {path.stem}"}) for path in files]
    with found.client() as client:
        start = time.perf_counter()
        receipts = client.submit_many(works, timeout_s=1_800)
        took = time.perf_counter() - start
    if not all(isinstance(receipt, Receipt) for receipt in receipts):
        raise RuntimeError("a version has no receipt")
    return took


def _retrieve(client: Client, folder: Path, numbers: Sequence[int]) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as into:
        start = time.perf_counter()
        for number in numbers:
            client.retrieve(f"{MODEL}@v{_WARM + 1 + number}", to=Path(into) / str(number))
        return time.perf_counter() - start


def _register_there(server: http.client.HTTPConnection, files: Sequence[Path]) -> float:
    server.close()  # it hung up while ours ran; the next request connects anew
    made = json.loads(_call(server, "POST", f"{_API}/runs/create", {"experiment_id": "0"}))
    run = made["run"]["info"]
    folder = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    start = time.perf_counter()
    for path in files:
        _call(server, "PUT", f"{_ARTIFACTS}/{folder}/{path.name}", path.read_bytes())
        source = {"name": "peer", "source": f"{run['artifact_uri']}/{path.name}", "run_id": run["run_id"]}
        _call(server, "POST", f"{_API}/model-versions/create", source)
    return time.perf_counter() - start


def _retrieve_there(
    server: http.client.HTTPConnection, files: Sequence[Path], numbers: Sequence[int]
) -> float:
    server.close()
    start = time.perf_counter()
    for number in numbers:
        content = _call(server, "GET", f"{_ARTIFACTS}/{_place(server, 1 + number)}")
        if content != files[number].read_bytes():
            raise RuntimeError(f"MLflow gave other bytes for {files[number].name}")
    return time.perf_counter() - start


def _overwrite(server: http.client.HTTPConnection) -> bool:
    """Whether a registered version's bytes can be replaced, and the new ones are served as that version."""
    other = b"other weights"
    place = _place(server, 1)
    _call(server, "PUT", f"{_ARTIFACTS}/{place}", other)
    return _call(server, "GET", f"{_ARTIFACTS}/{place}") == other


def _place(server: http.client.HTTPConnection, number: int) -> str:
    target = f"{_API}/model-versions/get-download-uri?name=peer&version={number}"
    found: str = json.loads(_call(server, "GET", target))["artifact_uri"]
    return found.removeprefix("mlflow-artifacts:/")


def _call(server: http.client.HTTPConnection, method: str, target: str, body: Any = None) -> bytes:
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    server.request(method, target, sent, {"content-type": kind})
    response = server.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"MLflow answered {method} {target} with {response.status}: {answer[:200]!r}")
    return answer


@contextmanager
def _mlflow(folder: Path) -> Iterator[http.client.HTTPConnection]:
    program = _installed() / "bin" / "mlflow"
    folder.mkdir()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    command = [str(program), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=_quiet(folder))
    try:
        yield _connected(port, folder / "log")
    finally:
        process.terminate()
        process.wait(60)


def _connected(port: int, log: Path) -> http.client.HTTPConnection:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.5)
        else:
            return connection
    raise RuntimeError(f"MLflow did not start:\n{log.read_text()[-2_000:]}")


def _installed() -> Path:
    """MLflow's own environment, made on first use."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinledger"
    folder = base / f"mlflow-{MLFLOW}"
    if not (folder / "bin" / "mlflow").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", f"mlflow=={MLFLOW}"]
        subprocess.run(install, check=True)
    return folder


def _quiet(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
