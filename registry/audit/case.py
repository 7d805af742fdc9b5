"""The layout of an evidence file, shared by who writes it and who verifies it.

    index.json                      {member: sha256} of every other member
    proofs/case.json                what was asked, of which chain and logs, when
    entries/{log}.jsonl             {"index": n, "entry": {…}}, one line each
    proofs/{log}/checkpoint         the signed note, with its co-signatures
    proofs/{log}/{n}.tlog-proof     C2SP proof of each entry; none when the whole log is there
    proofs/{log}/answers.jsonl      {"key", "numbers", "map_proof"}: these are all entries of the key
    proofs/{log}/openings.jsonl     what commitments hide, as far as it was disclosed
    proofs/promises.jsonl           promises that the case is about
    receipts/{version}.json         with receipt-trie proofs
    manifests/{digest}.json         the exact bytes
    prov.json, report.html          what the rows render to

The container is a plain zip, stored and not compressed, so it has one spelling and no byte of it is free.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from registry.audit.openings import Opening
from registry.audit.rows import Filter, Row, row_of
from registry.audit.trust import PinnedContract, contracts_from_json, contracts_to_json
from registry.core.canonical import canonical, read_canonical
from registry.core.ids import hex32, parse_hex32
from registry.core.log import Recorded
from registry.core.manifest import Manifest, parse_manifest
from registry.core.note import VerifierKey
from registry.errors import Malformed, RegistryError, VerificationFailed

SCHEMA = "twinledger/case/1"
INDEX, HEADER, PROV, REPORT = "index.json", "proofs/case.json", "prov.json", "report.html"
PROMISES = "proofs/promises.jsonl"
# What zipfile raises for bytes that are no zip, or no longer one.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
    *(EOFError, ValueError, OSError),
)
_TIMES = ("since", "until")
MAX_MEMBER_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class LogPart:
    """One log of a case: `is_whole` when every entry of the log is in it."""

    name: str
    origin: str
    keys: tuple[VerifierKey, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class CaseHeader:
    """What was asked, of which chain and logs, when."""

    created: int
    asked: Filter
    chain_id: int
    genesis_hash: bytes
    contracts: tuple[PinnedContract, ...]
    logs: tuple[LogPart, ...]
    witnesses: tuple[VerifierKey, ...]

    def encode(self) -> bytes:
        """proofs/case.json."""
        return canonical(
            {
                "schema": SCHEMA,
                "created": self.created,
                "filter": self.asked.to_json(),
                "chain_id": self.chain_id,
                "genesis_hash": hex32(self.genesis_hash),
                "contracts": contracts_to_json(self.contracts),
                "logs": [
                    {"name": p.name, "origin": p.origin, "keys": list(map(str, p.keys)), "whole": p.is_whole}
                    for p in self.logs
                ],
                "witnesses": [str(key) for key in self.witnesses],
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> "CaseHeader":
        """Read proofs/case.json."""
        given = cast(dict[str, Any], read_canonical(raw))
        try:
            header = cls(
                created=given["created"],
                asked=Filter(**given["filter"]),
                chain_id=given["chain_id"],
                genesis_hash=parse_hex32(given["genesis_hash"]),
                contracts=contracts_from_json(given["contracts"]),
                logs=tuple(
                    LogPart(
                        one["name"], one["origin"], tuple(map(VerifierKey.parse, one["keys"])), one["whole"]
                    )
                    for one in given["logs"]
                ),
                witnesses=tuple(map(VerifierKey.parse, given["witnesses"])),
            )
        except (KeyError, TypeError, AttributeError) as e:
            raise Malformed(f"{HEADER} cannot be read: {e!r}") from e
        if header.encode() != raw or not header._is_typed():
            raise Malformed(f"{HEADER} is not of the schema {SCHEMA}")
        return header

    def _is_typed(self) -> bool:
        """Whether numbers are numbers, texts texts, keys named once, a log whole where all was asked."""
        asked = self.asked.to_json()
        is_all = self.asked == Filter(log=self.asked.log)
        return (
            type(self.created) is type(self.chain_id) is int
            and all(type(value) is (int if name in _TIMES else str) for name, value in asked.items())
            and all(type(part.name) is type(part.origin) is str for part in self.logs)
            and all(part.is_whole is is_all for part in self.logs)
            and all(len(set(part.keys)) == len(part.keys) for part in self.logs)
        )


@dataclass(frozen=True, slots=True)
class CaseRows:
    """What prov.json and report.html are rendered from."""

    header: CaseHeader
    rows: tuple[Row, ...]
    manifests: Mapping[str, Manifest]


def case_rows(
    header: CaseHeader,
    entries: Mapping[str, Sequence[Recorded]],
    openings: Mapping[str, Sequence[Opening]],
    manifests: Mapping[str, Manifest],
) -> CaseRows:
    """The rows of a case in one order, commitments opened as far as it discloses them."""
    rows = []
    for log, records in entries.items():
        by_commitment = {one.commitment: one for one in openings.get(log, ())}
        for record in records:
            row = row_of(log, record)
            mine = [by_commitment[c] for c in row.commitments.values() if c in by_commitment]
            rows.append(row_of(log, record, mine) if mine else row)
    return CaseRows(header, tuple(sorted(rows, key=lambda row: row.order)), manifests)


def read_manifests(members: Mapping[str, bytes]) -> dict[str, Manifest]:
    """The manifests of a case by member; each member is named as its bytes are."""
    found = {}
    for name in sorted(members):
        if name.startswith("manifests/"):
            with blame(name):
                found[name] = parse_manifest(members[name])
                if name != f"manifests/{found[name].digest.hex()}.json":
                    raise VerificationFailed("the name is not the digest of the bytes")
    return found


def link_manifests(chain: Iterable[Recorded], manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Manifests by the version that the chain log says they describe; others have no version here."""
    by_digest = {hex32(manifest.digest): manifest for manifest in manifests}
    found = {}
    for record in chain:
        row = row_of("chain", record)
        manifest = by_digest.get(row.text("manifest")) if row.kind == "registered" else None
        if manifest is not None and row.version is not None:
            found[row.version] = manifest
    return found


