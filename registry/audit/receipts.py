"""A receipt inside an evidence file: block header → receipt → event → the chain log's entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from registry.audit.case import CaseHeader
from registry.audit.chainlog import ChainEvent, entry_of
from registry.audit.completeness import Trust
from registry.audit.rows import row_of
from registry.audit.trust import TrustFile
from registry.chain.base import Log
from registry.chain.events import decode_log
from registry.core.canonical import canonical, read_canonical
from registry.core.ids import Address, hex32, keccak, name_hash, parse_hex32, to_address
from registry.core.log import Recorded
from registry.core.merkle import verify_inclusion
from registry.core.promise import Promise
from registry.core.receipt_proof import ProvenReceipt, open_receipt_proof
from registry.core.rlp import as_bytes, as_list, decode, encode
from registry.core.signing import recover
from registry.errors import RegistryError, VerificationFailed

_EXTRA, _SEAL_BYTES = 12, 65


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """A receipt whose event is proven by a block header; `promise` is the gateway's, not checked here."""

    proven: ProvenReceipt
    header: bytes
    promise: Promise | None

    @property
    def promised_log(self) -> str | None:
        """The origin of the log that promised."""
        return None if self.promise is None else self.promise.log


def check_receipt(
    raw: bytes, version: str, header: CaseHeader, chain: Sequence[Recorded], trust: Trust | None
) -> CheckedReceipt:
    """What proves the receipt; its event must be the chain log's entry when the case has it.

    `trust` is for the chain log, whose own proof a receipt may carry. The version's number within its
    model is the gateway's word: no single block proves it.
    """
    given = cast(dict[str, Any], read_canonical(raw))
    try:
        checked = _check(given, version, header, chain, trust)
        if canonical(_respelt(given, checked)) != raw:
            raise VerificationFailed("the receipt has a member, or a spelling, that receipts do not have")
        return checked
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as e:
        raise VerificationFailed(f"the receipt cannot be read: {e!r}") from e


def _check(
    given: Mapping[str, Any],
    version: str,
    header: CaseHeader,
    chain: Sequence[Recorded],
    trust: Trust | None,
) -> CheckedReceipt:
    registry = next((c.address for c in header.contracts if c.name == "twin_registry"), None)
    if given["version_id"] != version or given["chain_id"] != header.chain_id:
        raise VerificationFailed("the receipt is of another version or chain")
    if registry is None or to_address(given["registry"]) != registry:
        raise VerificationFailed(
            f"the receipt is of the registry {given['registry']}, the case of {registry}"
        )
    proof = given["receipt_proof"]
    if proof is None:
        raise VerificationFailed("the receipt has no proof")
    block = bytes.fromhex(proof["header"][2:])
    proven = open_receipt_proof(
        block,
        proof["tx_index"],
        [bytes.fromhex(node[2:]) for node in proof["nodes"]],
        parse_hex32(given["block"]["hash"]),
    )
    if (proven.block_number, proven.block_time) != (given["block"]["number"], given["block"]["time"]):
        raise VerificationFailed("the receipt states another block than its header")
    record = _check_event(given, version, registry, proven, chain)
    if given["log"] is not None and record is not None and trust is not None:
        _check_log(given["log"], record, trust)
    promise = given["promise"]
    return CheckedReceipt(proven, block, None if promise is None else Promise.from_json(promise))


def _respelt(given: Mapping[str, Any], checked: CheckedReceipt) -> dict[str, object]:
    """The receipt as a gateway writes it (interface.md 5), of what was just read from it."""
    log, number = given["log"], given["number"]
    if type(number) is not int or number < 1:
        raise VerificationFailed(f"the version's number is {number!r}")
    return {
        "schema": "twinledger/receipt/1",
        "chain_id": given["chain_id"],
        "registry": to_address(given["registry"]),
        **{name: given[name] for name in ("version_id", "number", "model", "event_index")},
        "block": {name: given["block"][name] for name in ("number", "hash", "time")},
        "tx_hash": hex32(parse_hex32(given["tx_hash"])),
        "receipt_proof": {
            "header": "0x" + checked.header.hex(),
            "tx_index": given["receipt_proof"]["tx_index"],
            "nodes": [node.lower() for node in given["receipt_proof"]["nodes"]],
        },
        "log": log and {name: log[name] for name in ("origin", "index", "inclusion", "checkpoint")},
        "promise": None if checked.promise is None else checked.promise.to_json(),
    }


