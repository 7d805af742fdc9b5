"""A node's new heads over WebSocket: they only wake who waits, and are never believed.

A subscription may be silent about a reorganisation, drop, or stall. So nothing is read from it: each
message rings a bell, and who hears it asks over HTTP. Without any message the waiting side polls.
"""

import json
import threading

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

# One block's logs can be larger than the library's default of 1 MiB.
MAX_FRAME_BYTES = 64 << 20
_RETRY_S = 1.0
_LISTEN_S = 5.0


class HeadBell:
    """Rings at each message of a `newHeads` subscription; reconnects for ever, to one URL after another."""

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._urls = urls
        self._rung = threading.Condition()
        self._count = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="head-bell", daemon=True)
        if urls:
            self._thread.start()

    def count(self) -> int:
        """How often it rang."""
        return self._count

    def wait(self, after: int, timeout_s: float) -> None:
        """Return once it rang more than `after` times, or when the time is up."""
        with self._rung:
            self._rung.wait_for(lambda: self._count > after or self._stop.is_set(), max(timeout_s, 0))

    def close(self) -> None:
        """Stop listening and wake everybody."""
        self._stop.set()
        with self._rung:
            self._rung.notify_all()
        if self._urls:
            self._thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._stop.is_set():
            try:
                self._listen(self._urls[turn % len(self._urls)])
            except (WebSocketException, OSError, ValueError):
                turn += 1
                self._stop.wait(_RETRY_S)

    def _listen(self, url: str) -> None:
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
        with connect(url, max_size=MAX_FRAME_BYTES, open_timeout=_LISTEN_S, close_timeout=1) as socket:
            socket.send(json.dumps(request))
            while not self._stop.is_set():
                try:
                    socket.recv(timeout=_LISTEN_S / 10)
                except TimeoutError:
                    continue
                with self._rung:
                    self._count += 1
                    self._rung.notify_all()