def pack(members: Mapping[str, bytes]) -> bytes:
    """The container's one spelling: names sorted, nothing compressed, no dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as box:
        for name in sorted(members):
            about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            about.create_system, about.external_attr = 3, 0o644 << 16
            box.writestr(about, members[name])
    return out.getvalue()


@contextmanager
def blame(member: str) -> Iterator[None]:
    """Any error inside is this member's fault."""
    try:
        yield
    except RegistryError as e:
        raise VerificationFailed(f"{member}: {e.message}", member=member, hint=e.hint) from e


def unpack(raw: bytes) -> dict[str, bytes]:
    """The members of a container, each the bytes that index.json promises."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as box:
            names = [about.filename for about in box.infolist()]
            if any(about.file_size > MAX_MEMBER_BYTES for about in box.infolist()):
                raise VerificationFailed("a member is larger than an evidence file may hold")
            members = {name: box.read(name) for name in names}
    except _DAMAGE as e:
        raise VerificationFailed(f"the container is damaged: {e}") from e
    if len(members) != len(names):
        raise VerificationFailed("the container holds a member twice")
    for needed in (HEADER, PROV, REPORT):
        if needed not in members:
            raise VerificationFailed(f"{needed} is missing", member=needed)
    _compare_with_index(members)
    return members


def _compare_with_index(members: Mapping[str, bytes]) -> None:
    if INDEX not in members:
        raise VerificationFailed(f"{INDEX} is missing", member=INDEX)
    with blame(INDEX):
        index = read_canonical(members[INDEX])
    if not isinstance(index, dict):
        raise VerificationFailed(f"{INDEX} is no object", member=INDEX)
    for name in sorted(index.keys() | members.keys() - {INDEX}):
        if name not in members:
            raise VerificationFailed(f"{name} is missing", member=name)
        if name not in index:
            raise VerificationFailed(f"{name} is not in {INDEX}", member=name)
        if sha256(members[name]).hexdigest() != index[name]:
            raise VerificationFailed(f"{name} was changed: its digest is not that of {INDEX}", member=name)
    for name in (HEADER, PROV, REPORT):
        if name not in members:
            raise VerificationFailed(f"{name} is missing", member=name)
