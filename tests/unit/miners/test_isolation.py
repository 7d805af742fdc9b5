"""A namespace at 20 times its share at most doubles the p99 class-H wait of others; one queue does not."""

from dataclasses import replace

import numpy as np

from miners.selection import Item, Selection, Shares, select
from registry.core.ids import FeeClass, VersionId, to_address

H = FeeClass.PRIORITY
NAMESPACES = 10
SIZE, SLOT_ITEMS, SLOTS = 1_000, 10, 400
OWNERS = [to_address(f"0x{n + 1:040x}") for n in range(NAMESPACES)]
ESCROW = dict.fromkeys(OWNERS, 10**18)


def p99_of_the_others(aggressor: float, *, is_fair: bool) -> float:
    """Slots from arrival to seal of everybody but namespace 0, whose share is multiplied by `aggressor`."""
    rng = np.random.default_rng(5)
    share = 0.6 * SLOT_ITEMS / NAMESPACES
    shares, waiting, waits = Shares(), [], []
    born: dict[VersionId, int] = {}
    for slot in range(SLOTS):
        arrivals = rng.poisson([share * (aggressor if n == 0 else 1) for n in range(NAMESPACES)])
        for namespace in rng.permutation(np.repeat(np.arange(NAMESPACES), arrivals)):
            version_id = VersionId(len(born).to_bytes(32))
            owner = OWNERS[namespace]
            waiting.append(Item(version_id, owner, H, 30, SIZE, (), 544, True, int(namespace)))
            born[version_id] = slot
        waiting = _head(waiting)
        shares.wait({item.share for item in waiting})
        found = _batch(waiting, shares if is_fair else None)
        done = set(found.batch)
        for item in waiting:
            if item.version_id in done:
                shares.serve(item.share, item.size)
                if item.namespace_id:
                    waits.append(slot - born[item.version_id] + 1)
        waiting = [item for item in waiting if item.version_id not in done]
    return float(np.percentile(waits, 99))


def _batch(waiting: list[Item], shares: Shares | None) -> Selection:
    one_queue = [replace(item, namespace_id=0) for item in waiting]
    return select(
        waiting if shares else one_queue,
        prices={H: 30, FeeClass.STANDARD: 20},
        escrow=ESCROW,
        sealed=(),
        budget=SIZE * SLOT_ITEMS,
        **({"served": shares.served} if shares else {}),
    )


def _head(waiting: list[Item]) -> list[Item]:
    """As much of the aggressor's queue as a miner looks at; it only gets longer."""
    mine = [item for item in waiting if item.namespace_id == 0][:400]
    kept = {item.version_id for item in mine}
    return [item for item in waiting if item.namespace_id or item.version_id in kept]


def test_a_flood_in_class_h_at_most_doubles_the_wait_of_the_others():
    calm = p99_of_the_others(1.0, is_fair=True)
    assert p99_of_the_others(20.0, is_fair=True) <= 2 * calm


def test_in_one_queue_the_same_flood_starves_them():
    calm = p99_of_the_others(1.0, is_fair=False)
    assert p99_of_the_others(20.0, is_fair=False) > 2 * calm
