"""Any Ethereum JSON-RPC chain: anvil, geth's proof of authority, Hyperledger Besu.

Nodes hold no keys: transactions arrive signed. What a node says about a transaction it refuses is prose,
different in every engine, so the reason is found by asking for the state instead. Importing this module
imports web3.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from registry.chain.base import Block, Calls, FeePolicy, Head, Log, Receipt, ReceiptProof, Reverted
from registry.chain.rpc_nodes import MOST_BEHIND, NodeRefused, Nodes
from registry.chain.rpc_records import (
    block_of,
    bytes_of,
    head_of,
    header_rlp,
    log_of,
    number_of,
    receipt_nodes,
    receipt_of,
)
from registry.chain.rpc_state import StateAfter, call_request
from registry.chain.rpc_wakeup import HeadBell
from registry.chain.signed import SignedTransaction, read_signed
from registry.core.ids import Address, keccak
from registry.errors import ChainUnavailable, Conflict, FeeTooLow, Malformed, NotFound, Rejected

PAGE_BLOCKS = 1000
# JSON-RPC codes for "your request, not the execution": everything else without data is a failed execution.
_PROTOCOL_ERRORS = (-32700, -32600, -32601, -32602)


class RpcChain:
    """A `ChainLink` over JSON-RPC; several nodes stand in for one another."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        confirmations: int,
        chain_id: int | None = None,
        genesis_hash: bytes | None = None,
        websockets: Sequence[str] = (),
        gas_price: int | None = None,
        timeout_s: float = 10.0,
        poll_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.confirmations = confirmations
        self.most_lag = MOST_BEHIND if len(urls) > 1 else 0
        self._nodes = Nodes(urls, chain_id=chain_id, genesis_hash=genesis_hash, timeout_s=timeout_s)
        self._gas_price = gas_price
        self._poll_s = poll_s
        self._clock = clock
        self._bell = HeadBell(tuple(websockets))
        self._is_closed = False

    @property
    def chain_id(self) -> int:
        """The configured chain id, else the first node's."""
        return self._nodes.chain_id

    @property
    def genesis_hash(self) -> bytes:
        """The configured genesis, else the first node's."""
        return self._nodes.genesis_hash

    def head(self) -> Head:
        """The newest block of a node that is not behind."""
        return head_of(self._newest())

    def block(self, number: int) -> Block:
        """The block of that number; NotFound beyond the head."""
        return block_of(self._block(number))

    def pending_time(self) -> int:
        """The clock's time, and more than the newest block's: what the next block can have."""
        return self.time_after(self.head())

    def time_after(self, head: Head) -> int:
        """The pending time, for who has just asked for the head."""
        return max(head.time + 1, int(self._clock()))

    def call(self, to: Address, data: bytes, sender: Address | None = None) -> bytes:
        """Run a call on the newest state; what the newest block's time refuses, at the next one's too."""
        request = call_request(to, data, sender)
        try:
            return bytes_of(self._execute("eth_call", request, "latest"))
        except Reverted as e:
            # Where blocks come only with transactions, what the newest one refuses may be due by now.
            next_time = {"time": hex(self.pending_time())}
            try:
                return bytes_of(self._execute("eth_call", request, "latest", {}, next_time))
            except ChainUnavailable:
                raise e from None  # this node cannot run a call at another time

    def after(self, head: Head) -> Calls:
        """Calls on the state after that block; ChainReorganised once it is no block of the chain."""
        return StateAfter(self._ask, head)

    def send(self, raw: bytes) -> bytes:
        """Hand in a signed transaction; its hash is computed here, whatever the node answers."""
        transaction = read_signed(raw)
        if transaction.chain_id != self.chain_id:
            raise Malformed(f"the transaction is for chain {transaction.chain_id}, this is {self.chain_id}")
        if transaction.gas < transaction.intrinsic_gas:
            raise Malformed(
                f"the bytes alone cost {transaction.intrinsic_gas} gas, {transaction.gas} are given"
            )
        tx_hash = keccak(raw)
        try:
            self._ask("eth_sendRawTransaction", _hex(raw))
        except NodeRefused as e:
            self._explain_refusal(transaction, tx_hash, e)
        return tx_hash

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a mined transaction."""
        found = self._receipt(tx_hash)
        return receipt_of(found) if found else None

    def failure(self, tx_hash: bytes) -> bytes:
        """The revert data, found by running the transaction again before its block, then after it.

        Empty where the failure depended on other transactions of the same block.
        """
        transaction = self._ask("eth_getTransactionByHash", _hex(tx_hash))
        if not transaction or not transaction.get("blockNumber"):
            raise NotFound(f"transaction {_hex(tx_hash)} is not mined")
        names = {"from": "from", "to": "to", "gas": "gas", "value": "value", "input": "data"}
        request = {ours: transaction[theirs] for theirs, ours in names.items() if transaction.get(theirs)}
        mined_in = number_of(transaction["blockNumber"])
        for number in (mined_in - 1, mined_in):
            try:
                self._execute("eth_call", request, hex(number))
            except Reverted as e:
                return e.data
        return b""

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        """Every log of these contracts, asked for in pages that shrink when a node finds them too large."""
        found: list[Log] = []
        page, start = PAGE_BLOCKS, first
        # Nodes refuse a range that ends beyond their head; up to what one told of nobody need be asked.
        if last > self._nodes.best_head:
            last = min(last, self.head().number)
        while addresses and start <= last:
            end = min(last, start + page - 1)
            bounds = {"fromBlock": hex(start), "toBlock": hex(end), "address": list(addresses)}
            try:
                logs = self._ask("eth_getLogs", bounds)
            except NodeRefused as e:
                if page == 1:
                    raise ChainUnavailable(f"the node gives no logs of block {start}: {e}") from e
                page //= 2
                continue
            found += [log_of(log) for log in logs]
            start = end + 1
        return sorted(found, key=lambda log: (log.block_number, log.index))

    def nonce(self, address: Address) -> int:
        """The next nonce, with the node's waiting transactions counted."""
        return number_of(self._ask("eth_getTransactionCount", address, "pending"))

    def mined_nonce(self, address: Address) -> int:
        """How many transactions of the address are mined."""
        return number_of(self._ask("eth_getTransactionCount", address, "latest"))

    def balance(self, address: Address) -> int:
        """Wei held after the newest block."""
        return number_of(self._ask("eth_getBalance", address, "latest"))

    def code(self, address: Address) -> bytes:
        """The contract's code; empty for an ordinary account."""
        return bytes_of(self._ask("eth_getCode", address, "latest"))

    def fee_policy(self) -> FeePolicy:
        """What a block takes now: nothing at base fee 0, the node's price before London, else EIP-1559.

        A configured gas price is always paid as it is.
        """
        if self._gas_price is not None:
            return FeePolicy(self._gas_price, None)
        base_fee = self._newest().get("baseFeePerGas")
        if base_fee is None:
            # geth's pool takes a price of 0 from its own RPC and tells no other node of it.
            return FeePolicy(max(1, number_of(self._ask("eth_gasPrice"))), None)
        if number_of(base_fee) == 0:
            return FeePolicy(0, 0)
        tip = number_of(self._ask("eth_maxPriorityFeePerGas"))
        return FeePolicy(2 * number_of(base_fee) + tip, tip)

    def estimate_gas(self, sender: Address, to: Address | None, data: bytes, value: int = 0) -> int:
        """A quarter more than the node's estimate, at most what a block holds."""
        request: dict[str, object] = {"from": sender, "data": _hex(data), "value": hex(value)}
        if to is not None:
            request["to"] = to
        estimate = number_of(self._execute("eth_estimateGas", request))
        return min(estimate * 5 // 4, number_of(self._newest()["gasLimit"]))

    def receipt_proof(self, tx_hash: bytes) -> ReceiptProof | None:
        """Header and trie nodes, built from all receipts of the block.

        None where the header does not hash back to the block (Besu QBFT) or the receipts not to its root.
        """
        receipt = self._receipt(tx_hash)
        if receipt is None:
            raise NotFound(f"transaction {_hex(tx_hash)} is not mined")
        block = self._ask("eth_getBlockByHash", receipt["blockHash"], False)
        header = header_rlp(block) if block else b""
        if not header:
            return None
        index = number_of(receipt["transactionIndex"])
        # A miner's batch is mostly alone in its block, and a megabyte of receipts is not asked for twice.
        receipts = [receipt] if len(block["transactions"]) == 1 else self._receipts(block)
        nodes = receipt_nodes(header, receipts, index)
        return ReceiptProof(header, index, nodes) if nodes else None

    def wait_head(self, after_number: int, timeout_s: float) -> Head:
        """The newest head: woken by the node's subscription where there is one, polled for otherwise."""
        until = time.monotonic() + timeout_s
        while True:
            rung = self._bell.count()
            head = self.head()
            left = until - time.monotonic()
            if head.number > after_number or left <= 0:
                return head
            self._bell.wait(rung, min(self._poll_s, left))

    def close(self) -> None:
        """Stop listening; every later question is ChainUnavailable."""
        self._is_closed = True
        self._bell.close()
        self._nodes.close()

    def _ask(self, method: str, *parameters: object) -> Any:
        if self._is_closed:
            raise ChainUnavailable("the connection to the chain is closed")
        return self._nodes.ask(method, *parameters)

    def _newest(self) -> Any:
        if self._is_closed:
            raise ChainUnavailable("the connection to the chain is closed")
        return self._nodes.newest_block()

    def _execute(self, method: str, *parameters: object) -> Any:
        try:
            return self._ask(method, *parameters)
        except NodeRefused as e:
            if e.data is None and e.code in _PROTOCOL_ERRORS:
                raise ChainUnavailable(f"the node does not take {method}: {e}") from e
            raise Reverted(e.data or b"") from e

    def _block(self, number: int) -> Any:
        found = self._ask("eth_getBlockByNumber", hex(number), False) if number >= 0 else None
        if not found:
            raise NotFound(f"block {number} does not exist")
        return found

    def _receipt(self, tx_hash: bytes) -> Any:
        found = self._ask("eth_getTransactionReceipt", _hex(tx_hash))
        return found if found and found.get("blockHash") else None

    def _receipts(self, block: Any) -> list[Any]:
        try:
            return list(self._ask("eth_getBlockReceipts", block["hash"]))
        except NodeRefused:
            # An older method set: one request per transaction gives the same.
            return [self._ask("eth_getTransactionReceipt", tx_hash) for tx_hash in block["transactions"]]

    def _explain_refusal(self, transaction: SignedTransaction, tx_hash: bytes, refused: NodeRefused) -> None:
        """Return when the node has the transaction after all; otherwise raise the reason the state shows."""
        if self._ask("eth_getTransactionByHash", _hex(tx_hash)):
            return
        sender, nonce = transaction.sender, transaction.nonce
        expected = self.nonce(sender)
        if nonce < expected:
            raise Conflict(
                f"{sender} is at nonce {expected}, the transaction has {nonce}",
                hint="sign it again with the nonce of `twinledger account show`",
                expected=expected,
            ) from refused
        balance = self.balance(sender)
        if balance < transaction.cost:
            raise FeeTooLow(
                f"{sender} holds {balance} wei, the transaction needs {transaction.cost}",
                hint="take coin out of its escrow with `twinledger account withdraw`, or send it some",
            ) from refused
        raise Rejected(f"the node refuses the transaction: {refused}") from refused


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()
