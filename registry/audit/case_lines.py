"""The members of an evidence file that have a line for each thing: entries, openings, answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from registry.audit.completeness import proof_from_json, proof_to_json
from registry.audit.openings import Opening
from registry.audit.rows import Filter
from registry.core.canonical import canonical, read_canonical
from registry.core.ids import hex32, parse_hex32
from registry.core.log import Recorded, as_json, check_key, from_json
from registry.core.smt import MapProof
from registry.errors import Malformed, VerificationFailed


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """All entries of a key by number, with the map's proof."""

    key: str
    numbers: tuple[int, ...]
    proof: MapProof


def entry_lines(records: Iterable[Recorded]) -> bytes:
    """entries/{log}.jsonl."""
    return b"".join(canonical({"index": r.index, "entry": as_json(r.raw)}) + b"\n" for r in records)


def read_entry_lines(raw: bytes) -> list[Recorded]:
    """Read entries/{log}.jsonl; numbers rise."""
    records = []
    for given in _lines(raw):
        if set(given) != {"index", "entry"} or type(given["index"]) is not int:
            raise Malformed("a line of entries holds an index and an entry")
        records.append(Recorded(given["index"], from_json(given["entry"])))
    numbers = [record.index for record in records]
    if numbers != sorted(set(numbers)):
        raise Malformed("the entries are not in the order of their log")
    return records


def opening_lines(openings: Iterable[Opening]) -> bytes:
    """proofs/{log}/openings.jsonl."""
    return b"".join(
        canonical(
            {
                "commitment": one.commitment,
                "field": one.field,
                "value": one.value,
                "salt": hex32(one.salt),
                "time": one.time,
            }
        )
        + b"\n"
        for one in sorted(openings, key=lambda one: one.commitment)
    )


def read_opening_lines(raw: bytes) -> list[Opening]:
    """Read proofs/{log}/openings.jsonl."""
    try:
        found = [
            Opening(
                _text(one, "commitment"),
                _text(one, "field"),
                _text(one, "value"),
                parse_hex32(one["salt"]),
                one["time"],
            )
            for one in _lines(raw)
        ]
    except (KeyError, TypeError) as e:
        raise Malformed(f"the openings cannot be read: {e!r}") from e
    return found


def answer_lines(answers: Iterable[KeyAnswer]) -> bytes:
    """proofs/{log}/answers.jsonl."""
    return b"".join(
        canonical({"key": one.key, "numbers": list(one.numbers), "map_proof": proof_to_json(one.proof)})
        + b"\n"
        for one in answers
    )


def read_answer_lines(raw: bytes) -> list[KeyAnswer]:
    """Read proofs/{log}/answers.jsonl."""
    try:
        return [
            KeyAnswer(check_key(_text(one, "key")), tuple(one["numbers"]), proof_from_json(one["map_proof"]))
            for one in _lines(raw)
        ]
    except (KeyError, TypeError) as e:
        raise Malformed(f"the answers cannot be read: {e!r}") from e


def _lines(raw: bytes) -> list[dict[str, Any]]:
    if raw and not raw.endswith(b"\n"):
        raise Malformed("the last line is cut off")
    found = [read_canonical(line) for line in raw.split(b"\n")[:-1]]
    if not all(isinstance(one, dict) for one in found):
        raise Malformed("each line is an object")
    return cast(list[dict[str, Any]], found)


def _text(given: dict[str, Any], name: str) -> str:
    if not isinstance(given[name], str):
        raise Malformed(f"{name} is no text")
    return cast(str, given[name])


def require_answer(answers: Iterable[KeyAnswer], asked: Filter) -> None:
    """Refuse answers that are not the one on what was asked: nothing else says that the case is complete.

    The chain log knows a model by its id, which nothing in the file derives from the name that was asked.
    """
    keys = [answer.key for answer in answers]
    wanted = asked.map_keys()
    if len(keys) == 1 and any(
        key == keys[0] or (key.startswith("model:") and keys[0].startswith("model:0x")) for key in wanted
    ):
        return
    told = ", ".join(keys) or "nothing"
    raise VerificationFailed(f"the answers are about {told}, not about one of {', '.join(wanted)}")
