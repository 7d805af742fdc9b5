"""A log against a list and the recursion of RFC 6962, written down once more in its plainest form."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from stateful.kit import run

from registry.audit.completeness import Trust, page, verify_answer
from registry.audit.logstore import LogStore
from registry.core import merkle
from registry.core.checkpoint import Checkpoint
from registry.core.ids import address_of
from registry.core.log import LogEntry, keys_of
from registry.core.note import Note, NoteSigner

ORIGIN = "gateway.example/log"
SIGNER = NoteSigner(ORIGIN, sha256(b"the log's key").digest())
TRUST = Trust(ORIGIN, (SIGNER.key,))


def plain_root(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    return sha256(b"\x01" + plain_root(entries[:k]) + plain_root(entries[k:])).digest()


class LogMachine(RuleBasedStateMachine):
    """The model is the list of entries, and how many of them the newest checkpoint covers."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="stateful-log-"))
        self.now = 1_700_000_000
        self.entries: list[LogEntry] = []
        self.covered = 0
        self.roots: dict[int, bytes] = {}
        self.log = self.open()

    def open(self) -> LogStore:
        return LogStore(self.folder / "log.db", SIGNER, lambda: self.now)

    def raw(self) -> list[bytes]:
        return [entry.encode() for entry in self.entries[: self.covered]]

    @rule(
        actors=st.lists(st.integers(0, 3), max_size=9)
        | st.lists(st.integers(0, 3), min_size=250, max_size=260)
    )
    def append(self, actors: list[int]) -> None:
        fresh = [
            LogEntry(
                kind=("retrieval", "refusal")[actor % 2],
                time=self.now,
                actor=address_of(sha256(b"%d" % actor).digest()[:20]),
                details={"number": len(self.entries) + place},
            )
            for place, actor in enumerate(actors)
        ]
        recorded = self.log.append(fresh)
        assert [r.index for r in recorded] == list(range(len(self.entries), len(self.entries) + len(fresh)))
        self.entries += fresh

    @rule(seconds=st.integers(0, 90))
    def publish(self, seconds: int) -> None:
        self.now += seconds
        at = self.log.publish()
        self.covered = len(self.entries)
        self.roots[self.covered] = plain_root(self.raw())
        assert (at.size, at.root) == (self.covered, self.roots[self.covered])

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = self.open()

    @precondition(lambda self: self.covered)
    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, self.covered - 1))
        leaf = sha256(b"\x00" + self.entries[index].encode()).digest()
        path = self.log.inclusion(index, self.covered)
        merkle.verify_inclusion(leaf, index, self.covered, path, self.roots[self.covered])
        old = data.draw(st.sampled_from(sorted(self.roots)))
        proof = self.log.consistency(old, self.covered)
        merkle.verify_consistency(old, self.covered, self.roots[old], self.roots[self.covered], proof)

    @precondition(lambda self: self.roots)
    @rule(actor=st.integers(0, 4), limit=st.integers(1, 300))
    def answer(self, actor: int, limit: int) -> None:
        key = f"actor:{address_of(sha256(b'%d' % actor).digest()[:20])}"
        pages = [page(self.log, key, limit=limit)]
        while (following := pages[-1].next) is not None:
            pages.append(page(self.log, key, first=following, limit=limit))
        wanted = [entry for entry in self.entries[: self.covered] if key in keys_of(entry)]
        assert [record.entry for record in verify_answer(pages, TRUST).entries] == wanted

    @invariant()
    def agrees(self) -> None:
        assert len(self.log) == len(self.entries)
        if self.roots:
            at = Checkpoint.parse(Note.parse(self.log.checkpoint()).text)
            assert (at.size, at.root) == (self.covered, self.roots[self.covered])

    def teardown(self) -> None:
        self.log.close()
        rmtree(self.folder)


def test_a_log_is_a_list_with_the_roots_of_rfc_6962() -> None:
    run(LogMachine, examples=12, steps=15)
