"""The default chain: py-evm in this process, on one durable SQLite file, alone in its folder.

`send` checks a transaction and lets it wait; one thread makes blocks, each of all that waits. A block's
time is the clock's, at least its parent's plus one, and at most 600 s ahead of the clock: then block making
waits. Reads see the newest committed block and never wait for the one being made.

Importing this module imports py-evm, which takes a second: only `wiring` does so, when the settings ask for
it.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rlp
from eth.abc import BlockHeaderAPI, SignedTransactionAPI
from eth.exceptions import PyEVMError
from eth.vm.forks.paris import ParisVM
from eth_typing import Address as Canonical
from eth_utils.exceptions import ValidationError

from registry.chain.base import Block, FeePolicy, Head, Log, Receipt, ReceiptProof, Reverted
from registry.chain.blocks import BLOCK_GAS, BlockMaker, Genesis, MadeBlock, MinedTransaction
from registry.chain.folder import FolderLock
from registry.chain.kv import HashedCache, SqliteKV
from registry.chain.views import CALL_GAS, Answers, View, Views, revert_data
from registry.chain.waiting import Waiting
from registry.core.ids import Address, address_bytes, keccak
from registry.errors import ChainUnavailable, Malformed, NotFound, TooLarge

MOST_AHEAD_S = 600
# What geth's pool takes: a transaction that works here works there.
MAX_TRANSACTION_BYTES = 128 * 1024
_READERS = 4
_LOG = logging.getLogger("registry.chain")


class EmbeddedChain:
    """A `ChainLink` whose chain is a folder; a second process that opens it gets Conflict."""

    confirmations = 0
    most_lag = 0

    def __init__(
        self,
        folder: Path,
        genesis: Genesis,
        *,
        clock: Callable[[], float] = time.time,
        cache_entries: int = 20_000,
    ) -> None:
        self.chain_id = genesis.chain_id
        self._clock = clock
        self._lock = FolderLock(folder)
        try:
            self._kv, self._maker, self._views = _open(folder / "chain.sqlite", genesis, cache_entries)
        except BaseException:
            self._lock.release()
            raise
        with self._views.lend() as view:
            self._header = view.head()
            self.genesis_hash = bytes(view.header(0).hash)
        self._answers = Answers()
        self._waiting = Waiting()
        self._trouble: Exception | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._make_blocks, name="block-maker", daemon=True)
        self._thread.start()

    def head(self) -> Head:
        """The newest committed block."""
        return _head(self._header)

    def block(self, number: int) -> Block:
        """The block of that number; NotFound beyond the head."""
        if not 0 <= number <= self._open_header().block_number:
            raise NotFound(f"block {number} does not exist, the head is {self._header.block_number}")
        with self._views.lend() as view:
            return view.block(number)

    def pending_time(self) -> int:
        """The time the next block would have now."""
        return self.time_after(self.head())

    def time_after(self, head: Head) -> int:
        """The pending time, for who has just asked for the head."""
        return max(head.time + 1, int(self._clock()))

    def call(self, to: Address, data: bytes, sender: Address | None = None) -> bytes:
        """Run a call on the newest state, at the pending block's time."""
        header, at = self._open_header(), self.pending_time()
        known = self._answers.at(bytes(header.hash), at)
        found = known.get((to, data, sender))
        if found is None:
            with self._views.lend() as view:
                computation = view.run(view.state_after(header, at), sender, to, data, 0)
            failed = computation.is_error
            found = Reverted(revert_data(computation)) if failed else bytes(computation.output)
            known[to, data, sender] = found
        if isinstance(found, Reverted):
            raise Reverted(found.data)
        return found

    def send(self, raw: bytes) -> bytes:
        """Check a signed transaction and let it wait for the next block."""
        transaction = self._decode(raw)
        tx_hash = keccak(raw)
        with self._views.lend() as view, self._changed:
            self._open_header()
            if view.mined(tx_hash):
                return tx_hash
            if self._trouble is not None:
                raise ChainUnavailable(f"no block can be written: {self._trouble}") from self._trouble
            if tx_hash in self._waiting:
                return tx_hash
            state = view.state_after(self._header, self.pending_time())
            nonce, balance = state.get_nonce(transaction.sender), state.get_balance(transaction.sender)
            self._waiting.add(tx_hash, transaction, nonce, balance)
            self._changed.notify_all()
        return tx_hash

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a mined transaction."""
        with self._views.lend() as view:
            return view.receipt(tx_hash) if self._visible(view, tx_hash) else None

    def failure(self, tx_hash: bytes) -> bytes:
        """The revert data of a mined transaction; NotFound when it is not mined."""
        with self._views.lend() as view:
            mined = self._visible(view, tx_hash)
        if mined is None:
            raise NotFound(f"transaction 0x{tx_hash.hex()} is not mined")
        return mined.failure

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        """Every log of these contracts in blocks first to last."""
        wanted = frozenset(address_bytes(a) for a in addresses)
        last = min(last, self._open_header().block_number)
        with self._views.lend() as view:
            return [log for n in range(max(first, 0), last + 1) for log in view.logs_of_block(n, wanted)]

    def nonce(self, address: Address) -> int:
        """The next nonce, with waiting transactions counted."""
        account = Canonical(address_bytes(address))
        with self._views.lend() as view, self._changed:
            state = view.state_after(self._open_header(), self.pending_time())
            return self._waiting.next_nonce(account, state.get_nonce(account))

    def mined_nonce(self, address: Address) -> int:
        """How many transactions of the address are mined."""
        header = self._open_header()
        with self._views.lend() as view:
            return view.state_after(header, self.pending_time()).get_nonce(Canonical(address_bytes(address)))

    def balance(self, address: Address) -> int:
        """Wei held after the newest block."""
        header = self._open_header()
        with self._views.lend() as view:
            return view.state_after(header, self.pending_time()).get_balance(
                Canonical(address_bytes(address))
            )

    def code(self, address: Address) -> bytes:
        """The contract's code; empty for an ordinary account."""
        header = self._open_header()
        with self._views.lend() as view:
            state = view.state_after(header, self.pending_time())
            return bytes(state.get_code(Canonical(address_bytes(address))))

    def fee_policy(self) -> FeePolicy:
        """Gas is free here."""
        return FeePolicy(gas_price=0, tip=None)

    def estimate_gas(self, sender: Address, to: Address | None, data: bytes, value: int = 0) -> int:
        """Twice what an execution now uses and a little: gas is free, and nested calls need headroom."""
        header = self._open_header()
        with self._views.lend() as view:
            computation = view.run(view.state_after(header, self.pending_time()), sender, to, data, value)
        if computation.is_error:
            raise Reverted(revert_data(computation))
        used = CALL_GAS - computation.get_gas_remaining() + 53_000 + 16 * len(data)
        return min(BLOCK_GAS, 2 * used + 100_000)

    def receipt_proof(self, tx_hash: bytes) -> ReceiptProof | None:
        """Header and trie nodes of a mined transaction's receipt."""
        with self._views.lend() as view:
            if self._visible(view, tx_hash) is None:
                raise NotFound(f"transaction 0x{tx_hash.hex()} is not mined")
            return view.receipt_proof(tx_hash)

    def wait_head(self, after_number: int, timeout_s: float) -> Head:
        """The newest head, as soon as it is above `after_number` or the time is up."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or self._header.block_number > after_number, max(timeout_s, 0)
            )
            return _head(self._header)

    def close(self) -> None:
        """Finish the block being made, forget what still waits, and free the folder."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._views.close()
        self._kv.close()
        self._lock.release()

    def _open_header(self) -> BlockHeaderAPI:
        if self._closing:
            raise ChainUnavailable("the chain is closed", hint="run `twinledger up`")
        return self._header

    def _visible(self, view: View, tx_hash: bytes) -> MinedTransaction | None:
        # A block is committed just before it becomes the head: who sees its receipt must find its state.
        header = self._open_header()
        mined = view.mined(tx_hash)
        return mined if mined and mined.block_number <= header.block_number else None

    def _decode(self, raw: bytes) -> SignedTransactionAPI:
        if len(raw) > MAX_TRANSACTION_BYTES:
            raise TooLarge(f"the transaction has {len(raw)} bytes, at most {MAX_TRANSACTION_BYTES} are taken")
        try:
            transaction = ParisVM.get_transaction_builder().decode(raw)
            transaction.validate()
        except (ValidationError, PyEVMError, rlp.RLPException, ValueError, TypeError, IndexError) as e:
            raise Malformed(f"{len(raw)} bytes are no valid signed transaction: {e}") from e
        if transaction.chain_id != self.chain_id:
            raise Malformed(f"the transaction is for chain {transaction.chain_id}, this is {self.chain_id}")
        if transaction.gas > BLOCK_GAS:
            raise TooLarge(f"the transaction asks for {transaction.gas} gas, a block has {BLOCK_GAS}")
        return transaction

    def _make_blocks(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or len(self._waiting) > 0)
                if self._closing:
                    return
                block_time = self.pending_time()
                if block_time > self._clock() + MOST_AHEAD_S:
                    self._changed.wait(0.2)
                    continue
                batch = self._waiting.in_order()
            made = self._make_block(batch, block_time)
            with self._changed:
                if made is None:
                    self._changed.wait(1)
                    continue
                self._header = made.header
                self._waiting.forget(made.included)
                self._waiting.forget(made.refused)
                self._changed.notify_all()

    def _make_block(self, batch: Sequence[SignedTransactionAPI], block_time: int) -> MadeBlock | None:
        try:
            made = self._maker.make_block(batch, block_time)
        except (sqlite3.Error, OSError) as e:
            _LOG.error("no block can be written, trying again: %s", e)
            self._trouble = e
            return None
        except Exception:
            # One transaction that breaks the machine must not stop the chain for everybody else.
            if len(batch) > 1:
                return self._make_block(batch[:1], block_time)
            _LOG.exception("transaction 0x%s cannot be executed and is dropped", batch[0].hash.hex())
            return MadeBlock(self._header, (), (bytes(batch[0].hash),))
        self._trouble = None
        return made


def _head(header: BlockHeaderAPI) -> Head:
    return Head(header.block_number, bytes(header.hash), bytes(header.parent_hash), header.timestamp)


def _open(path: Path, genesis: Genesis, cache_entries: int) -> tuple[SqliteKV, BlockMaker, Views]:
    cache = HashedCache(cache_entries)
    try:
        kv = SqliteKV(path, cache)
    except sqlite3.Error as e:
        raise ChainUnavailable(f"{path} cannot be opened: {e}") from e
    try:
        return kv, BlockMaker(kv, genesis), Views(path, genesis.chain_id, cache, _READERS)
    except sqlite3.Error as e:
        kv.close()
        raise ChainUnavailable(f"{path} cannot be read: {e}") from e
    except BaseException:
        kv.close()
        raise
