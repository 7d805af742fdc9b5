"""trust.json: whom an offline verifier believes (interface.md 7). Never picked up by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from registry.audit.completeness import Trust
from registry.core.canonical import strict_json
from registry.core.ids import Address, hex32, parse_hex32, to_address
from registry.core.note import VerifierKey
from registry.errors import Malformed, VerificationFailed

SCHEMA = "twinledger/trust/1"
_FIELDS = {
    "schema", "chain_id", "genesis_hash", "contracts", "sealers", "council_head", "logs", "witnesses",
    "quorum",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PinnedContract:
    """Where a contract is and the keccak of its code on chain."""

    name: str
    address: Address
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class CouncilHead:
    """A block that the council vouches for."""

    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class TrustFile:
    """A chain, its contracts, the keys of logs and witnesses, and how many witnesses make a proof."""

    chain_id: int
    genesis_hash: bytes
    contracts: tuple[PinnedContract, ...]
    sealers: tuple[Address, ...] | None
    council_head: CouncilHead | None
    logs: tuple[tuple[str, VerifierKey], ...]
    witnesses: tuple[VerifierKey, ...]
    quorum: int

    def for_log(self, origin: str) -> Trust:
        """Whom to believe about one log; it may have no key here."""
        keys = tuple(key for name, key in self.logs if name == origin)
        return Trust(origin, keys, self.witnesses, self.quorum)

    def check_log(self, origin: str, keys: Sequence[VerifierKey]) -> None:
        """Return when these are keys of the log as pinned; else name the difference."""
        pinned = self.for_log(origin).logs
        if not pinned:
            raise VerificationFailed(f"the trust file names no key of the log {origin!r}")
        for found in keys or ("none",):
            if found not in pinned:
                told = ", ".join(map(str, pinned))
                raise VerificationFailed(f"the key of {origin} is {found}, the trust file says {told}")

    def check_chain(self, chain_id: int, genesis_hash: bytes, contracts: tuple[PinnedContract, ...]) -> None:
        """Return when this is the pinned chain with the pinned contracts; else name the difference."""
        for what, found, wanted in (
            ("chain id", chain_id, self.chain_id),
            ("genesis hash", hex32(genesis_hash), hex32(self.genesis_hash)),
            ("contracts", contracts_to_json(contracts), contracts_to_json(self.contracts)),
        ):
            if found != wanted:
                raise VerificationFailed(f"the {what} is {found}, the trust file says {wanted}")

    def contract(self, name: str) -> PinnedContract | None:
        """A contract by its name in deployment.json."""
        return next((one for one in self.contracts if one.name == name), None)

    def to_json(self) -> dict[str, object]:
        """The file's content."""
        head = self.council_head
        return {
            "schema": SCHEMA,
            "chain_id": self.chain_id,
            "genesis_hash": hex32(self.genesis_hash),
            "contracts": contracts_to_json(self.contracts),
            "sealers": None if self.sealers is None else list(self.sealers),
            "council_head": head and {"number": head.number, "hash": hex32(head.hash)},
            "logs": [{"origin": origin, "key": str(key)} for origin, key in self.logs],
            "witnesses": [{"name": key.name, "key": str(key)} for key in self.witnesses],
            "quorum": self.quorum,
        }


def contracts_to_json(contracts: tuple[PinnedContract, ...]) -> dict[str, object]:
    """The `contracts` member of deployment.json and trust.json."""
    return {one.name: {"address": one.address, "code_hash": hex32(one.code_hash)} for one in contracts}


def contracts_from_json(given: object) -> tuple[PinnedContract, ...]:
    """Read the `contracts` member; sorted by name."""
    if not isinstance(given, Mapping):
        raise Malformed("contracts is an object of name to address and code_hash")
    return tuple(
        PinnedContract(name, to_address(one["address"]), parse_hex32(one["code_hash"]))
        for name, one in sorted(given.items())
    )


def parse_trust(raw: bytes) -> TrustFile:
    """Read a trust file; unknown fields are refused, for they might have been meant to restrict."""
    given = strict_json(raw)
    if not isinstance(given, dict) or set(given) != _FIELDS or given["schema"] != SCHEMA:
        raise Malformed(f"a trust file has the schema {SCHEMA} and exactly its fields")
    try:
        return _read(cast(dict[str, Any], given))
    except (KeyError, TypeError, AttributeError) as e:
        raise Malformed(f"the trust file cannot be read: {e!r}") from e


def _read(given: dict[str, Any]) -> TrustFile:
    sealers, head, quorum = given["sealers"], given["council_head"], given["quorum"]
    if type(given["chain_id"]) is not int or type(quorum) is not int or quorum < 0:
        raise Malformed("chain_id and quorum of a trust file are whole numbers")
    witnesses = tuple(VerifierKey.parse(one["key"]) for one in given["witnesses"])
    for one, key in zip(given["witnesses"], witnesses, strict=True):
        if one["name"] != key.name:
            raise Malformed(f"the witness {one['name']!r} has the key of {key.name!r}")
    return TrustFile(
        chain_id=given["chain_id"],
        genesis_hash=parse_hex32(given["genesis_hash"]),
        contracts=contracts_from_json(given["contracts"]),
        sealers=None if sealers is None else tuple(to_address(one) for one in sealers),
        council_head=None if head is None else CouncilHead(int(head["number"]), parse_hex32(head["hash"])),
        logs=tuple((one["origin"], VerifierKey.parse(one["key"])) for one in given["logs"]),
        witnesses=witnesses,
        quorum=quorum,
    )
