"""Verifies an evidence file: no network, no database, no key but those in the trust file.

The checks run in the order in which a doubter would ask, and the first that fails is named:

1. the container holds exactly the members that index.json lists, each with its bytes;
2. the file is about the chain, the contracts and the logs that the trust file names;
3. each log's checkpoint is signed by that log, each entry is in the log, each answer is complete;
4. manifests and receipts fit the chain log's entries, promises are signed by their log;
5. the report and the PROV document are what the rows render to.

Without a trust file only self-consistency is checked, with the file's own keys, and the report says
NOT PINNED: a forger who makes everything anew passes that. `Report.claims` says whose word each claim is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.audit import case, case_lines
from registry.audit.accuse import Finding, check_promise, judge
from registry.audit.case import CaseHeader, LogPart
from registry.audit.completeness import Trust
from registry.audit.openings import Opening
from registry.audit.prov import prov_json
from registry.audit.receipts import check_receipt, sealer_of
from registry.audit.report import report_html
from registry.audit.rows import Filter
from registry.audit.trust import TrustFile
from registry.core import merkle, smt
from registry.core.canonical import canonical, read_canonical
from registry.core.checkpoint import Checkpoint, VerifiedCheckpoint
from registry.core.ids import hex32
from registry.core.log import Recorded, decode_entry, keys_of
from registry.core.promise import Promise
from registry.core.tlogproof import TlogProof
from registry.errors import NotFound, VerificationFailed


@dataclass(frozen=True, slots=True)
class Claim:
    """What the file shows, and on whose signature it rests."""

    text: str
    rests_on: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified. `is_pinned` is false without a trust file: then nothing names the signers."""

    is_pinned: bool
    entries: int
    claims: tuple[Claim, ...]
    fingerprints: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The first line for a person."""
        return f"{'VERIFIED' if self.is_pinned else 'CONSISTENT, NOT PINNED'}: {self.entries} entries"


def verify_case(path: Path, trust: TrustFile | None = None) -> Report:
    """Verify a case file; VerificationFailed names the first thing that does not hold."""
    raw = _read(path)
    members = case.unpack(raw)
    with case.blame(case.HEADER):
        header = CaseHeader.parse(members[case.HEADER])
    if trust is not None:
        _compare_with_trust(header, trust)
    claims: list[Claim] = []
    logs: dict[str, _Log] = {}
    used = {case.INDEX, case.HEADER, case.PROV, case.REPORT}
    for part in header.logs:
        log = logs[part.name] = _Log(part, header.asked, members, _trust_in(part, header, trust))
        claims += log.verify()
        used |= log.members
    entries = {name: log.records for name, log in logs.items()}
    manifests = case.read_manifests(members)
    used |= manifests.keys()
    linked = case.link_manifests(entries.get("chain", ()), manifests.values())
    claims += _receipts(members, header, entries.get("chain", ()), trust, used)
    claims += _promises(members, list(logs.values()), used)
    if extra := sorted(set(members) - used):
        raise VerificationFailed(f"{extra[0]} has no place in an evidence file", member=extra[0])
    rows = case.case_rows(header, entries, {name: log.openings for name, log in logs.items()}, linked)
    for name, rendered in ((case.PROV, prov_json(rows)), (case.REPORT, report_html(rows))):
        if members[name] != rendered:
            raise VerificationFailed(f"{name} is not what the rows render to", member=name)
    if case.pack(members) != raw:
        raise VerificationFailed("the container was repacked or altered between its members")
    return Report(trust is not None, sum(map(len, entries.values())), tuple(claims), _fingerprints(header))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as e:
        raise NotFound(f"there is no file {path}", hint="check the path") from e
    except OSError as e:
        raise VerificationFailed(f"{path} cannot be read: {e.strerror}") from e


# --- 2. what it is about


def _compare_with_trust(header: CaseHeader, trust: TrustFile) -> None:
    with case.blame(case.HEADER):
        trust.check_chain(header.chain_id, header.genesis_hash, header.contracts)
        for part in header.logs:
            trust.check_log(part.origin, part.keys)


def _trust_in(part: LogPart, header: CaseHeader, trust: TrustFile | None) -> Trust:
    if trust is not None:
        return trust.for_log(part.origin)
    return Trust(part.origin, part.keys, header.witnesses, max(1, len(header.witnesses)))


def _fingerprints(header: CaseHeader) -> tuple[str, ...]:
    chain = f"chain {header.chain_id}, genesis {hex32(header.genesis_hash)}"
    keys = [f"log {key}" for part in header.logs for key in part.keys]
    return (chain, *keys, *(f"witness {key}" for key in header.witnesses))


# --- 3. a log


class _Log:
    """One log's part of a case while it is verified."""

    def __init__(self, part: LogPart, asked: Filter, members: Mapping[str, bytes], trust: Trust) -> None:
        self.part = part
        self._asked = asked
        self.members: set[str] = set()
        self.records: list[Recorded] = []
        self.openings: list[Opening] = []
        self._held = members
        self._trust = trust

    def _take(self, name: str) -> bytes:
        if name not in self._held:
            raise VerificationFailed(f"{name} is missing", member=name)
        self.members.add(name)
        return self._held[name]

    def verify(self) -> list[Claim]:
        """Everything about this log, and what it shows."""
        name = self.part.name
        where, answers = f"proofs/{name}/checkpoint", f"proofs/{name}/answers.jsonl"
        with case.blame(where):
            verified = self._trust.check(self._take(where))
        with case.blame(f"entries/{name}.jsonl"):
            self.records = case_lines.read_entry_lines(self._take(f"entries/{name}.jsonl"))
            for record in self.records:
                decode_entry(record.raw)
        at = verified.checkpoint
        is_proved = self._trust.is_met(verified)
        by = f"the log key of {at.origin}" + "".join(f", witness {c.key.name}" for c in verified.cosignatures)
        what = f"{len(self.records)} entries are in the log {at.origin} of {at.size} entries"
        claims = [Claim(what, by)]
        if self.part.is_whole:
            self._check_whole(at)
            claims.append(Claim(f"these are all entries of {at.origin} up to {at.size}", by))
        else:
            self._check_proofs(verified)
        self._verified = verified
        if answers in self._held or self._asked.map_keys():
            with case.blame(answers):
                claims += self._check_answers(self._take(answers), at, is_proved, by)
        self._check_openings()
        return claims

    def _check_whole(self, at: Checkpoint) -> None:
        """Root and map are recomputed from the entries: nothing is taken on anybody's word."""
        trees: dict[str, merkle.Frontier] = {}
        edge = merkle.Frontier()
        for number, record in enumerate(self.records):
            if record.index != number:
                raise VerificationFailed(f"entry {self.part.name}:{number} is missing", index=number)
            edge.append(record.leaf)
            for key in keys_of(record.entry):
                trees.setdefault(key, merkle.Frontier()).append(record.leaf)
        if edge.size != at.size or edge.root() != at.root:
            raise VerificationFailed(f"the entries of {at.origin} do not lead to the root of its checkpoint")
        leaves = [smt.MapLeaf(smt.key_hash(key), tree.size, tree.root()) for key, tree in trees.items()]
        if smt.SparseMap(smt.SortedLeaves(leaves), len(leaves)).root() != at.map_root:
            raise VerificationFailed(f"the map of {at.origin} is not that of its entries")

    def _check_proofs(self, verified: VerifiedCheckpoint) -> None:
        at = verified.checkpoint
        for record in self.records:
            member = f"proofs/{self.part.name}/{record.index}.tlog-proof"
            with case.blame(member):
                proof = TlogProof.parse(self._take(member))
                if proof.checkpoint != self._held[f"proofs/{self.part.name}/checkpoint"]:
                    raise VerificationFailed("the proof is under another checkpoint")
                if proof.index != record.index or proof.extra is not None:
                    raise VerificationFailed(f"the proof is of entry {proof.index}")
                merkle.verify_inclusion(record.leaf, record.index, at.size, proof.path, at.root)

    def _check_answers(self, raw: bytes, at: Checkpoint, is_proved: bool, by: str) -> Iterator[Claim]:
        held = {record.index: record for record in self.records}
        found = case_lines.read_answer_lines(raw)
        case_lines.require_answer(found, self._asked)
        if case_lines.answer_lines(found) != raw:
            raise VerificationFailed("the answer is not in its one spelling")
        for answer in found:
            if at.map_root is None:
                raise VerificationFailed("the checkpoint has no map root")
            if not answer.numbers:
                smt.verify_absent(answer.proof, answer.key, at.map_root)
            else:
                leaf = smt.verify_present(answer.proof, answer.key, at.map_root)
                self._check_entries_of(answer, leaf, held)
            word = "proved complete" if is_proved else "complete as claimed by this gateway"
            yield Claim(f"{len(answer.numbers)} entries of {answer.key} are {word}", by)

    def _check_entries_of(
        self, answer: case_lines.KeyAnswer, leaf: smt.MapLeaf, held: Mapping[int, Recorded]
    ) -> None:
        edge = merkle.Frontier()
        for number in answer.numbers:
            if number not in held or answer.key not in keys_of(held[number].entry):
                raise VerificationFailed(f"entry {number} of the answer about {answer.key} is not here")
            edge.append(held[number].leaf)
        if (edge.size, edge.root()) != (leaf.count, leaf.root):
            raise VerificationFailed(f"the entries of {answer.key} are not complete", key=answer.key)

    def judge(self, promise: Promise) -> Claim:
        """What the case shows about a promise of this log."""
        check_promise(promise, self._trust)
        verdict = judge(promise, self._verified, b"", self.records)
        text = f"{promise.log} promised the entry {hex32(promise.entry_sha256)} by {promise.due}: "
        if verdict.finding is Finding.KEPT or self.part.is_whole:
            return Claim(text + f"{verdict.finding.value}, {verdict.reason}", f"the log key of {promise.log}")
        return Claim(text + "these entries do not decide it", f"the log key of {promise.log}")

    def _check_openings(self) -> None:
        member = f"proofs/{self.part.name}/openings.jsonl"
        if member not in self._held:
            return
        with case.blame(member):
            raw = self._take(member)
            self.openings = case_lines.read_opening_lines(raw)
            hidden = {c: r.entry.time for r in self.records for c in r.entry.commitments.values()}
            for opening in self.openings:
                opening.check()
                if hidden.get(opening.commitment) != opening.time:
                    raise VerificationFailed(f"no entry of that time commits to {opening.commitment}")
            if case_lines.opening_lines(self.openings) != raw:
                raise VerificationFailed("the openings are not in their one order")


