"""Complete answers: a page of a key's entries with the proof that nothing is missing.

The checkpoint commits to the map, the map to (count, root) of each key, the root to every entry of
that key in order. So a page costs O(log n) hashes, and a key without entries is proved to have none.

Two things remain the gateway's word until witnesses co-signed the checkpoint: that the map was made
from the entries, and which numbers the entries have in the log. `Answer.is_proved` says which it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from registry.audit.base import KeyView
from registry.core import merkle, smt
from registry.core.checkpoint import VerifiedCheckpoint, verify_checkpoint
from registry.core.ids import hex32, parse_hex32
from registry.core.log import Recorded, as_json, check_key, decode_entry, from_json, keys_of
from registry.core.merkle import Frontier
from registry.core.note import VerifierKey
from registry.core.smt import MapLeaf, MapProof
from registry.core.tiles import TileNodes
from registry.errors import Malformed, RegistryError, VerificationFailed


class KeyedLog(Protocol):
    """What `page` needs of a log: one key under the newest checkpoint, and its entries."""

    def view(self, key: str) -> KeyView: ...
    def posted(self, view: KeyView, first: int, end: int) -> list[int]: ...
    def entries_of(self, numbers: Sequence[int]) -> list[Recorded]: ...
    def key_nodes(self, view: KeyView) -> TileNodes: ...


@dataclass(frozen=True, slots=True)
class Page:
    """Entries first, first + 1, … of a key, with the proofs; the checkpoint is a signed note."""

    key: str
    first: int
    count: int
    entries: tuple[Recorded, ...]
    range_proof: tuple[bytes, ...]
    map_proof: MapProof
    checkpoint: bytes

    @property
    def next(self) -> int | None:
        """Where the next page begins, None at the end."""
        end = self.first + len(self.entries)
        return end if end < self.count else None


def page(log: KeyedLog, key: str, *, first: int = 0, limit: int = 100) -> Page:
    """One page of a key's entries under the newest checkpoint, oldest first."""
    key = check_key(key)
    if first < 0 or not 1 <= limit <= 1000:
        raise Malformed(f"no page begins at {first} with {limit} entries", first=first, limit=limit)
    view = log.view(key)
    if first > view.count:
        raise Malformed(f"{key} has {view.count} entries, the page begins at {first}", first=first)
    numbers = log.posted(view, first, first + limit)
    end = first + len(numbers)
    proof = merkle.range_proof(log.key_nodes(view).node, first, end, view.count) if numbers else []
    return Page(
        key, first, view.count, tuple(log.entries_of(numbers)), tuple(proof), view.proof, view.checkpoint
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word counts for one log: its keys, the witnesses, and how many of them make a proof."""

    origin: str
    logs: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 1

    def check(self, checkpoint: bytes) -> VerifiedCheckpoint:
        """Read a checkpoint of this log."""
        return verify_checkpoint(checkpoint, origin=self.origin, logs=self.logs, witnesses=self.witnesses)

    def is_met(self, verified: VerifiedCheckpoint) -> bool:
        """True when enough witnesses co-signed."""
        return 0 < self.quorum <= len(verified.cosignatures)


@dataclass(frozen=True, slots=True)
class Answer:
    """Verified entries of a key. `is_proved`: enough witnesses co-signed; else this gateway claims it."""

    key: str
    count: int
    entries: tuple[Recorded, ...]
    verified: VerifiedCheckpoint
    is_proved: bool


def verify_page(given: Page, trust: Trust) -> Answer:
    """The page's entries, when they are exactly entries first … of this key under the checkpoint."""
    verified = trust.check(given.checkpoint)
    map_root = verified.checkpoint.map_root
    if map_root is None:
        raise VerificationFailed(
            f"the checkpoint of {trust.origin} has no map root, it cannot prove completeness"
        )
    _check_entries(given, verified.checkpoint.size)
    if given.count == 0:
        smt.verify_absent(given.map_proof, given.key, map_root)
        if given.entries or given.first:
            raise VerificationFailed(
                f"a page of {given.key} holds entries of a key that has none", key=given.key
            )
    else:
        leaf = smt.verify_present(given.map_proof, given.key, map_root)
        if leaf.count != given.count:
            raise VerificationFailed(f"the map counts {leaf.count} entries of {given.key}, not {given.count}")
        if given.entries or given.first < given.count:
            leaves = [record.leaf for record in given.entries]
            merkle.verify_range(leaves, given.first, given.count, given.range_proof, leaf.root)
    return Answer(given.key, given.count, given.entries, verified, trust.is_met(verified))


def _check_entries(given: Page, size: int) -> None:
    numbers = [record.index for record in given.entries]
    if numbers != sorted(set(numbers)) or (numbers and not 0 <= numbers[0] <= numbers[-1] < size):
        raise VerificationFailed(f"the entries of {given.key} are not in the order of the log", key=given.key)
    for record in given.entries:
        try:
            keys = keys_of(decode_entry(record.raw))
        except RegistryError as e:
            raise VerificationFailed(f"entry {record.index} is no entry: {e}", index=record.index) from e
        if given.key not in keys:
            raise VerificationFailed(f"entry {record.index} does not concern {given.key}", index=record.index)


def verify_answer(pages: Iterable[Page], trust: Trust) -> Answer:
    """All entries of a key from its pages, complete under the last page's checkpoint.

    The log may grow between two pages; the last root is recomputed over the entries of all of them.
    """
    entries: list[Recorded] = []
    edge = Frontier()
    answer = None
    expected_root = merkle.EMPTY_ROOT
    for given in pages:
        answer = verify_page(given, trust)
        if given.first != len(entries) or (
            answer.entries and entries and answer.entries[0].index <= entries[-1].index
        ):
            raise VerificationFailed(f"the pages of {given.key} do not follow each other", key=given.key)
        entries += answer.entries
        for record in answer.entries:
            edge.append(record.leaf)
        if given.map_proof.leaf is not None and given.count:
            expected_root = given.map_proof.leaf.root
    if answer is None or answer.count != len(entries) or edge.root() != expected_root:
        raise VerificationFailed("the pages are not all of the key's entries")
    return Answer(answer.key, answer.count, tuple(entries), answer.verified, answer.is_proved)


def page_to_json(given: Page) -> dict[str, object]:
    """The wire form; an entry's exact bytes are the RFC 8785 form of its object."""
    return {
        "key": given.key,
        "first": given.first,
        "count": given.count,
        "items": [{"index": record.index, "entry": as_json(record.raw)} for record in given.entries],
        "next": given.next,
        "range_proof": [hex32(value) for value in given.range_proof],
        "map_proof": proof_to_json(given.map_proof),
        "checkpoint": given.checkpoint.decode(),
    }


def page_from_json(given: Mapping[str, object]) -> Page:
    """Read the wire form; nothing in it is verified yet."""
    try:
        return _page_from_json(given)
    except (KeyError, TypeError, AttributeError, ValueError, Malformed) as e:
        raise VerificationFailed(f"this is no page of a complete answer: {e!r}") from e


def _page_from_json(given: Mapping[str, object]) -> Page:
    # Every wrong shape below raises one of the errors that the caller turns into VerificationFailed.
    items, proof = given["items"], given["map_proof"]
    key, first, count = given["key"], given["first"], given["count"]
    hashes, checkpoint = given["range_proof"], given["checkpoint"]
    if not (isinstance(items, list) and isinstance(proof, dict) and isinstance(hashes, list)):
        raise TypeError("lists are missing")
    if not (
        isinstance(key, str) and type(first) is int and type(count) is int and isinstance(checkpoint, str)
    ):
        raise TypeError("key, first, count or checkpoint")
    return Page(
        key,
        first,
        count,
        tuple(Recorded(int(item["index"]), from_json(item["entry"])) for item in items),
        tuple(parse_hex32(value) for value in hashes),
        proof_from_json(proof),
        checkpoint.encode(),
    )


def proof_to_json(proof: MapProof) -> dict[str, object]:
    """A map proof on the wire."""
    leaf = proof.leaf
    return {
        "siblings": [hex32(value) for value in proof.siblings],
        "leaf": leaf and {"key": hex32(leaf.key), "count": leaf.count, "root": hex32(leaf.root)},
    }


def proof_from_json(given: Mapping[str, Any]) -> MapProof:
    """Read a map proof; a wrong shape is a KeyError or TypeError."""
    leaf = given["leaf"]
    if leaf is not None and type(leaf["count"]) is not int:
        raise TypeError("the count of a map leaf is a whole number")
    return MapProof(
        tuple(parse_hex32(value) for value in given["siblings"]),
        leaf and MapLeaf(parse_hex32(leaf["key"]), leaf["count"], parse_hex32(leaf["root"])),
    )
