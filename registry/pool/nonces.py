"""Nonces of signed requests: each is taken once, also by a gateway that was started anew.

On a server, which gateways share, each is a row. Beside a file they are held in memory, so that a request
that reads waits neither for the disk nor for a writer: a row of nobody's says durably, before any is taken,
up to which time of signing they are taken so. Whoever opens the file next refuses what was signed up to then,
for it may have been taken, and waits until that is over before it serves. Two times that requests state are
compared, and no clock: one that steps back lets nothing pass.
"""

import logging
import threading
import time

from sqlalchemy import Engine, delete, select

from registry.database import add_rows, reading, writing
from registry.errors import StoreUnavailable, Unauthenticated
from registry.pool.migrations import prepare
from registry.pool.schema import nonces
from registry.pool.seals import RowSeal

LEAD_S = 2
"""So far ahead of the clock the horizon is set: who is killed is waited for so long when it starts again."""
PERIOD_S = 1
SWEEP_S = 60
"""So long what is over may still lie there."""
_NOBODY = ""

_log = logging.getLogger("registry.gateway")


class Nonces:
    """Those of a server: a row each, which its commit makes durable."""

    def __init__(self, engine: Engine, seal: RowSeal, *, window_s: int) -> None:
        """A request is heard from `window_s` before to `window_s` after the time at which it was signed."""
        self._engine = engine
        self._seal = seal
        self._kept_s = 2 * window_s
        self._swept = 0
        prepare(engine)

    def take(self, address: str, nonce: bytes, signed: int, now: int) -> None:
        """Take the nonce of a request that says when it was signed.

        A second use within the window is Unauthenticated, also after a restart.
        """
        self._write(address, nonce, now)

    def is_at_hand(self, signed: int) -> bool:
        """Whether `take` waits for nothing: no disk, no server, no other writer."""
        return False

    def settle(self) -> None:
        """Return when the requests that are signed now are taken."""

    def keep_ahead(self, stop: threading.Event) -> None:
        """Until told to stop, do beforehand what a `take` would wait for."""

    def close(self) -> None:
        """Nothing is taken any more."""

    def _write(self, address: str, nonce: bytes, now: int) -> None:
        with writing(self._engine) as connection:
            if not self._swept <= now < self._swept + SWEEP_S:
                connection.execute(delete(nonces).where(nonces.c.created < now - self._kept_s))
                self._swept = now
            try:
                add_rows(connection, nonces, [self._row(address, nonce.hex(), now)])
            except self._engine.dialect.loaded_dbapi.IntegrityError as e:
                raise _used(address) from e

    def _row(self, address: str, nonce: str, now: int) -> dict[str, object]:
        row: dict[str, object] = {"address": address, "nonce": nonce, "created": now}
        return row | {"seal": self._seal.of(nonces, row)}


class HeldNonces(Nonces):
    """Those of a file, held by the one process that serves from it."""

    def __init__(self, engine: Engine, seal: RowSeal, *, window_s: int) -> None:
        super().__init__(engine, seal, window_s=window_s)
        self._saying, self._taking = threading.Lock(), threading.Lock()
        self._asked = False
        self._lost, held = self._read()
        self._until = self._newest = self._lost
        # Two in turn: to sweep one large set would keep every request waiting. The first `take` turns them.
        self._younger, self._elder, self._turned = held, set[bytes](), 0

    def _read(self) -> tuple[int, set[bytes]]:
        with reading(self._engine) as connection:
            rows = connection.execute(select(nonces.c.address, nonces.c.nonce)).all()
        # Earlier releases wrote a row for each nonce, and before a horizon the boot that it was of.
        said = [int(nonce.rpartition(":")[2]) for address, nonce in rows if address == _NOBODY]
        held = {_key(address, bytes.fromhex(nonce)) for address, nonce in rows if address != _NOBODY}
        return max(said, default=0), held

    def take(self, address: str, nonce: bytes, signed: int, now: int) -> None:
        """Take the nonce of a request that says when it was signed; Unauthenticated when it may be used."""
        if signed <= self._lost:
            raise Unauthenticated(
                f"the request was signed at {signed}, and of those up to {self._lost} this gateway no longer "
                "knows which it answered: it was started anew",
                hint="sign it again; if it is refused again, set the clock",
            )
        if signed > now + LEAD_S:
            # A clock that is far ahead must not move what everybody else is refused by.
            self._write(address, nonce, now)
        elif not self.is_at_hand(signed):
            self._say(now + LEAD_S, now)
        key = _key(address, nonce)
        with self._taking:
            self._asked = True
            if now >= self._turned + self._kept_s:
                self._younger, self._elder, self._turned = set(), self._younger, now
            if key in self._younger or key in self._elder:
                raise _used(address)
            self._younger.add(key)
            if self.is_at_hand(signed):
                self._newest = max(self._newest, signed)

    def is_at_hand(self, signed: int) -> bool:
        """Whether what was signed then is within what was said already."""
        return signed <= self._until

    def _say(self, until: int, now: int) -> None:
        with self._saying:
            if until > self._until:
                self._set(until, now)

    def _set(self, until: int, now: int) -> None:
        over = (nonces.c.address == _NOBODY) | (nonces.c.created < now - self._kept_s)
        with writing(self._engine) as connection:
            connection.execute(delete(nonces).where(over))
            add_rows(connection, nonces, [self._row(_NOBODY, str(until), now)])
        self._until = until

    def settle(self) -> None:
        """Wait until what is signed now is not refused, and no longer where the clock was set back."""
        time.sleep(min(max(self._lost + 1 - time.time(), 0), LEAD_S + 1))

    def keep_ahead(self, stop: threading.Event) -> None:
        """While there are requests, set the horizon before one of them has to."""
        while not stop.wait(PERIOD_S):
            if self._asked:
                self._asked, now = False, int(time.time())
                try:
                    self._say(now + LEAD_S, now)
                except StoreUnavailable as e:
                    # Whose nonce is not taken is told so; here nobody waits for an answer.
                    _log.warning("the horizon of nonces stands: %s", e)

    def close(self) -> None:
        """Say only what was taken, so that the next start need not wait for the rest."""
        with self._saying:
            if self._newest < self._until:
                self._set(self._newest, int(time.time()))


def open_nonces(engine: Engine, seal: RowSeal, *, window_s: int) -> Nonces:
    """Those that suit the database."""
    kind = HeldNonces if engine.dialect.name == "sqlite" else Nonces
    return kind(engine, seal, window_s=window_s)


def _key(address: str, nonce: bytes) -> bytes:
    return address.encode() + nonce


def _used(address: str) -> Unauthenticated:
    return Unauthenticated(
        f"the request of {address} was sent before: its nonce is used",
        hint="sign every request with a fresh nonce",
    )
