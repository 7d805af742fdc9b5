"""Who keeps what they are paid for is paid; who lost it pays; who is away waits; nobody is framed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from market import ANA, MINERS, STORAGE, Market, made

from miners.node.audits import Verdict
from registry.core.version import Version
from registry.storage.embedded import EmbeddedStore


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    found = made(tmp_path)
    yield found
    found.check_money()
    found.close()


def verdict(market: Market, number: int, epoch: int = 0) -> Verdict:
    return Verdict(market.contracts.read("StorageMarket", "verdictOf", epoch, MINERS[number].address))


def bond(market: Market, number: int) -> int:
    return int(market.contracts.read("StorageMarket", "bondOf", MINERS[number].address))


def sealed(market: Market) -> Version:
    version = market.submit(ANA, "audited", size=3_000, high=True)
    market.tick(1)
    assert market.is_sealed(version)
    return version


def empty(market: Market, number: int) -> None:
    """All blocks of one miner are gone; what serves them still answers."""
    market.stores[number].close()
    bare = EmbeddedStore(market.folder / f"bare{number}")
    market.stores[number] = bare
    market.lines[MINERS[number].address].peer = type(market.lines[MINERS[0].address].peer)(bare)
    market.nodes[number] = market.node(number)


def test_miners_that_keep_their_blocks_are_paid_into_their_coin(market: Market) -> None:
    before = [market.link.balance(miner.address) for miner in MINERS]
    version = sealed(market)
    market.tick(20)
    earned = [market.link.balance(m.address) - b for m, b in zip(MINERS, before, strict=True)]
    prices = [7 * version.size, 5 * version.size, 9 * version.size]
    assert sum(earned) == sum(prices) + version.size  # and eps a byte to who sealed it
    assert all(have >= price for have, price in zip(earned, prices, strict=True))
    assert market.events("Attested") == []
    assert [bond(market, n) for n in range(3)] == [STORAGE.minimum_bond] * 3


def test_a_miner_whose_blocks_were_deleted_fails_only_its_own_audit(market: Market) -> None:
    version = sealed(market)
    market.tick(3)
    empty(market, 1)
    market.tick(20)
    assert [verdict(market, n) for n in range(3)] == [Verdict.NONE, Verdict.FAILED, Verdict.NONE]
    assert bond(market, 0) == bond(market, 2) == STORAGE.minimum_bond
    # It failed the epoch of the seal, and the one after, in which it still had nothing to show.
    first, second = (e.args for e in market.events("Penalised"))
    assert first["fromCredits"] in (5 * version.size, 6 * version.size)
    assert (first["fromBond"], second["fromCredits"]) == (STORAGE.penalty, 0)
    assert bond(market, 1) == STORAGE.minimum_bond - first["fromBond"] - second["fromBond"]
    assert {e.args["miner"] for e in market.events("CreditCollected")} == {
        MINERS[0].address,
        MINERS[2].address,
    }


def test_an_absent_miner_loses_nothing_and_is_paid_when_it_answers(market: Market) -> None:
    sealed(market)
    line = market.lines[MINERS[2].address]
    line.is_cut = True
    market.gone = {2}
    market.tick(20)
    assert verdict(market, 2) is Verdict.ABSENT
    assert market.credits(MINERS[2]) > 0
    market.check_money()
    line.is_cut = False
    market.gone = set()
    market.tick(8)
    assert verdict(market, 2) is Verdict.ANSWERED
    assert market.credits(MINERS[2]) == 0
    assert bond(market, 2) == STORAGE.minimum_bond
    assert MINERS[2].address in {e.args["miner"] for e in market.events("CreditCollected")}


def test_content_that_only_the_sealer_ever_had_frames_nobody(market: Market) -> None:
    holder = market.slot // 2 % 3
    market.gone = set(range(3)) - {holder}
    sealed(market)
    market.store.close()  # no gateway can give it to the others any more
    market.store = EmbeddedStore(market.folder / "elsewhere")
    market.gone = set()
    for number in set(range(3)) - {holder}:
        market.nodes[number] = market.node(number)
    market.tick(20)
    assert [verdict(market, n) for n in range(3)] == [Verdict.NONE] * 3
    assert market.events("Penalised") == []


def test_a_short_absence_before_the_second_half_of_an_audit_is_no_absence(market: Market) -> None:
    sealed(market)
    line = market.lines[MINERS[0].address]
    line.is_cut = True
    market.tick(4)
    line.is_cut = False
    market.tick(16)
    assert [verdict(market, n) for n in range(3)] == [Verdict.NONE] * 3
    assert market.events("Attested") == []
