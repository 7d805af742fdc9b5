"""Reads of the embedded chain's committed blocks, through connections of their own.

A view never waits for the block being made: it reads what the last commit left, at the header its caller
names. A view serves one thread at a time; `Views` keeps a few and lends them out.
"""

import itertools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import LifoQueue

import rlp
from eth.abc import BlockHeaderAPI, ComputationAPI, StateAPI
from eth.db.atomic import AtomicDB
from eth.exceptions import HeaderNotFound, Revert
from eth.vm.forks.paris import ParisVM
from eth.vm.message import Message
from eth_bloom.bloom import BloomFilter
from eth_typing import Address as Canonical
from eth_typing import BlockNumber
from trie.hexary import HexaryTrie

from registry.chain.base import Block, Log, Receipt, ReceiptProof, Reverted
from registry.chain.blocks import MinedTransaction, chain_class, decode_mined, mined_key
from registry.chain.kv import CommittedKV, HashedCache
from registry.core.ids import Address, address_bytes, address_of
from registry.errors import ChainUnavailable, NotFound

CALL_GAS = 500_000_000
_NOBODY = Canonical(bytes(20))
_SUCCESS = b"\x01"
_MOST_ANSWERS = 4_096
_Place = tuple[bytes, int]
_Found = dict[tuple[Address, bytes, Address | None], bytes | Reverted]


class Answers:
    """What calls answered at one head and one block time, where they answer the same whoever asks again.

    The miners and the gateway of one process ask for the same prices, epoch and accounts after every block.
    """

    def __init__(self) -> None:
        self._known: tuple[_Place, _Found] = ((b"", 0), {})

    def at(self, head: bytes, time: int) -> _Found:
        """What is known there; what was known of another place is forgotten."""
        # Place and answers are taken and replaced together: other threads ask meanwhile, elsewhere.
        place, found = self._known
        if place != (head, time) or len(found) >= _MOST_ANSWERS:
            found = {}
            self._known = (head, time), found
        return found


