"""Gas per registration, and registrations per second on the embedded chain, against the naive contract."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from kit import NAIVE_GAS, ROOT, Result, mined, naive_call, naive_code, seconds, side_by_side, sign

from registry.chain.base import ChainLink
from registry.chain.blocks import Genesis
from registry.chain.deploy import FeeSettings, Settings, deploy
from registry.chain.embedded import EmbeddedChain
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.seal import encode_seal
from registry.chain.sender import Sender
from registry.core.ids import FeeClass, Role, VersionId, keccak, name_hash
from registry.core.signing import KeySigner
from registry.core.version import NO_SALT, Submission, Version, submission_digest

ITEMS, SUBMITTERS = 200, 20
FEES = replace(FeeSettings(), slots_per_epoch=64, slot_s=86_400)


def gas() -> list[Result]:
    """Exact figures: they are the same on every machine."""
    sys.path.append(str(ROOT / "tests" / "contracts"))
    from test_gas import registration_gas

    ours, apart = registration_gas(SUBMITTERS), registration_gas(ITEMS)
    with _embedded_chain() as (link, council):
        sender = Sender(link, council)
        place = sender.send(None, naive_code()).contract_address
        naive = [sender.send(place, naive_call(number), 7).gas_used for number in range(3)][-1]
    full = f"gas per registration, batch of {ITEMS}, two parents"
    what = f"{full}, {SUBMITTERS} submitters"
    return [
        Result(what, f"{ours:,}", f"naive, one transaction each: {naive:,}", naive / ours, 6),
        Result(f"{what}, absolute", f"{ours:,}", "50,000", ours / 50_000, 1, at_most=True),
        Result(f"{what}, the aim", f"{ours:,}", "45,000", ours / 45_000, 1, at_most=True),
        # Every submitter's own account and line of the roll are read and written for one item instead of ten.
        Result(f"{full}, {ITEMS} submitters", f"{apart:,}", "60,000", apart / 60_000, 1, at_most=True),
    ]


class World:
    """A consortium of twenty submitters and one miner, and the naive contract beside it."""

    def __init__(self, link: ChainLink, council: KeySigner) -> None:
        self.link, self.council = link, council
        self.miner = KeySigner(keccak(b"bench miner"))
        self.submitters = [KeySigner(keccak(b"bench submitter %d" % n)) for n in range(SUBMITTERS)]
        deployment = deploy(link, council, Settings(fees=FEES), [council.address], 1)
        self.contracts = Contracts(link, deployment)
        self._sender = Sender(link, council)
        for number, who in enumerate(self.submitters):
            self._propose("Consortium", "admit", [who.address, f"org{number}", int(Role.SUBMITTER)])
            deposit = encode_call("TwinRegistry", "deposit", [who.address])
            self._sender.send(self.contracts.address("TwinRegistry"), deposit, 10**18)
        self._propose("Consortium", "admit", [self.miner.address, "mine", int(Role.MINER)])
        self._propose("StorageMarket", "setPrices", [[self.miner.address], [7]])
        self.spaces = {
            who.address: self.contracts.account(who.address).namespace_id for who in self.submitters
        }
        naive = self._sender.send(None, naive_code()).contract_address
        assert naive is not None
        self.naive = naive
        self.sealing = Sender(link, self.miner)
        self._numbers = count()
        self._last: list[VersionId] = []

    def _propose(self, contract: str, function: str, arguments: list[object]) -> None:
        call = encode_call(contract, function, arguments)
        payload = encode_call("Consortium", "propose", [self.contracts.address(contract), call, "bench"])
        self._sender.send(self.contracts.address("Consortium"), payload)

    def batch(self, size: int = ITEMS) -> bytes:
        """A seal of fresh items, each with two parents of the batch before, signed and encoded."""
        now = self.link.pending_time()
        items, signatures = [], []
        for number in range(size):
            who = self.submitters[number % SUBMITTERS]
            digest = keccak(b"bench item %d" % next(self._numbers))
            parents = tuple(self._last[2 * number % ITEMS :][:2])
            version = Version(
                self.spaces[who.address], name_hash("m"), digest, digest, parents, 64, NO_SALT, who.address
            )
            item = Submission(version, FeeClass.STANDARD, 10**6, now - 60, now + 80_000)
            items.append(item)
            signatures.append(who.sign_hash(submission_digest(self.contracts.domain, item)))
        self._last = [item.version.id for item in items]
        return encode_seal(items, signatures)

    def seal(self, payload: bytes, size: int = ITEMS) -> None:
        """One transaction, its receipt awaited."""
        registry = self.contracts.address("TwinRegistry")
        receipt = self.sealing.send(registry, payload, gas=500_000 + 160_000 * size)
        if len(receipt.logs) < size:
            raise RuntimeError(f"{len(receipt.logs)} events for {size} items")

    def naive_calls(self, size: int) -> list[bytes]:
        """Signed transactions of one sender, in order."""
        nonce = self.link.nonce(self.council.address)
        return [
            sign(
                self.link,
                self.council,
                self.naive,
                naive_call(next(self._numbers)),
                nonce=nonce + place,
                gas=NAIVE_GAS,
                value=7,
            )
            for place in range(size)
        ]


def embedded(*, full: bool) -> list[Result]:
    """The embedded chain; signing by the submitters is not the sealer's and not timed, for neither side."""
    with _embedded_chain() as (chain, council):
        return _embedded(chain, World(chain, council), rounds=10 if full else 5)


