"""Engine processes that outlive the command that started them, found again by pid file.

A pid file holds the pid and the start time of its process, so a pid that the system has given to another
program since is never mistaken for ours, and never killed.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


class UnhealthyError(Exception):
    """An engine does not run or does not answer; the message says which and why."""


def free_ports(count: int) -> list[int]:
    """Ports that are free on loopback at this moment, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def start_time(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None when it is gone or a zombie."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if after_name[0] in "ZX" else after_name[19]


def spawn(
    argv: Sequence[str],
    folder: Path,
    name: str,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
) -> None:
    """Start a process in a session of its own, its output in NAME.log and its pid in NAME.pid."""
    if running(folder, name) is not None:
        return
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    (folder / f"{name}.pid").write_text(f"{process.pid} {start_time(process.pid)}\n")


def running(folder: Path, name: str) -> int | None:
    """The pid of a process started before, if it is still that process."""
    try:
        pid, started = (folder / f"{name}.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if start_time(int(pid)) == started else None


def stop(folder: Path, name: str, *, ask: signal.Signals = signal.SIGTERM, grace_s: float = 20) -> None:
    """Ask a process to end, and kill it when it has not after the grace."""
    pid = running(folder, name)
    for sent in (ask, signal.SIGKILL):
        if pid is None or running(folder, name) is None:
            break
        os.kill(pid, sent)
        # A dead process keeps its pid until it is reaped, and a lock file with that pid stays in force.
        wait(Path(f"/proc/{pid}").exists, becomes=False, timeout_s=grace_s)
    (folder / f"{name}.pid").unlink(missing_ok=True)


def wait(holds: Callable[[], bool], *, becomes: bool = True, timeout_s: float) -> bool:
    """Whether a condition came to hold, or to hold no longer, within the time."""
    end = time.monotonic() + timeout_s
    while holds() is not becomes:
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def post(port: int, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
    """POST to a loopback port and read the JSON answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise UnhealthyError(f"port {port} answered {answer.status} to {path}: {text[:200]!r}")
        return json.loads(text)
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as e:
        raise UnhealthyError(f"port {port} does not answer {path}: {e}") from e
    finally:
        connection.close()


def rpc(port: int, method: str, *params: object) -> Any:
    """One JSON-RPC call to an Ethereum node on loopback."""
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = post(port, "/", json.dumps(call).encode())
    if "error" in answer:
        raise UnhealthyError(f"port {port} refused {method}: {answer['error']['message']}")
    return answer["result"]
