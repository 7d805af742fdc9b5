"""What admission must know, gathered once per batch: members, money, prices, parents, content."""

import io
from collections import defaultdict
from dataclasses import dataclass

from registry.chain.gateway import Contracts, Menu
from registry.core.admission import ContentFacts, MemberFacts, PoolFacts, Situation
from registry.core.cid import manifest_cid
from registry.core.ids import Address, Status, VersionId, hex32
from registry.core.lifecycle import OnChain
from registry.core.manifest import FileEntry, Manifest, parse_manifest
from registry.core.version import Submission
from registry.core.weights import inspect
from registry.errors import Conflict, NotFound, VerificationFailed
from registry.index import Index
from registry.pool import Entry, Pool, PoolState
from registry.service.content import Content
from registry.service.files import StoredFile
from registry.storage.base import Link
from registry.storage.unixfs import file_link, weights_root
from registry.wire import QuoteBody


@dataclass(frozen=True, slots=True)
class Held:
    """The manifest a submission names, and the situation it is judged in."""

    manifest: Manifest
    situation: Situation


class Facts:
    """Opens a batch of submissions against one state of chain, pool and store."""

    def __init__(self, contracts: Contracts, index: Index, pool: Pool, content: Content) -> None:
        self.contracts = contracts
        self.index = index
        self.pool = pool
        self.content = content

    def batch(self) -> "BatchFacts":
        """Facts that are read once for all items of one request."""
        return BatchFacts(self)


class BatchFacts:
    """One request's view; what it takes counts against what comes after in the same request."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._now = facts.contracts.link.pending_time()
        self._menu: Menu = facts.contracts.menu()
        self._members: dict[Address, MemberFacts | None] = {}
        self._spent: dict[Address, int] = defaultdict(int)
        self._in_pool = facts.pool.count(PoolState.PENDING)
        self._of_member: dict[Address, int] = {}

    def situation(self, submission: Submission, signer: Address, taken: dict[VersionId, Entry]) -> Held:
        """Everything that `decide_admission` asks of one submission."""
        version = submission.version
        earlier = taken.get(version.id) or self._facts.pool.get(version.id)
        pending = earlier if earlier and earlier.state == PoolState.PENDING else None
        manifest = self._manifest(version.manifest)
        situation = Situation(
            now=self._now,
            signer=signer,
            member=self._member(version.submitter, pending, in_taken=version.id in taken),
            price=self._menu.price(submission.fee_class),
            record=self._record(version.id),
            parents=self._parents(version.parents, taken),
            content=self._content(manifest),
            pool=PoolFacts(
                same_version=pending.submission if pending else None,
                of_member=self._pending_of(version.submitter),
                in_all=self._in_pool + len(taken),
            ),
        )
        return Held(manifest, situation)

    def quote(self, submission: Submission) -> QuoteBody:
        """The price of this submission now."""
        rho, tax = self._menu.rho[submission.fee_class], self._menu.tax[submission.fee_class]
        size = submission.version.size
        return QuoteBody(
            fee_class=int(submission.fee_class),
            size=size,
            rho=str(rho),
            tax=str(tax),
            total=str(size * (rho + tax)),
        )

    def keep(self, submission: Submission, manifest: Manifest) -> None:
        """Check the weights themselves, then pin everything for this version."""
        store = self._facts.content.store
        for file in manifest.files:
            self._check_file(file)
        root = store.put_directory({file.path: _link(file) for file in manifest.files})
        owner = f"version:{hex32(submission.version.id)}"
        cids = [root.cid, manifest.cid, *(file.cid for file in manifest.files)]
        self._facts.content.named(cids, owner)
        self._spent[submission.version.submitter] += submission.reserve
        self._of_member[submission.version.submitter] = self._pending_of(submission.version.submitter) + 1

    def _manifest(self, digest: bytes) -> Manifest:
        cid = manifest_cid(digest)
        try:
            return parse_manifest(self._facts.content.store.block(cid))
        except NotFound as e:
            raise Conflict(
                f"the manifest {cid} is not held here",
                hint=f"upload it first: PUT /v1/content/{cid}",
                missing=[str(cid)],
            ) from e

    def _member(self, address: Address, pending: Entry | None, *, in_taken: bool) -> MemberFacts | None:
        if address not in self._members:
            member = self._facts.index.member(address)
            account = self._facts.contracts.account(address)
            self._members[address] = (
                None
                if member is None
                else MemberFacts(
                    namespace_id=account.namespace_id,
                    namespace=member.namespace,
                    roles=account.roles,
                    free=account.balance - self._facts.pool.reserved(address),
                )
            )
        known = self._members[address]
        if known is None:
            return None
        # The submission that this one replaces frees what it had reserved.
        freed = pending.reserved if pending and not in_taken else 0
        free = known.free - self._spent[address] + freed
        return MemberFacts(known.namespace_id, known.namespace, known.roles, free)

    def _record(self, version_id: VersionId) -> OnChain | None:
        index = self._facts.index
        status = index.sealed([version_id]).get(version_id)
        if status is not None:
            return OnChain(status, self._now)
        cancelled = index.cancelled_at(version_id)
        return None if cancelled is None else OnChain(Status.CANCELLED, cancelled)

    def _parents(
        self, parents: tuple[VersionId, ...], taken: dict[VersionId, Entry]
    ) -> dict[VersionId, Status | None]:
        if not parents:
            return {}
        found: dict[VersionId, Status | None] = dict(self._facts.index.sealed(parents))
        for parent in parents:
            if parent not in found:
                entry = taken.get(parent) or self._facts.pool.get(parent)
                if entry is not None and entry.state == PoolState.PENDING:
                    found[parent] = None
        return found

    def _content(self, manifest: Manifest) -> ContentFacts:
        missing = tuple(file.cid for file in manifest.files if not self._held(file))
        root = weights_root({file.path: _link(file) for file in manifest.files})
        return ContentFacts(missing, root.cid.digest)

    def _held(self, file: FileEntry) -> bool:
        store = self._facts.content.store
        if not store.has(file.cid):
            return False
        held = store.stat(file.cid).size
        if held != file.size:
            raise VerificationFailed(f"{file.path} has {held} bytes, the manifest says {file.size}")
        return True

    def _check_file(self, file: FileEntry) -> None:
        content = self._facts.content
        if content.sha256(file.cid) != file.sha256:
            raise VerificationFailed(f"{file.path} has another sha-256 than the manifest says")
        with io.BufferedReader(StoredFile(content.store, file.cid, file.size)) as opened:
            inspect(file.format, opened)

    def _pending_of(self, address: Address) -> int:
        if address not in self._of_member:
            self._of_member[address] = self._facts.pool.pending_of(address)
        return self._of_member[address]


def _link(file: FileEntry) -> Link:
    return file_link(file.cid, file.size)
