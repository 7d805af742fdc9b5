"""Events of blocks that were read a moment ago: the same as the chain's, and not asked for again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from registry.chain import gateway
from registry.chain.base import Block, Log
from registry.chain.blocks import Genesis
from registry.chain.deploy import Settings, deploy
from registry.chain.embedded import EmbeddedChain
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.sender import Sender
from registry.core.ids import Address, Role, keccak
from registry.core.signing import KeySigner
from registry.errors import NotFound

COUNCIL = KeySigner(keccak(b"council"))
GENESIS = Genesis(1337, ((COUNCIL.address, 10**24),))


class Asked(EmbeddedChain):
    """The embedded chain, which also tells how often it was asked for logs."""

    times = 0

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        self.times += 1
        return super().logs(first, last, addresses)


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contracts]:
    """Each of the newest blocks has events but the last."""
    link = Asked(tmp_path_factory.mktemp("chain"), GENESIS)
    made = deploy(link, COUNCIL, Settings(), [COUNCIL.address], 1)
    council = Sender(link, COUNCIL)
    for n in range(4):
        call = encode_call(
            "Consortium", "admit", [KeySigner(keccak(b"%d" % n)).address, f"ns{n}", int(Role.MINER)]
        )
        proposal = encode_call("Consortium", "propose", [made.address("Consortium"), call, "for a test"])
        council.send(made.address("Consortium"), proposal)
    council.send(COUNCIL.address, b"", 1)
    yield Contracts(link, made)
    link.close()


def newest(contracts: Contracts, count: int, *, but: int = 0) -> list[Block]:
    end = contracts.link.head().number + 1 - but
    return [contracts.link.block(number) for number in range(end - count, end)]


def asked(contracts: Contracts) -> int:
    assert isinstance(contracts.link, Asked)
    return contracts.link.times


def test_what_was_read_by_the_block_is_not_read_again_in_a_run(contracts: Contracts) -> None:
    blocks = newest(contracts, 4, but=1)
    one_by_one = [event for block in blocks for event in contracts.events(block.number, block.number)]
    before = asked(contracts)
    assert contracts.events_in(blocks) == one_by_one and len(one_by_one) > 4
    assert asked(contracts) == before


def test_a_block_without_events_is_asked_for(contracts: Contracts) -> None:
    blocks = newest(contracts, 5)
    whole = contracts.events(blocks[0].number, blocks[-1].number)
    before = asked(contracts)
    assert contracts.events_in(blocks) == whole
    assert asked(contracts) == before + 1


def test_a_block_that_is_not_in_the_chain_is_not_answered_for(contracts: Contracts) -> None:
    *blocks, last = newest(contracts, 4, but=1)
    contracts.events(blocks[0].number, last.number)
    with pytest.raises(NotFound, match="changed while it was read"):
        contracts.events_in([*blocks, replace(last, hash=bytes(32))])


def test_only_the_newest_are_kept_and_each_whole(
    contracts: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = newest(contracts, 4, but=1)
    whole = contracts.events(blocks[0].number, blocks[-1].number)
    of_last = [event for event in whole if event.log.block_hash == blocks[-1].hash]
    # One more than the last block has: of the block before it a part would be kept.
    monkeypatch.setattr(gateway, "_KEPT_EVENTS", len(of_last) + 1)
    contracts.events(blocks[0].number, blocks[-1].number)
    before = asked(contracts)
    assert contracts.events_in(blocks[-1:]) == of_last
    assert asked(contracts) == before
    assert contracts.events_in(blocks[-2:-1]) == [
        event for event in whole if event.log.block_hash == blocks[-2].hash
    ]
    assert asked(contracts) == before + 1
