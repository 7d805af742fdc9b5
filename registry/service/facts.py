"""What admission must know, gathered once per batch: members, money, prices, parents, content."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from registry.chain.gateway import Contracts, Menu
from registry.core.admission import MemberFacts, PoolFacts, Situation
from registry.core.cid import manifest_cid
from registry.core.ids import Address, Status, VersionId
from registry.core.lifecycle import OnChain
from registry.core.manifest import Manifest
from registry.core.version import Submission
from registry.errors import Conflict, NotFound
from registry.index import Index
from registry.pool import Entry, Pool, PoolState
from registry.service.content import Content
from registry.service.files import FileFacts
from registry.service.manifests import Manifests
from registry.wire import QuoteBody


@dataclass(frozen=True, slots=True)
class Held:
    """The manifest a submission names, and the situation it is judged in."""

    manifest: Manifest
    situation: Situation


class Facts:
    """Opens a batch of submissions against one state of chain, pool and store."""

    def __init__(
        self, contracts: Contracts, index: Index, pool: Pool, content: Content, manifests: Manifests
    ) -> None:
        self.contracts = contracts
        self.index = index
        self.pool = pool
        self.content = content
        self.manifests = manifests

    def batch(self, submissions: Sequence[Submission]) -> "BatchFacts":
        """Facts that are read once for all items of one request."""
        return BatchFacts(self, submissions)


class BatchFacts:
    """One request's view; what it takes counts against what comes after in the same request."""

    def __init__(self, facts: Facts, submissions: Sequence[Submission]) -> None:
        self._facts = facts
        self._now = facts.contracts.link.pending_time()
        self._menu: Menu = facts.contracts.menu()
        self._members: dict[Address, MemberFacts | None] = {}
        self._spent: dict[Address, int] = defaultdict(int)
        self._in_pool = facts.pool.count(PoolState.PENDING)
        self._of_member: dict[Address, int] = {}
        ids = [submission.version.id for submission in submissions]
        known = {*ids, *(parent for s in submissions for parent in s.version.parents)}
        self.pooled = facts.pool.get_many(known)
        self._sealed = facts.index.sealed(known)
        self._cancelled = facts.index.cancelled(ids)
        self._files = FileFacts(facts.content)
        self._kept: dict[VersionId, Manifest] = {}

    def situation(self, submission: Submission, signer: Address, taken: dict[VersionId, Entry]) -> Held:
        """Everything that `decide_admission` asks of one submission."""
        version = submission.version
        earlier = taken.get(version.id) or self.pooled.get(version.id)
        pending = earlier if earlier and earlier.state == PoolState.PENDING else None
        manifest = self._manifest(version.manifest)
        situation = Situation(
            now=self._now,
            signer=signer,
            member=self._member(version.submitter, pending, in_taken=version.id in taken),
            price=self._menu.price(submission.fee_class),
            record=self._record(version.id),
            parents=self._parents(version.parents, taken),
            content=self._files.held(manifest),
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
        """Check the weights themselves, and count what the submission takes."""
        self._files.check(manifest)
        submitter = submission.version.submitter
        self._spent[submitter] += submission.reserve
        self._of_member[submitter] = self._pending_of(submitter) + 1
        self._kept[submission.version.id] = manifest

    def pin(self) -> None:
        """Store the directories of everything kept and pin it: one commit each, however many there are."""
        self._files.pin(self._kept)

    def _manifest(self, digest: bytes) -> Manifest:
        try:
            return self._facts.manifests.held(digest)
        except NotFound as e:
            cid = manifest_cid(digest)
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
        status = self._sealed.get(version_id)
        if status is not None:
            return OnChain(status, self._now)
        cancelled = self._cancelled.get(version_id)
        return None if cancelled is None else OnChain(Status.CANCELLED, cancelled)

    def _parents(
        self, parents: tuple[VersionId, ...], taken: dict[VersionId, Entry]
    ) -> dict[VersionId, Status | None]:
        found: dict[VersionId, Status | None] = {}
        for parent in parents:
            entry = taken.get(parent) or self.pooled.get(parent)
            if parent in self._sealed:
                found[parent] = self._sealed[parent]
            elif entry is not None and entry.state == PoolState.PENDING:
                found[parent] = None
        return found

    def _pending_of(self, address: Address) -> int:
        if address not in self._of_member:
            self._of_member[address] = self._facts.pool.pending_of(address)
        return self._of_member[address]