@contextmanager
def _embedded_chain() -> Iterator[tuple[EmbeddedChain, KeySigner]]:
    council = KeySigner(keccak(b"bench council"))
    with tempfile.TemporaryDirectory() as folder:
        chain = EmbeddedChain(Path(folder) / "chain", Genesis(842_001, ((council.address, 1 << 96),)))
        try:
            yield chain, council
        finally:
            chain.close()


def _embedded(chain: EmbeddedChain, world: World, *, rounds: int) -> list[Result]:
    world.seal(world.batch())  # the first blocks of a fresh chain pay for caches
    ours, single = side_by_side(lambda: _sealed(world), lambda: _one_by_one(chain, world), rounds)
    ours_again, hundred = side_by_side(lambda: _sealed(world), lambda: _by_the_hundred(chain, world), rounds)
    what = "registrations per second sealed on the embedded chain, batches of 200"
    return [
        Result(
            what,
            f"{ours:.0f}/s",
            f"naive, one per block, receipt awaited: {single:.0f}/s",
            ours / single,
            3.5,
        ),
        Result(
            what, f"{ours_again:.0f}/s", f"naive, 100 per block: {hundred:.0f}/s", ours_again / hundred, 2
        ),
    ]


def _sealed(world: World) -> float:
    payload = world.batch()
    return ITEMS / seconds(lambda: world.seal(payload))


def _one_by_one(chain: EmbeddedChain, world: World, size: int = 20) -> float:
    calls = world.naive_calls(size)
    start = time.perf_counter()
    for raw in calls:
        mined_at = chain.head().number
        tx_hash = chain.send(raw)
        chain.wait_head(mined_at, 10)
        mined(chain, tx_hash)
    return size / (time.perf_counter() - start)


def _by_the_hundred(chain: EmbeddedChain, world: World) -> float:
    calls = world.naive_calls(100)
    start = time.perf_counter()
    # Held back until all of them wait, so that they share one block.
    with chain._changed:  # the only way to fill a block of a chain that never waits
        hashes = [chain.send(raw) for raw in calls]
    blocks = {mined(chain, tx_hash).block_number for tx_hash in hashes}
    if len(blocks) != 1:
        raise RuntimeError(f"the transactions are in {len(blocks)} blocks")
    return 100 / (time.perf_counter() - start)
