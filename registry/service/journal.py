"""What this gateway writes down about itself: acceptances, retrievals, refusals, each with its promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from registry.audit.gatewaylog import Accepted, Caller, Fetched, GatewayLog
from registry.core.ids import Address, hex32
from registry.core.log import Json
from registry.core.promise import Promise
from registry.core.version import Contribution, Submission
from registry.errors import ChainReorganised, RegistryError
from registry.index import VersionRow
from registry.wire import PromiseBody


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: `address` only when the signature verified; else nobody, with what was claimed."""

    address: Address | None
    claimed: str | None
    cell: str
    network: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A submission that goes into the pool, to which model, and the network address it came from."""

    submission: Submission
    model: str
    network: str


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Bytes that are about to be sent: an entry and a promise for each model that names them."""

    fetched: tuple[Fetched, ...] = ()
    promises: tuple[PromiseBody, ...] = ()


class Journal:
    """Turns what happened into entries of the gateway log."""

    def __init__(self, log: GatewayLog) -> None:
        self.log = log

    def accepted(self, taken: Sequence[Taken]) -> list[PromiseBody]:
        """Submissions were taken; their signatures verified, so each names its actor."""
        kept = self.log.accepted([_accepted(one) for one in taken])
        return [promise_body(one.promise) for one in kept]

    def contributed(self, given: Contribution, network: str) -> PromiseBody:
        """A device's update was taken; the device signed it, and with it the cell that it says it was in."""
        caller = Caller(actor=given.device, address=network or None, cell=given.cell or None)
        details: dict[str, Json] = {
            "task": given.task,
            "round": given.round,
            "update_sha256": hex32(given.update_sha256),
        }
        return promise_body(self.log.write("contribution_accepted", caller, details=details).promise)

    def retrieved(
        self, rows: Sequence[VersionRow], asker: Asker, size: int, what: Mapping[str, str]
    ) -> Retrieval:
        """Bytes that these versions name are about to be served: one entry and promise for each model."""
        models: dict[str, list[str]] = {}
        for row in rows:
            models.setdefault(row.model, []).append(hex32(row.version_id))
        fetched = [
            Fetched(_caller(asker), model, first, "served", size, what, tuple(others))
            for model, (first, *others) in models.items()
        ]
        promises = [promise_body(kept.promise) for kept in self.log.retrievals(fetched)]
        return Retrieval(tuple(fetched), tuple(promises))

    def broke_off(self, retrieval: Retrieval, outcome: str, sent: int) -> None:
        """The answer ended early, `aborted` by its reader or `failed` here: a second entry says so."""
        ends = [
            replace(one, outcome=outcome, size=sent, what={**one.what, "of": promise.entry_sha256})
            for one, promise in zip(retrieval.fetched, retrieval.promises, strict=True)
        ]
        self.log.retrievals(ends)

    def relayed(self, tx_hash: bytes, sender: Address, network: str, route: str) -> None:
        """A transaction was passed on; its sender signed it, and it came from this network address."""
        caller = Caller(actor=sender, address=network or None)
        self.log.relayed(caller, tx_hash=hex32(tx_hash), route=route)

    def reorganised(self, error: ChainReorganised) -> None:
        """What was final is gone; this gateway says where, and serves nothing more."""
        block, old, new = (error.values[name] for name in ("block", "old_hash", "new_hash"))
        self.log.reorganised(block=int(str(block)), old_hash=str(old), new_hash=str(new))

    def refused(self, asker: Asker, method: str, target: str, error: RegistryError) -> None:
        """A request was refused."""
        self.log.refusal(_caller(asker), code=error.code, method=method, target=target)


def promise_body(promise: Promise) -> PromiseBody:
    """A promise as it goes over the wire."""
    return PromiseBody.model_construct(
        log=promise.log,
        entry_sha256=hex32(promise.entry_sha256),
        issued=promise.issued,
        merge_delay_s=promise.merge_delay_s,
        signature="0x" + promise.signature.hex(),
    )


def _accepted(taken: Taken) -> Accepted:
    version = taken.submission.version
    caller = Caller(actor=version.submitter, address=taken.network or None)
    return Accepted(caller, taken.model, hex32(version.id), version.size, int(taken.submission.fee_class))


def _caller(asker: Asker) -> Caller:
    return Caller(
        actor=asker.address,
        claimed=None if asker.address else asker.claimed,
        address=asker.network or None,
        cell=asker.cell or None,
    )
