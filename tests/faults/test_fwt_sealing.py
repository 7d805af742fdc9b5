"""Nothing is sealed twice: not under a long queue, not at the change of a turn, not after a late gateway."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from market import ANA, BO, COUNCIL, FEES, MINERS, Market, made

from miners.node import LocalSource, MinerNode
from registry.chain.seal import encode_seal
from registry.chain.signed import Draft, sign_draft
from registry.core.version import Version
from registry.pool import Entry

AHEAD_S = 1_000


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    found = made(tmp_path)
    yield found
    found.check_money()
    found.close()


def turn(market: Market) -> int:
    """The number of the miner whose turn it is."""
    return market.slot // FEES.turn_slots % len(MINERS)


def next_turn(market: Market) -> None:
    market.go((market.slot // FEES.turn_slots + 1) * FEES.turn_slots)


def handed_in(market: Market, miner: int, version: Version) -> None:
    """A miner's seal of one item, which waits for the next block."""
    entry, link, who = market.entry(version), market.link, MINERS[miner]
    draft = Draft(
        chain_id=link.chain_id,
        nonce=link.nonce(who.address),
        fee=link.fee_policy(),
        gas=5_000_000,
        to=market.contracts.address("TwinRegistry"),
        value=0,
        payload=encode_seal([entry.submission], [entry.signature]),
    )
    link.send(sign_draft(draft, who))


class Late(LocalSource):
    """A gateway whose next answer was given just before an item came in and was sealed by another miner."""

    market: Market

    def pending(self, limit: int) -> Sequence[Entry]:
        answer = list(super().pending(limit))
        if not self.market.events("Registered"):
            version = self.market.submit(ANA, "meanwhile")
            self.market.seal(MINERS[turn(self.market)], version)
        return answer


def test_an_item_that_the_pool_shows_after_its_seal_is_not_sealed_again(market: Market) -> None:
    other = (turn(market) + 1) % 3
    source = Late(market.pool, market.store)
    source.market = market
    node = MinerNode(market.contracts, MINERS[other], market.stores[other], source)
    node.step()
    assert len(market.pool.pending(limit=9)) == 1  # the gateway's follower is behind
    next_turn(market)
    for _ in range(3):
        node.step()
        node.settle(10)
    node.close()
    assert turn(market) == other
    assert market.events("Rejected") == []


def test_a_miner_waits_for_what_another_has_on_its_way(market: Market) -> None:
    version = market.submit(ANA, "once")
    market.go(market.slot + FEES.grace_slots)
    holder, other = turn(market), (turn(market) + 1) % 3
    node = market.nodes[holder]
    node.step()
    node.settle(10)
    market.send(COUNCIL, "TwinRegistry", "deposit", BO.address, value=1)
    sent = market.link.nonce(MINERS[holder].address)
    market.clock.at -= AHEAD_S  # chain time is too far ahead of the clock: no block is made
    with ThreadPoolExecutor(1) as pool:
        handed_in(market, other, version)
        step = pool.submit(node.step)
        try:
            assert step.result(timeout=20) == 0
            assert market.link.nonce(MINERS[holder].address) == sent
        finally:
            market.clock.at += AHEAD_S
    market.link.wait_head(market.link.head().number, 20)
    node.step()
    assert [e.args["miner"] for e in market.events("BatchSealed")] == [MINERS[other].address]
    assert market.events("Rejected") == []


def test_nobody_stands_in_while_a_long_queue_is_served(tmp_path: Path) -> None:
    """Three miners with one item a slot: all wait for rounds, and each is sealed by whose turn it is."""
    market = made(tmp_path, fees=replace(FEES, slot_bytes=1_000))
    for number in range(5):
        market.submit(ANA, f"queued-{number}", size=1_000)
    market.look()
    market.tick(12)
    sealed = market.events("BatchSealed")
    assert len(market.events("Registered")) == 5
    assert all(e.args["miner"] == MINERS[e.args["slot"] // FEES.turn_slots % 3].address for e in sealed)
    assert market.events("Rejected") == []
    market.check_money()
    market.close()
