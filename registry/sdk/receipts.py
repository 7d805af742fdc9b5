"""What a submitter keeps: proof that a version was sealed, checkable without any network."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.chain.base import Log
from registry.chain.events import decode_log
from registry.core.ids import hex32, parse_hex32, to_address
from registry.core.receipt_proof import ProvenLog, verify_receipt_proof
from registry.errors import VerificationFailed
from registry.wire import BlockBody, PromiseBody, ReceiptBody, ReceiptProofBody, parse_body


@dataclass(frozen=True, slots=True)
class Receipt:
    """A sealed version's place on chain; `body` is the whole document as it is written to disk."""

    body: ReceiptBody

    @property
    def version_id(self) -> str:
        """The VersionId."""
        return self.body.version_id

    @property
    def number(self) -> int:
        """N of `ns/name@vN`."""
        return self.body.number

    @property
    def model(self) -> str:
        """`namespace/name`."""
        return self.body.model

    @property
    def block(self) -> BlockBody:
        """The block it was sealed in."""
        return self.body.block

    @property
    def tx_hash(self) -> str:
        """The seal transaction."""
        return self.body.tx_hash

    @property
    def promise(self) -> PromiseBody | None:
        """The gateway's word that the acceptance will be in its log."""
        return self.body.promise

    def verify(self) -> None:
        """Check the receipt against itself: header, receipt trie and event agree with every field.

        Whether the block is on the chain is a question for trust.json (`twinledger audit verify`).
        """
        proof = self.body.receipt_proof
        if proof is not None:
            self.check_event(proof.tx_index, proven_logs(proof, self.body.block.hash))

    def check_event(self, tx_index: int, logs: Sequence[ProvenLog]) -> None:
        """Check the receipt against the proven events of its seal transaction."""
        if not 0 <= self.body.event_index < len(logs):
            raise VerificationFailed(
                f"the transaction has {len(logs)} events, none at {self.body.event_index}"
            )
        found = logs[self.body.event_index]
        if found.address != to_address(self.body.registry):
            raise VerificationFailed(f"the event is of {found.address}, not of {self.body.registry}")
        log = Log(
            address=found.address,
            topics=tuple(found.topics),
            data=found.data,
            block_number=self.body.block.number,
            block_hash=parse_hex32(self.body.block.hash),
            tx_hash=parse_hex32(self.body.tx_hash),
            tx_index=tx_index,
            index=self.body.event_index,
        )
        event = decode_log("TwinRegistry", log)
        if event.name != "Registered" or hex32(event.args["versionId"]) != self.version_id:
            raise VerificationFailed(
                f"the event at {self.body.event_index} does not register {self.version_id}"
            )

    def to_json(self) -> str:
        """The document."""
        return self.body.model_dump_json(by_alias=True)

    def save(self, path: str | Path) -> None:
        """Write the document."""
        Path(path).write_text(self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Receipt":
        """Read a document that `save` wrote."""
        return cls(parse_body(ReceiptBody, json.loads(Path(path).read_text())))


def proven_logs(proof: ReceiptProofBody, block_hash: str) -> Sequence[ProvenLog]:
    """The events of the transaction that a proof shows in the block of that hash."""
    return verify_receipt_proof(
        bytes.fromhex(proof.header[2:]),
        proof.tx_index,
        [bytes.fromhex(node[2:]) for node in proof.nodes],
        parse_hex32(block_hash),
    )