# --- 4. manifests, receipts, promises


def _receipts(
    members: Mapping[str, bytes],
    header: CaseHeader,
    chain: Sequence[Recorded],
    trust: TrustFile | None,
    used: set[str],
) -> Iterator[Claim]:
    part = next((part for part in header.logs if part.name == "chain"), None)
    believed = _trust_in(part, header, trust) if part else None
    for name in sorted(members):
        if name.startswith("receipts/"):
            with case.blame(name):
                version = name.removeprefix("receipts/").removesuffix(".json")
                receipt = check_receipt(members[name], version, header, chain, believed)
                by = sealer_of(receipt, trust)
                given = next((p for p in header.logs if p.origin == receipt.promised_log), None)
                if receipt.promise is not None and given is not None:
                    check_promise(receipt.promise, _trust_in(given, header, trust))
            used.add(name)
            yield Claim(f"{version} was sealed in block {receipt.proven.block_number}", by)
    # Whoever exports has the receipt of every version that the chain log has.
    if any(name.startswith("receipts/") for name in members):
        for record in chain:
            name = f"receipts/{record.entry.version}.json"
            if record.entry.kind == "registered" and name not in members:
                raise VerificationFailed(f"{name} is missing", member=name)


def _promises(members: Mapping[str, bytes], logs: Sequence[_Log], used: set[str]) -> Iterator[Claim]:
    """Each promise, and whether the entries show it kept or broken."""
    if case.PROMISES not in members:
        return
    used.add(case.PROMISES)
    with case.blame(case.PROMISES):
        for line in members[case.PROMISES].splitlines(keepends=True):
            promise = Promise.from_json(read_canonical(line.removesuffix(b"\n")))
            log = next((log for log in logs if log.part.origin == promise.log), None)
            if log is None or canonical(promise.to_json()) + b"\n" != line:
                raise VerificationFailed("a promise is of no log of this case, or not in its canonical form")
            yield log.judge(promise)