def _check_log(given: Mapping[str, Any], record: Recorded, trust: Trust) -> None:
    """The proof that a receipt carries of its entry in the chain log."""
    at = trust.check(given["checkpoint"].encode()).checkpoint
    if (given["origin"], given["index"]) != (at.origin, record.index):
        raise VerificationFailed("the receipt's log proof is of another entry")
    path = [parse_hex32(value) for value in given["inclusion"]]
    verify_inclusion(record.leaf, record.index, at.size, path, at.root)


def _check_event(
    given: Mapping[str, Any],
    version: str,
    registry: Address,
    proven: ProvenReceipt,
    chain: Sequence[Recorded],
) -> Recorded | None:
    if not 0 <= given["event_index"] < len(proven.logs) or not proven.succeeded:
        raise VerificationFailed("the block's receipt holds no such event")
    found = proven.logs[given["event_index"]]
    tx_hash = parse_hex32(given["tx_hash"])
    raw = Log(
        found.address, found.topics, found.data, proven.block_number, proven.block_hash, tx_hash,
        proven.tx_index, 0,
    )  # fmt: skip
    event = decode_log("TwinRegistry", raw)
    if found.address != registry or event.name != "Registered" or hex32(event.args["versionId"]) != version:
        raise VerificationFailed("the proven event does not seal this version")
    if name_hash(given["model"].partition("/")[2]) != event.args["nameHash"]:
        raise VerificationFailed(f"the version's model is not called {given['model']}")
    for record in chain:
        row = row_of("chain", record)
        if row.kind == "registered" and row.version == version:
            at = record.entry.at
            index = at.index if at else 0
            made = ChainEvent(
                "TwinRegistry", event.name, event.args, proven.block_number, proven.block_time, tx_hash, index
            )
            if entry_of(made).encode() != record.raw:
                raise VerificationFailed(f"entry {row.name} differs from the event that the block proves")
            return record
    return None


def sealer_of(receipt: CheckedReceipt, trust: TrustFile | None) -> str:
    """On whose signature the block rests; sealers and the council head of a trust file must agree."""
    proven = receipt.proven
    if trust is None:
        return f"nothing but the block hash {hex32(proven.block_hash)}"
    head = trust.council_head
    if head is not None and head.number == proven.block_number and head.hash != proven.block_hash:
        raise VerificationFailed(f"the council's block {head.number} has another hash", block=head.number)
    if trust.sealers is None:
        return "the signer of the chain log's checkpoint: this chain's headers are not signed"
    signer = _clique_signer(receipt.header)
    if signer not in trust.sealers:
        raise VerificationFailed(f"block {proven.block_number} was sealed by {signer}, whom nobody trusts")
    return f"the sealer {signer}"


def _clique_signer(header: bytes) -> Address:
    """Who signed a proof-of-authority header: the last 65 bytes of its extra data, over the rest."""
    fields = list(as_list(decode(header)))
    extra = as_bytes(fields[_EXTRA])
    if len(extra) < _SEAL_BYTES:
        raise VerificationFailed("the header is not signed by a sealer")
    fields[_EXTRA] = extra[:-_SEAL_BYTES]
    seal = extra[-_SEAL_BYTES:]
    try:
        return recover(keccak(encode(fields)), seal[:64] + bytes([seal[64] + 27]))
    except RegistryError as e:
        raise VerificationFailed(f"the header's seal is no signature: {e.message}") from e
