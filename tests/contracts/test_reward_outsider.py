"""A whole round of each mechanism by a program that knows protocol.md 5 and nothing of our code.

Leaves, tree, details, commitments, the menu's recursion, the winners and their payments are written here
again, with eth_abi and keccak alone; the contract has to agree with every one of them.
"""

from itertools import combinations

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak
from onchain import again
from pychain import CHAIN_ID, EVE, actor, reverts
from rewards import AGGREGATOR, BOND, FILE, SPONSOR, Terms, copy, found_rewards

from registry.core.ids import Role

CROWD = tuple(actor(f"outsider {i}") for i in range(5))
LEAF = ["uint256", "address", "uint64", "uint32", "address", "uint256", "bytes32"]
RATE = 10**12


@pytest.fixture(scope="session")
def _crowd(_empty):
    found = found_rewards(again(_empty))
    for device in CROWD:
        found.world.admit(device, "outsiders", Role.DEVICE)
    return found


@pytest.fixture
def rewards(_crowd):
    """A pool and five devices, so that every level of the tree but the last promotes a node."""
    return copy(_crowd, again(_crowd.world))


def leaf_of(rewards, round_, account, amount, detail):
    fields = [CHAIN_ID, rewards.pool.address, 1, round_, account, amount, keccak(detail)]
    return keccak(keccak(encode(LEAF, fields)))


def node_of(one, two):
    return keccak(one + two if one < two else two + one)


def levels_of(leaves):
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [node_of(*below[i : i + 2]) for i in range(0, len(below) - 1, 2)]
        levels.append(above + (below[-1:] if len(below) % 2 else []))
    return levels


def proof_of(levels, place):
    path = []
    for level in levels[:-1]:
        if place ^ 1 < len(level):
            path.append(level[place ^ 1])
        place //= 2
    return path


def play(rewards, rows):
    """Settle round 0 by (account, amount, detail), claim every leaf; answers what each account gained."""
    rows = sorted(rows, key=lambda row: int(row[0], 16))
    levels = levels_of([leaf_of(rewards, 0, *row) for row in rows])
    root = levels[-1][0] if rows else bytes(32)
    rewards.at(101)
    rewards.begin()
    total = sum(amount for _, amount, _ in rows)
    rewards.pool.send(AGGREGATOR, "settle", 1, 0, root, total, len(rows), FILE, value=BOND)
    rewards.at(301)
    before = [rewards.world.evm.balance(account) for account, *_ in rows]
    for place, row in enumerate(rows):
        rewards.pool.send(EVE, "claim", 1, 0, [(*row, proof_of(levels, place))])
        with reverts("AlreadyClaimed", 1, 0, row[0]):
            rewards.pool.send(EVE, "claim", 1, 0, [(*row, proof_of(levels, place))])
    after = [rewards.world.evm.balance(account) for account, *_ in rows]
    return {row[0]: new - old for row, old, new in zip(rows, before, after, strict=True)}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_posted_rate_pays_every_leaf_of_the_tree(rewards, count):
    rewards.open(Terms(seats=5, rounds=1))
    thetas = [0, 333_333, 10**6, 999_999, 1][:count]
    due = {d.address: RATE * (10**6 - t) // 10**6 for d, t in zip(CROWD, thetas, strict=False)}
    rows = [
        (d.address, due[d.address], encode(["uint256", "uint256"], [RATE, t]))
        for d, t in zip(CROWD, thetas, strict=False)
    ]
    assert play(rewards, rows) == due


def test_an_auction_pays_vcg_by_brute_force(rewards):
    rewards.open(Terms(mechanism=1, unit=60, capacity=3, seats=5, rounds=1))
    bids = dict(zip(CROWD, [(10, 50, 2), (7, 30, 1), (20, 45, 1), (1, 60, 3), (5, 20, 1)], strict=True))
    salts = {d: keccak(d.address.encode()) for d in CROWD}
    kinds = ["uint256", "address", "uint64", "address", "(uint128,uint128,uint32)[]", "bytes32"]
    for device, bid in bids.items():
        fields = [CHAIN_ID, rewards.pool.address, 1, device.address, [bid], salts[device]]
        rewards.pool.send(device, "commitBid", 1, keccak(encode(kinds, fields)))
    rewards.at(51)
    for device, bid in bids.items():
        rewards.pool.send(device, "revealBid", 1, [bid], salts[device])

    def best(devices):
        sets = (s for n in range(len(devices) + 1) for s in combinations(devices, n))
        fitting = (s for s in sets if sum(bids[d][2] for d in s) <= 3)
        return max(
            ((sum(bids[d][1] - bids[d][0] for d in s), s) for s in fitting), key=lambda found: found[0]
        )

    welfare, winners = best(CROWD)
    rows = []
    for device in winners:
        claim, value, channels = bids[device]
        payment = claim + welfare - best([d for d in CROWD if d != device])[0]
        detail = encode(["uint256"] * 4, [claim, payment, value, channels])
        rows.append((device.address, payment, detail))
    gained = play(rewards, rows)
    assert gained == {account: amount for account, amount, _ in rows} and len(rows) >= 2


def test_a_menu_by_the_integer_recursion_opens_and_pays_and_by_floors_does_not(rewards):
    """c_ij = ceil(mu E_i(f_j)), R_1 = c_11, R_i = R_(i-1) + c_ii - c_i,(i-1)."""
    energy = [[n * f * f for f in (11, 17, 26)] for n in (7, 5, 3)]
    costs = [[-(-e // 4) for e in row] for row in energy]
    rewards_ = [costs[0][0]]
    for i in (1, 2):
        rewards_.append(rewards_[-1] + costs[i][i] - costs[i][i - 1])
    flat = [c for row in costs for c in row]
    terms = Terms(mechanism=2, unit=rewards_[-1], seats=5, rounds=1)
    poorer = [rewards_[0] - 1, *rewards_[1:]]
    with reverts("MenuNotRational", 0, poorer[0], costs[0][0]):
        rewards.open(terms, menu=(poorer, flat))
    envied = [*rewards_[:2], rewards_[2] - 1]
    with reverts("MenuNotCompatible", 2, 1):
        rewards.open(Terms(mechanism=2, unit=envied[2], seats=5, rounds=1), menu=(envied, flat))
    rewards.open(terms, menu=(rewards_, flat))
    rows = []
    for device, kind in zip(CROWD, (0, 1, 2, 1, 0), strict=True):
        rewards.pool.send(device, "choose", 1, kind, kind)
        rows.append((device.address, rewards_[kind], encode(["uint256", "uint256"], [kind, kind])))
    assert play(rewards, rows) == {account: amount for account, amount, _ in rows}


def test_the_empty_round_has_the_zero_root_and_gives_everything_back(rewards):
    rewards.open(Terms(seats=5, rounds=1))
    assert play(rewards, []) == {}
    rewards.at(1_001)
    before = rewards.world.evm.balance(SPONSOR.address)
    rewards.pool.send(EVE, "refund", 1, [0])
    assert rewards.world.evm.balance(SPONSOR.address) - before == 5 * RATE and rewards.held() == 0
