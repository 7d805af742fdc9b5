"""Receipts: a sealed version's place, with the proof that its seal transaction's receipt is in the block."""

from functools import lru_cache

from registry.audit.logstore import LogStore
from registry.chain.base import ReceiptProof
from registry.chain.gateway import Contracts
from registry.core.checkpoint import Checkpoint
from registry.core.ids import hex32
from registry.core.note import Note
from registry.index import SealRow, VersionRow
from registry.wire import BlockBody, LogProofBody, PromiseBody, ReceiptBody, ReceiptProofBody

SCHEMA = "twinledger/receipt/1"


class Receipts:
    """Makes receipts; the proof of a seal transaction serves all of its items."""

    def __init__(self, contracts: Contracts, chain_log: LogStore) -> None:
        self._contracts = contracts
        self._log = chain_log
        # A proof of a full batch takes 200 KiB; a page asks for those of some blocks, again and again.
        self._proof = lru_cache(maxsize=64)(self._prove)
        self._proof_text = lru_cache(maxsize=64)(self._write_proof)

    def is_final(self, block: int) -> bool:
        """Whether so many blocks follow that this chain trusts it."""
        link = self._contracts.link
        return block + link.confirmations <= link.head().number

    def receipt(self, row: VersionRow, promise: PromiseBody | None) -> ReceiptBody:
        """The receipt of a sealed version."""
        return ReceiptBody(
            chain_id=self._contracts.domain.chain_id,
            registry=self._contracts.domain.contract,
            version_id=hex32(row.version_id),
            number=row.number,
            model=row.model,
            block=BlockBody(number=row.block, hash=hex32(row.block_hash), time=row.block_time),
            tx_hash=hex32(row.tx_hash),
            event_index=row.event_index,
            receipt_proof=self._proof(row.tx_hash, row.block_hash),
            log=self._logged(hex32(row.version_id)),
            promise=promise,
        )

    def bare(self, row: SealRow) -> dict[str, object]:
        """The receipt's JSON without its promise and its proofs, of which a page gives one once for all."""
        return {
            "schema": SCHEMA,
            "chain_id": self._contracts.domain.chain_id,
            "registry": self._contracts.domain.contract,
            "version_id": hex32(row.version_id),
            "number": row.number,
            "model": row.model,
            "block": {"number": row.block, "hash": hex32(row.block_hash), "time": row.block_time},
            "tx_hash": hex32(row.tx_hash),
            "event_index": row.event_index,
            "receipt_proof": None,
            "log": None,
        }

    def proof_text(self, row: SealRow) -> str | None:
        """The JSON of the receipt proof of a version's seal transaction, None where the chain gives none."""
        return self._proof_text(row.tx_hash, row.block_hash)

    def _logged(self, version_id: str) -> LogProofBody | None:
        """Where the chain log holds the seal; None until a checkpoint covers it, a second later."""
        view = self._log.view(f"version:{version_id}")
        numbers = self._log.posted(view, 0, 1)
        if not numbers:
            return None
        size = Checkpoint.parse(Note.parse(view.checkpoint).text).size
        return LogProofBody(
            origin=self._log.origin,
            index=numbers[0],
            inclusion=[hex32(node) for node in self._log.inclusion(numbers[0], size)],
            checkpoint=view.checkpoint.decode(),
        )

    def _prove(self, tx_hash: bytes, _block_hash: bytes) -> ReceiptProofBody | None:
        # The block's hash is part of the key: after a reorganisation the same transaction has another proof.
        proof = self._contracts.link.receipt_proof(tx_hash)
        return None if proof is None else proof_body(proof)

    def _write_proof(self, tx_hash: bytes, block_hash: bytes) -> str | None:
        found = self._prove(tx_hash, block_hash)
        return None if found is None else found.model_dump_json()


def proof_body(proof: ReceiptProof) -> ReceiptProofBody:
    """A chain's proof as the wire writes it."""
    return ReceiptProofBody(
        header="0x" + proof.header.hex(),
        tx_index=proof.tx_index,
        nodes=["0x" + node.hex() for node in proof.nodes],
    )
