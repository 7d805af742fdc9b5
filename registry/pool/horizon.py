"""Nonces without a wait for the disk: what the power may have taken is refused by its age.

A commit that waits for the disk takes longer than the rest of a request that reads. In SQLite a nonce is only
written to the log beside the database, which outlives the process. Before it, a row of nobody's has said
durably up to which time of signing nonces are taken so. When the machine was started anew, whatever was
signed up to then is refused: its nonce may be one of the lost. Two times that requests state are compared,
and no clock: one that steps back lets nothing pass.
"""

import secrets
from functools import cache
from pathlib import Path
from threading import Lock

from sqlalchemy import Engine, select

from registry.database import add_rows, reading, writing
from registry.errors import Unauthenticated
from registry.pool.schema import nonces
from registry.pool.seals import RowSeal

LEAD_S = 10
"""So far ahead of the clock the horizon is set: one wait for the disk in so many seconds."""
_NOBODY = ""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@cache
def this_boot() -> str:
    """Which run of the machine this is; where the system does not tell, each process counts as one."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return secrets.token_hex(16)


class Horizon:
    """Up to which time of signing a nonce need not be on the disk, and up to which some may be lost."""

    def __init__(self, engine: Engine, seal: RowSeal, boot: str) -> None:
        self._engine = engine
        self._seal = seal
        self._boot = boot
        self._saying = Lock()
        # A server's commits are its own matter, and several gateways share it: there every nonce is durable.
        self._is_file = engine.dialect.name == "sqlite"
        said = self._said() if self._is_file else []
        self._until = max((until for where, until in said if where == boot), default=0)
        self._lost = max((until for where, until in said if where != boot), default=0)

    def reaches(self, signed: int, now: int) -> bool:
        """Whether a request signed then needs no wait; Unauthenticated when its nonce may be lost."""
        if signed <= self._lost:
            raise Unauthenticated(
                f"the request was signed at {signed}, and of those up to {self._lost} this gateway no longer "
                "knows which it answered: its machine was started anew",
                hint="sign it again; if it is refused again, set the clock",
            )
        # A clock that is far ahead must not move what everybody else is refused by.
        if not self._is_file or signed > now + LEAD_S:
            return False
        with self._saying:
            if not self.covers(signed):
                self._say(now + LEAD_S, now)
        return True

    def covers(self, signed: int) -> bool:
        """Whether what was signed then is within what was said already."""
        return signed <= self._until

    def _say(self, until: int, now: int) -> None:
        row = {"address": _NOBODY, "nonce": f"{self._boot}:{until}", "created": now}
        with writing(self._engine) as connection:
            add_rows(connection, nonces, [row | {"seal": self._seal.of(nonces, row)}])
        self._until = until

    def _said(self) -> list[tuple[str, int]]:
        with reading(self._engine) as connection:
            rows = connection.execute(select(nonces.c.nonce).where(nonces.c.address == _NOBODY)).scalars()
            return [(boot, int(until)) for boot, _, until in (text.rpartition(":") for text in rows)]