class View:
    """One connection's view of the committed chain."""

    def __init__(self, path: Path, chain_id: int, cache: HashedCache) -> None:
        self._kv = CommittedKV(path, cache)
        self._chain = chain_class(chain_id)(AtomicDB(self._kv))

    def close(self) -> None:
        """Close the connection."""
        self._kv.close()

    def head(self) -> BlockHeaderAPI:
        """The header that the last commit made the head."""
        return self._chain.chaindb.get_canonical_head()

    def header(self, number: int) -> BlockHeaderAPI:
        """The header of that number; NotFound beyond the head."""
        try:
            return self._chain.get_canonical_block_header_by_number(BlockNumber(number))
        except HeaderNotFound as e:
            raise NotFound(f"block {number} does not exist") from e

    def state_after(self, header: BlockHeaderAPI, time: int) -> StateAPI:
        """The state that a transaction in the block after `header` meets, at that block's time."""
        pending = self._chain.create_header_from_parent(header, timestamp=time)
        return self._chain.get_vm(pending).state

    def run(
        self, state: StateAPI, sender: Address | None, to: Address | None, data: bytes, value: int
    ) -> ComputationAPI:
        """Execute a message as a transaction would, without paying for gas; the state is thrown away."""
        origin = Canonical(address_bytes(sender)) if sender else _NOBODY
        context = state.get_transaction_context_class()(gas_price=0, origin=origin)
        if to is None:
            created = Canonical(bytes(20))
            creation = Message(CALL_GAS, Canonical(b""), origin, value, b"", data, create_address=created)
            return state.computation_class.apply_create_message(state, creation, context)
        target = Canonical(address_bytes(to))
        message = Message(CALL_GAS, target, origin, value, data, state.get_code(target))
        return state.computation_class.apply_message(state, message, context)

    def mined(self, tx_hash: bytes) -> MinedTransaction | None:
        """Where a transaction was mined, or None."""
        try:
            return decode_mined(self._kv[mined_key(tx_hash)])
        except KeyError:
            return None

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt, found without reading any other of its block."""
        mined = self.mined(tx_hash)
        if mined is None:
            return None
        header = self.header(mined.block_number)
        stored = self._chain.chaindb.get_receipt_by_index(
            BlockNumber(mined.block_number), mined.tx_index, ParisVM.get_receipt_builder()
        )
        return Receipt(
            tx_hash=tx_hash,
            block_number=mined.block_number,
            block_hash=bytes(header.hash),
            tx_index=mined.tx_index,
            succeeded=stored.state_root == _SUCCESS,
            gas_used=mined.gas_used,
            logs=_logs(stored.logs, header, tx_hash, mined.tx_index, mined.first_log),
            contract_address=address_of(mined.contract) if mined.contract else None,
        )

    def block(self, number: int) -> Block:
        """A block's identity with its encoded header."""
        header = self.header(number)
        return Block(
            header.block_number,
            bytes(header.hash),
            bytes(header.parent_hash),
            header.timestamp,
            bytes(rlp.encode(header)),
        )

    def logs_of_block(self, number: int, wanted: Collection[bytes]) -> Iterator[Log]:
        """The logs of these contracts in one block; the bloom filter skips most blocks without any."""
        header = self.header(number)
        if not any(address in BloomFilter(header.bloom) for address in wanted):
            return
        chaindb = self._chain.chaindb
        hashes = chaindb.get_block_transaction_hashes(header)
        index = 0
        receipts = chaindb.get_receipts(header, ParisVM.get_receipt_builder())
        for tx_index, (tx_hash, receipt) in enumerate(zip(hashes, receipts, strict=True)):
            logs = _logs(receipt.logs, header, bytes(tx_hash), tx_index, index)
            index += len(logs)
            yield from (log for log in logs if address_bytes(log.address) in wanted)

    def receipt_proof(self, tx_hash: bytes) -> ReceiptProof:
        """Header and trie nodes of one receipt; NotFound when it is not mined."""
        mined = self.mined(tx_hash)
        if mined is None:
            raise NotFound(f"transaction 0x{tx_hash.hex()} is not mined")
        header = self.header(mined.block_number)
        trie = HexaryTrie(AtomicDB(self._kv), root_hash=header.receipt_root)
        path = trie.get_proof(rlp.encode(mined.tx_index))  # type: ignore[no-untyped-call]
        nodes = tuple(bytes(rlp.encode(node)) for node in path)
        return ReceiptProof(bytes(rlp.encode(header)), mined.tx_index, nodes)


class Views:
    """A few views, lent to one thread each."""

    def __init__(self, path: Path, chain_id: int, cache: HashedCache, count: int) -> None:
        self._all = [View(path, chain_id, cache) for _ in range(count)]
        self._free: LifoQueue[View | None] = LifoQueue()
        for view in self._all:
            self._free.put(view)

    @contextmanager
    def lend(self) -> Iterator[View]:
        """A view for the length of the block; waits while all are out, ChainUnavailable once closed."""
        view = self._free.get()
        if view is None:
            self._free.put(None)
            raise ChainUnavailable("the chain is closed", hint="run `twinledger up`")
        try:
            yield view
        finally:
            self._free.put(view)

    def close(self) -> None:
        """Wait until every view is back, close them, and refuse everybody who asks from now on."""
        returned = [self._free.get() for _ in self._all]
        self._free.put(None)
        for view in returned:
            if view is not None:
                view.close()


def revert_data(computation: ComputationAPI) -> bytes:
    """What a refused execution says; empty when it ran out of gas or met an invalid opcode."""
    return bytes(computation.output) if isinstance(computation.error, Revert) else b""


def _logs(
    logs: Collection[object], header: BlockHeaderAPI, tx_hash: bytes, tx_index: int, first: int
) -> tuple[Log, ...]:
    return tuple(
        Log(
            address=address_of(log.address),  # type: ignore[attr-defined]  # py-evm types logs as tuples here
            topics=tuple(topic.to_bytes(32, "big") for topic in log.topics),  # type: ignore[attr-defined]
            data=bytes(log.data),  # type: ignore[attr-defined]
            block_number=header.block_number,
            block_hash=bytes(header.hash),
            tx_hash=tx_hash,
            tx_index=tx_index,
            index=index,
        )
        for log, index in zip(logs, itertools.count(first), strict=False)
    )
