"""How fast one caller may ask: a token bucket per caller, before anything else is done for a request.

A caller is a network address, and once a signature verified also its signer. A refusal costs nothing: it is
answered with Retry-After and not written down, or a flood would fill the log.
"""

import math
import time
from collections.abc import Callable
from threading import Lock

from starlette.types import ASGIApp, Receive, Scope, Send

from registry.api.callers import MONITORED, network_of
from registry.api.exchange import problem_response
from registry.config import Limits
from registry.errors import RateLimited

_MOST_CALLERS = 100_000


class Buckets:
    """One bucket of tokens per caller; a new caller's is full."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = limits.requests_per_s
        self._size = limits.request_burst
        self._clock = clock
        self._held: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def take(self, caller: str) -> None:
        """Take one token, or RateLimited with `retry_after_s`."""
        now = self._clock()
        with self._lock:
            tokens, at = self._held.get(caller, (float(self._size), now))
            tokens = min(self._size, tokens + (now - at) * self._rate)
            is_empty = tokens < 1
            self._held[caller] = (tokens if is_empty else tokens - 1, now)
            if len(self._held) > _MOST_CALLERS:
                self._forget(now)
        if is_empty:
            wait_s = math.ceil((1 - tokens) / self._rate)
            raise RateLimited(
                f"{caller} asks more than {self._rate:g} times a second",
                hint=f"wait {wait_s} s, then ask more slowly",
                retry_after_s=wait_s,
            )

    def _forget(self, now: float) -> None:
        """Drop whose bucket is full again: nothing is known of them that a new caller's would not say."""
        filled_before = now - self._size / self._rate
        self._held = {who: held for who, held in self._held.items() if held[1] > filled_before}


class Pace:
    """Refuses requests of network addresses whose bucket is empty."""

    def __init__(self, app: ASGIApp, *, buckets: Buckets) -> None:
        self._app = app
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        if scope["type"] == "http" and scope["path"] not in MONITORED:
            try:
                self._buckets.take(network_of(scope))
            except RateLimited as e:
                await problem_response(e)(scope, receive, send)
                return
        await self._app(scope, receive, send)
