"""Random damage to an evidence file: whatever it hits, the offline check refuses it.

The number of trials is TWINLEDGER_TEST_TAMPERS (50), the first seed TWINLEDGER_TEST_SEED (0).
"""

import os
import random

import pytest

from registry.audit.rows import Filter
from registry.errors import RegistryError

TRIALS = int(os.environ.get("TWINLEDGER_TEST_TAMPERS", "50"))
FIRST = int(os.environ.get("TWINLEDGER_TEST_SEED", "0"))


@pytest.fixture
def scene(world):
    first = world.seal("lab/urban", "ana", participants=({"pseudonym": "p-1"},))
    second = world.seal("lab/urban", "ana", parents=(first,))
    world.alias("lab/urban", "champion", second, "ana")
    for reader in ("bo", "cy", "bo"):
        world.retrieve("lab/urban", second, reader, cell="lab/north", address="10.0.0.7")
    world.publish()
    return world


def damaged(raw: bytes, dice: random.Random) -> bytes:
    """One byte changed, a stretch cut out, a stretch doubled, or the end lost."""
    place = dice.randrange(len(raw))
    length = dice.randint(1, min(64, len(raw) - place))
    kind = dice.randrange(4)
    if kind == 0:
        return raw[:place] + bytes([raw[place] ^ dice.randint(1, 255)]) + raw[place + 1 :]
    if kind == 1:
        return raw[:place] + raw[place + length :]
    if kind == 2:
        return raw[: place + length] + raw[place:]
    return raw[:place]


def test_no_random_damage_to_an_evidence_file_is_accepted(scene) -> None:
    honest = scene.export(Filter())
    scene.verify(honest)
    for seed in range(FIRST, FIRST + TRIALS):
        with pytest.raises(RegistryError):
            scene.verify(damaged(honest, random.Random(seed)))
