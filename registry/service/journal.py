"""What this gateway writes down about itself: acceptances, retrievals, refusals, each with its promise."""

from dataclasses import dataclass

from registry.audit.gatewaylog import Caller, GatewayLog
from registry.core.ids import Address, hex32
from registry.core.manifest import FileEntry
from registry.core.promise import Promise
from registry.core.version import Submission
from registry.errors import RegistryError
from registry.index import VersionRow
from registry.wire import PromiseBody


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: `address` only when the signature verified; else nobody, with what was claimed."""

    address: Address | None
    claimed: str | None
    cell: str
    network: str


class Journal:
    """Turns what happened into entries of the gateway log."""

    def __init__(self, log: GatewayLog) -> None:
        self.log = log

    def accepted(self, submission: Submission, model: str, network: str) -> PromiseBody:
        """A submission was taken; its signature verified, so it names its actor."""
        version = submission.version
        kept = self.log.accepted(
            Caller(actor=version.submitter, address=network or None),
            model=model,
            version=hex32(version.id),
            size=version.size,
            fee_class=int(submission.fee_class),
        )
        return promise_body(kept.promise)

    def retrieved(self, row: VersionRow, file: FileEntry, asker: Asker) -> PromiseBody:
        """A file of a version is about to be served."""
        kept = self.log.retrieval(
            _caller(asker),
            model=row.model,
            version=hex32(row.version_id),
            outcome="served",
            size=file.size,
            path=file.path,
        )
        return promise_body(kept.promise)

    def refused(self, asker: Asker, method: str, target: str, error: RegistryError) -> None:
        """A request was refused."""
        self.log.refusal(_caller(asker), code=error.code, method=method, target=target)


def promise_body(promise: Promise) -> PromiseBody:
    """A promise as it goes over the wire."""
    return PromiseBody.model_validate(promise.to_json())


def _caller(asker: Asker) -> Caller:
    return Caller(
        actor=asker.address,
        claimed=None if asker.address else asker.claimed,
        address=asker.network or None,
        cell=asker.cell or None,
    )
