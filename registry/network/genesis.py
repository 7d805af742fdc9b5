"""Block 0 of a QBFT network.

The chain starts with the London rules: contracts here are compiled for paris, which runs on London, and no
later rule is needed. The base fee is zero for ever, so nobody needs money to be heard; the coin is only what
escrows and rewards are counted in.
"""

from collections.abc import Mapping, Sequence

from registry.core.ids import Address, address_bytes
from registry.core.rlp import encode

VANITY_BYTES = 32
BLOCK_PERIOD_S = 2
REQUEST_TIMEOUT_S = 4
EPOCH_BLOCKS = 30_000
GAS_LIMIT = 0x1FFFFFFFFFFFFF
CONTRACT_SIZE_LIMIT_BYTES = 64 * 1024
# Besu knows a BFT block by this value of mixHash.
BFT_MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"


def extra_data(validators: Sequence[Address]) -> bytes:
    """RLP([vanity, validators, vote, round, seals]) with no vote, round 0 and no seals.

    >>> extra_data([]).hex()[-8:]
    'c0c080c0'
    """
    return encode([bytes(VANITY_BYTES), [address_bytes(address) for address in validators], [], b"", []])


def genesis(
    *, chain_id: int, validators: Sequence[Address], balances_wei: Mapping[Address, int]
) -> dict[str, object]:
    """The genesis file that every node must hold byte for byte."""
    return {
        "config": {
            "chainId": chain_id,
            "londonBlock": 0,
            "zeroBaseFee": True,
            "contractSizeLimit": CONTRACT_SIZE_LIMIT_BYTES,
            "qbft": {
                "blockperiodseconds": BLOCK_PERIOD_S,
                "epochlength": EPOCH_BLOCKS,
                "requesttimeoutseconds": REQUEST_TIMEOUT_S,
                # 0 = only the block's gas limit bounds a transaction, should a later fork bring a lower cap.
                "pertxgaslimit": 0,
            },
        },
        "nonce": "0x0",
        "timestamp": "0x0",
        "gasLimit": hex(GAS_LIMIT),
        "difficulty": "0x1",
        "mixHash": BFT_MIX_HASH,
        "coinbase": "0x" + "00" * 20,
        "extraData": "0x" + extra_data(sorted(validators, key=str.lower)).hex(),
        "alloc": {
            address[2:].lower(): {"balance": hex(balance)}
            for address, balance in sorted(balances_wei.items())
        },
    }
