"""Every parser of what strangers send, fed with mutated inputs alone: `parsers.py NAME FIRST COUNT`.

An input gives a value or an error of the tree. The inputs FIRST … FIRST+COUNT-1 of a parser are always the
same ones; one that is neither taken nor refused is printed with its bytes.
"""

import io
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

import specimens as good

from registry.audit.case import (
    HEADER,
    INDEX,
    PROV,
    REPORT,
    CaseHeader,
    LogPart,
    pack,
    unpack,
)
from registry.audit.case_lines import (
    KeyAnswer,
    answer_lines,
    entry_lines,
    opening_lines,
    read_answer_lines,
    read_entry_lines,
    read_opening_lines,
)
from registry.audit.openings import Opening
from registry.audit.query import Filter
from registry.core.canonical import canonical, strict_json
from registry.core.checkpoint import verify_checkpoint
from registry.core.cid import Cid
from registry.core.log import Recorded
from registry.core.manifest import parse_manifest
from registry.core.note import Note
from registry.core.refs import parse_reference
from registry.core.rlp import decode
from registry.core.smt import MapLeaf, MapProof
from registry.core.weights import inspect
from registry.errors import RegistryError
from registry.storage.car import read_header
from registry.storage.dagpb import decode_node, decode_unixfs

_EXTREMES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff\xff", b"0", b"-", b'"', b"{", b"[[", b"e9", b"9" * 40)
# Within a portion the inputs come from one generator: its state costs more than an input.
PORTION = 1_000


def _car(raw: bytes) -> object:
    roots, frames = read_header([raw[:10], raw[10:]])
    return roots, list(frames)


def _dag_pb(raw: bytes) -> object:
    node = decode_node(raw)
    return [link.cid for link in node.links], decode_unixfs(node)


def _cid(raw: bytes) -> object:
    return Cid.of_raw(raw) if raw[:1] == b"\1" else Cid.parse(raw.decode("latin-1"))


def _checkpoint(raw: bytes) -> object:
    keys = (good.LOG_SIGNER.key,)
    return verify_checkpoint(raw, origin="example.com/log", logs=keys, witnesses=keys)


_READERS: dict[str, Callable[[bytes], object]] = {
    HEADER: CaseHeader.parse,
    "entries/chain.jsonl": read_entry_lines,
    "proofs/chain/openings.jsonl": read_opening_lines,
    "proofs/chain/answers.jsonl": read_answer_lines,
}


def _evidence(raw: bytes) -> object:
    members = unpack(raw)
    return [_READERS[name](members[name]) for name in sorted(members.keys() & _READERS.keys())]


def _case() -> dict[str, bytes]:
    part = LogPart("chain", "example.com/log", (good.LOG_SIGNER.key,), is_whole=True)
    header = CaseHeader(1_790_000_000, Filter(), 7, bytes(32), (), (part,), (good.LOG_SIGNER.key,))
    proof = MapProof((b"\2" * 32,), MapLeaf(b"\3" * 32, 1, b"\4" * 32))
    opening = Opening(good.HEX, "cell", "acme/tower", b"\1" * 32, 1)
    return {
        HEADER: header.encode(),
        PROV: b"{}",
        REPORT: b"<html></html>",
        "entries/chain.jsonl": entry_lines([Recorded(3, good.ENTRY.encode())]),
        "proofs/chain/openings.jsonl": opening_lines([opening]),
        "proofs/chain/answers.jsonl": answer_lines([KeyAnswer("kind:x", (3,), proof)]),
    }


@dataclass(frozen=True)
class Parser:
    """A parser, samples near which its inputs lie, and how a bent sample is made to reach it."""

    parse: Callable[[bytes], object]
    samples: tuple[bytes, ...]
    deliver: Callable[[bytes, int], bytes] = field(default=lambda bent, _: bent)


def _forge(members: dict[str, bytes]) -> Parser:
    """Evidence whose index fits the bent member, as a forger would pack it; every eighth is bent outside."""
    names = (*_READERS, INDEX)
    index = {name: sha256(raw).hexdigest() for name, raw in members.items()}
    whole = members | {INDEX: canonical(index)}
    container = pack(whole)

    def deliver(bent: bytes, place: int) -> bytes:
        name = (*names, None)[place]
        if name is None:
            return bent
        if name == INDEX:
            return pack(whole | {INDEX: bent})
        some = {kept: members[kept] for kept in (HEADER, PROV, REPORT)} | {name: bent}
        digests = {kept: index[kept] for kept in some} | {name: sha256(bent).hexdigest()}
        return pack(some | {INDEX: canonical(digests)})

    return Parser(_evidence, (*(whole[name] for name in names), container), deliver)


PARSERS = {
    "cid": Parser(_cid, (good.FILE.cid.raw, str(good.FILE.cid).encode(), str(good.DIRECTORY.cid).encode())),
    "car": Parser(_car, (good.CAR,)),
    "dag-pb": Parser(_dag_pb, (good.NODE,)),
    "safetensors": Parser(lambda raw: inspect("safetensors", io.BytesIO(raw)), good.WEIGHTS[:1]),
    "npz": Parser(lambda raw: inspect("npz", io.BytesIO(raw)), good.WEIGHTS[1:2]),
    "checkpoint": Parser(_checkpoint, (good.NOTE,)),
    "evidence": _forge(_case()),
    "manifest": Parser(parse_manifest, (good.MANIFEST.bytes,)),
    "json": Parser(strict_json, (canonical(good.SUBMISSION),)),
    "reference": Parser(
        lambda raw: parse_reference(raw.decode("latin-1")), (b"lab/model@v3", b"0x" + b"ab" * 32)
    ),
    "rlp": Parser(decode, (good.TRANSACTION,)),
    "note": Parser(Note.parse, (good.NOTE,)),
}


def bend(raw: bytes, dice: random.Random) -> bytes:
    """One to three changes of the kind that find trouble: flips, cuts, doublings, extreme bytes."""
    bent, chance = bytearray(raw), dice.random
    for _ in range(1 + int(chance() * 3)):
        place, kind = int(chance() * (len(bent) + 1)), int(chance() * 4)
        if kind == 0 and place < len(bent):
            bent[place] ^= 1 << int(chance() * 8)
        elif kind == 1:
            del bent[place : place + 1 + int(chance() * 16)]
        elif kind == 2:
            bent[place:place] = bent[place : place + 1 + int(chance() * 16)]
        else:
            extreme = _EXTREMES[int(chance() * len(_EXTREMES))]
            bent[place : place + int(chance() * 2) * len(extreme)] = extreme
    return bytes(bent)


def inputs(name: str, first: int, count: int) -> Iterator[bytes]:
    """The inputs of a parser by number; `first` and `count` are whole portions."""
    parser = PARSERS[name]
    for start in range(first, first + count, PORTION):
        dice = random.Random(f"{name} {start}")
        for _ in range(min(PORTION, first + count - start)):
            place = int(dice.random() * len(parser.samples))
            yield parser.deliver(bend(parser.samples[place], dice), place)


def feed(name: str, first: int, count: int) -> int:
    """Give the parser its inputs and answer how many it took; the first wrong answer is an AssertionError."""
    parse, taken = PARSERS[name].parse, 0
    for raw in inputs(name, first, count):
        try:
            parse(raw)
            taken += 1
        except RegistryError:
            continue
        except Exception as e:
            raise AssertionError(f"{name} answered {e!r} to {raw.hex()}") from e
    return taken


if __name__ == "__main__":
    print(feed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
