"""Nonces are kept for their time, and as long again as no request happened to sweep them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from registry.audit.marked import check_marked_rows
from registry.database import open_database, sqlite_url
from registry.pool import Nonces
from registry.pool.nonces import SWEEP_S
from registry.pool.seals import RowSeal

WINDOW_S = 300
BEGIN = 1_800_000_000
SEAL = RowSeal(b"\x01" * 32)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(sqlite_url(tmp_path / "pool.db"))
    yield opened
    opened.dispose()


def findings(engine: Engine, window_s: int = WINDOW_S) -> list[str]:
    found = check_marked_rows(engine, SEAL, is_shared=False, nonce_window_s=window_s)
    return [one.text for one in found]


def test_a_gateway_that_is_asked_every_second_never_keeps_a_nonce_too_long(engine: Engine) -> None:
    taken = Nonces(engine, SEAL, window_s=WINDOW_S)
    for second in range(0, 2 * WINDOW_S + 4 * SWEEP_S, 7):
        now = BEGIN + second
        taken.take("0xA", second.to_bytes(32, "big"), now, now)
        if second > 2 * WINDOW_S:
            assert findings(engine) == []
    assert any("was over by" in text for text in findings(engine, window_s=WINDOW_S // 2))
