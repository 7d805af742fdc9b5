"""scripts/devnet/geth: three sealers agree, survive a lost one and heal after a partition."""

import itertools

import pytest
from eth_account import Account
from web3 import Web3
from web3.middleware import ExtraDataToPOAMiddleware

NODES = ("TWINLEDGER_GETH", "TWINLEDGER_GETH_2", "TWINLEDGER_GETH_3")
# The first of anvil's published development accounts, which the genesis funds.
FUNDED = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")


@pytest.fixture(scope="module")
def geth(engine):
    return engine("geth", "data")


@pytest.fixture
def nodes(geth):
    env = geth.start()
    return [connect(env[name]) for name in NODES]


def connect(url):
    w3 = Web3(Web3.HTTPProvider(url, request_kwargs={"timeout": 30}))
    # A sealer's signature makes extraData longer than web3 takes for an Ethereum block.
    w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    return w3


def send(w3, *, nonce_from):
    """Send one wei through a node, at a price high enough to be passed on, and answer the hash."""
    receiver = Account.create().address
    nonce = nonce_from.eth.get_transaction_count(FUNDED.address)
    fields = {"nonce": nonce, "gas": 21_000, "gasPrice": 1, "to": receiver, "value": 1, "chainId": 31338}
    return w3.eth.send_raw_transaction(FUNDED.sign_transaction(fields).raw_transaction)


def is_sealed(w3, transaction):
    found = w3.provider.make_request("eth_getTransactionReceipt", ["0x" + bytes(transaction).hex()])
    return found["result"] is not None


def admin(w3, method, enode):
    assert "error" not in w3.provider.make_request(method, [enode])


def enode(w3):
    return w3.provider.make_request("admin_nodeInfo", [])["result"]["enode"]


def height(w3):
    return w3.eth.block_number


def test_all_three_sealers_produce_blocks(nodes, eventually):
    def every_sealer_signed():
        head = nodes[0].eth.block_number
        numbers = [hex(number) for number in range(1, head + 1)]
        answers = [nodes[0].provider.make_request("clique_getSigner", [number]) for number in numbers]
        return len({answer["result"] for answer in answers}) == 3

    eventually(every_sealer_signed)


def test_a_transaction_through_one_node_is_seen_on_the_others(nodes, eventually):
    transaction = send(nodes[0], nonce_from=nodes[0])
    for other in nodes:
        eventually(lambda other=other: is_sealed(other, transaction))


def test_blocks_are_without_base_fee_and_hold_the_deployed_rules(nodes):
    assert "baseFeePerGas" not in nodes[0].eth.get_block("latest")
    assert nodes[0].eth.chain_id == 31338


def test_two_sealers_go_on_when_one_is_killed_and_it_catches_up(geth, nodes, eventually):
    geth.stop("--node", "3", "--kill")
    before = height(nodes[0])
    transaction = send(nodes[0], nonce_from=nodes[0])
    eventually(lambda: is_sealed(nodes[1], transaction) and height(nodes[1]) > before + 3)
    geth.start("--node", "3")
    eventually(lambda: is_sealed(nodes[2], transaction))


def test_a_partition_heals_to_one_chain_that_keeps_both_sides_transactions(geth, nodes, eventually):
    eventually(lambda: geth.run("health").returncode == 0)
    alone, majority = nodes[2], nodes[:2]
    for one, other in itertools.product([alone], majority):
        admin(one, "admin_removePeer", enode(other))
        admin(other, "admin_removePeer", enode(one))
    eventually(lambda: alone.net.peer_count == 0)
    cut = height(majority[0])
    first = send(majority[0], nonce_from=majority[0])
    eventually(lambda: is_sealed(majority[1], first) and height(majority[1]) > cut + 4)
    # A lone sealer may sign one block of any two: it stands still, and what it was given waits.
    assert height(alone) <= cut + 2
    assert not is_sealed(alone, first)

    for one, other in itertools.product([alone], majority):
        admin(one, "admin_addPeer", enode(other))
        admin(other, "admin_addPeer", enode(one))
    eventually(lambda: is_sealed(alone, first))
    second = send(alone, nonce_from=alone)
    eventually(lambda: all(is_sealed(node, second) for node in nodes))
    settled = min(height(node) for node in nodes) - 3
    assert len({node.eth.get_block(settled)["hash"] for node in nodes}) == 1
