"""Makes the embedded chain's blocks: an eth-tester backend whose py-evm chain lives in a durable key-value
store.

Everything that enters a block hash is pinned, so two runs over the same transactions at the same times
agree byte for byte: the genesis (time, allocation, chain id in the extra data), `mix_hash` = keccak of the
parent's hash, a constant gas limit, coinbase zero. The base fee starts at 0 and stays there because no
block passes half its limit.

The virtual machine is Paris, the version the contracts are compiled for: a newer opcode fails here first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.db.schema import SchemaV1
from eth.exceptions import Revert
from eth.vm.forks.paris import ParisVM
from eth_tester.backends.pyevm.main import PyEVMBackend, get_default_genesis_params
from eth_typing import BlockNumber
from eth_utils.exceptions import ValidationError

from registry.chain.kv import SqliteKV
from registry.core.ids import Address, address_bytes, keccak
from registry.errors import Conflict

GAS_LIMIT = 2_000_000_000
# EIP-1559 raises the base fee once a block uses more than half its limit.
BLOCK_GAS = GAS_LIMIT // 2
GENESIS_TIME = 1_577_836_800
_CHAIN_ID_KEY = b"twinledger:chain-id"


@dataclass(frozen=True, slots=True)
class Genesis:
    """What the first block commits to; it counts only for an empty folder."""

    chain_id: int
    alloc: tuple[tuple[Address, int], ...] = ()


@dataclass(frozen=True, slots=True)
class MinedTransaction:
    """What a receipt says beyond py-evm's own: where its logs begin, what it used, why it failed."""

    block_number: int
    tx_index: int
    gas_used: int
    first_log: int
    contract: bytes
    failure: bytes


@dataclass(frozen=True, slots=True)
class MadeBlock:
    """The head after the attempt, and what became of the transactions offered."""

    header: BlockHeaderAPI
    included: tuple[bytes, ...]
    refused: tuple[bytes, ...]


class TwinChain(MiningChain):
    """py-evm's chain with a gas limit that never drifts."""

    vm_configuration = ((BlockNumber(0), ParisVM),)

    def create_header_from_parent(self, parent_header: BlockHeaderAPI, **fields: Any) -> BlockHeaderAPI:
        return super().create_header_from_parent(
            parent_header, **{**fields, "gas_limit": parent_header.gas_limit}
        )


def chain_class(chain_id: int) -> type[TwinChain]:
    """The chain's class for one chain id; py-evm keeps it on the class."""
    return TwinChain.configure("TwinChain", chain_id=chain_id)


def mined_key(tx_hash: bytes) -> bytes:
    """Where the store keeps a transaction's `MinedTransaction`."""
    return b"twinledger:tx:" + tx_hash


def decode_mined(encoded: bytes) -> MinedTransaction:
    """Read what `BlockMaker` wrote under `mined_key`."""
    *numbers, contract, failure = rlp.decode(encoded)
    block_number, tx_index, gas_used, first_log = (int.from_bytes(n, "big") for n in numbers)
    return MinedTransaction(block_number, tx_index, gas_used, first_log, contract, failure)


class BlockMaker(PyEVMBackend):  # type: ignore[misc]  # eth-tester carries no types
    """The one writer: executes transactions in order and commits a block, or changes nothing."""

    chain: TwinChain

    def __init__(self, kv: SqliteKV, genesis: Genesis) -> None:
        self._kv = kv
        self._genesis = genesis
        super().__init__()

    def reset_to_genesis(self, *_args: object, **_kwargs: object) -> None:
        """Resume at the stored head; an empty store gets its genesis first."""
        self.account_keys = ()
        self._pin_chain_id()
        chain = chain_class(self._genesis.chain_id)
        database = AtomicDB(self._kv)
        if SchemaV1.make_canonical_head_hash_lookup_key() in self._kv:
            self.chain = chain(database)
            return
        parameters = get_default_genesis_params()
        parameters |= {
            "timestamp": GENESIS_TIME,
            "gas_limit": GAS_LIMIT,
            "base_fee_per_gas": 0,
            "extra_data": b"twinledger:%d" % self._genesis.chain_id,
        }
        state = {
            address_bytes(address): {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
            for address, balance in self._genesis.alloc
        }
        self.chain = chain.from_genesis(database, parameters, state)  # type: ignore[assignment,arg-type]
        self._kv.commit()

    def _pin_chain_id(self) -> None:
        wanted = str(self._genesis.chain_id).encode()
        if _CHAIN_ID_KEY not in self._kv:
            self._kv[_CHAIN_ID_KEY] = wanted
            return
        held = self._kv[_CHAIN_ID_KEY]
        if held != wanted:
            raise Conflict(
                f"this folder holds chain {held.decode()}, the settings ask for chain {wanted.decode()}",
                hint="run `twinledger config show`, then choose another --home or the old chain id",
            )

    def make_block(self, transactions: Sequence[SignedTransactionAPI], time: int) -> MadeBlock:
        """Mine one block of as many of these as fit, in this order; no block when none can be included.

        A transaction that no longer fits is left for the next block together with everything after it; one
        that breaks a rule of the chain is refused. On any error nothing is written.
        """
        try:
            made = self._build(transactions, time)
            if made.included:
                self._kv.commit()
            return made
        finally:
            # Nothing is left after a commit; after an error nothing may be left.
            self._kv.rollback()

    def _build(self, transactions: Sequence[SignedTransactionAPI], time: int) -> MadeBlock:
        parent = self.chain.get_canonical_head()
        header = self.chain.create_header_from_parent(
            parent, timestamp=time, mix_hash=keccak(bytes(parent.hash))
        )
        vm = self.chain.get_vm(header)
        included: list[SignedTransactionAPI] = []
        refused: list[bytes] = []
        receipts: list[ReceiptAPI] = []
        log_count = 0
        for transaction in transactions:
            if header.gas_used + transaction.gas > BLOCK_GAS:
                break
            try:
                receipt, computation = vm.apply_transaction(header, transaction)
            except ValidationError:
                refused.append(bytes(transaction.hash))
                continue
            gas_before = header.gas_used
            header = vm.add_receipt_to_header(header, receipt)
            self._kv[mined_key(bytes(transaction.hash))] = rlp.encode(
                [
                    *(header.block_number, len(included), header.gas_used - gas_before, log_count),
                    *(_created(transaction, computation), _failure(computation)),
                ]
            )
            log_count += len(receipt.logs)
            included.append(transaction)
            receipts.append(receipt)
        if not included:
            return MadeBlock(parent, (), tuple(refused))
        filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, included, receipts)
        block = vm.mine_block(filled).block
        self.chain.validate_block(block)
        self.chain.chaindb.persist_block(block)
        return MadeBlock(block.header, tuple(bytes(t.hash) for t in included), tuple(refused))


def _created(transaction: SignedTransactionAPI, computation: ComputationAPI) -> bytes:
    if transaction.to or computation.is_error:
        return b""
    return bytes(computation.msg.storage_address)


def _failure(computation: ComputationAPI) -> bytes:
    # Out of gas and invalid opcodes leave no data; only REVERT speaks.
    if computation.is_error and isinstance(computation.error, Revert):
        return bytes(computation.output)
    return b""
