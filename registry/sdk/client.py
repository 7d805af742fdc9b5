"""`Client`: the whole of TwinLedger for whoever has models and does not want to know about chains."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from registry.chain.deployment import Deployment
from registry.chain.gateway import version_tuple
from registry.core.ids import Address
from registry.core.refs import check_alias
from registry.core.signing import Signer
from registry.errors import Conflict, Malformed, NotFound, RegistryError, Unavailable
from registry.sdk.account import Account
from registry.sdk.audit import Audit
from registry.sdk.fees import Fees
from registry.sdk.http import Http
from registry.sdk.members import Members
from registry.sdk.private import Private
from registry.sdk.receipts import Receipt
from registry.sdk.retrieval import Retrieved, Retriever
from registry.sdk.services import Services
from registry.sdk.session import Session, path_of
from registry.sdk.settings import find_settings
from registry.sdk.submitting import Submitter, Work, checked_receipt
from registry.sdk.tasks import Tasks
from registry.wire import (
    KinBody,
    ModelAnswer,
    QuoteBody,
    SubmissionStatus,
    VersionAnswer,
    parse_body,
    version_of,
)
from registry.wire_members import GrantBody

_SEAL_TIMEOUT_S = 300.0
_STATUS = {"deprecated": 2, "revoked": 3}


class Client:
    """Talks to one gateway as one member, in one cell.

    `key` is a keystore's path or name, or any object with `.address` and `.sign_hash(bytes) -> 65 bytes`;
    it never leaves this process. Without arguments everything comes from the environment and from
    HOME/client.toml, which `twinledger up` writes.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | Path | Signer | None = None,
        cell: str | None = None,
        *,
        home: str | Path | None = None,
    ) -> None:
        self._session = Session(find_settings(url, key, home), cell)
        self._submitter = Submitter(self._session)
        self._retriever = Retriever(self._session)
        self._private = Private(self._session)
        self.account = Account(self._session)
        self.members = Members(self._session)
        self.tasks = Tasks(self._session)
        self.services = Services(self._session)
        self.fees = Fees(self._session)
        self.audit = Audit(self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.http.close()

    @property
    def address(self) -> Address:
        """Who this client signs as."""
        return self._session.signer().address

    @property
    def http(self) -> Http:
        """The signed connection, for routes that have no method here."""
        return self._session.http

    @property
    def deployment(self) -> Deployment:
        """The contracts behind this gateway."""
        return self._session.deployment()

    def health(self) -> list[str]:
        """Why the gateway is not ready; empty when it is."""
        try:
            found = self.http.get("/readyz")
        except Unavailable as e:
            return [e.message]
        return list(found["causes"])

    def submit(
        self,
        model: str,
        files: Sequence[str | Path] | str | Path,
        manifest: Mapping[str, object] | str | Path,
        parents: Sequence[str] | str = (),
        fee: str = "standard",
        wait: bool = True,
        salt: bytes | str | None = None,
        max_price: int | None = None,
        deadline: int | None = None,
        private_to: Sequence[str] = (),
        timeout_s: float = _SEAL_TIMEOUT_S,
    ) -> Receipt | SubmissionStatus:
        """Register the files as the next version of `model`; the same act repeated is the same version.

        Waits for the seal and answers the verified receipt, or with `wait=False` the submission's status.
        With `private_to` the files are encrypted here, for those members and oneself, under a fresh key:
        repeated, that is another version. docs/private.md says what taking a reader out can and cannot do.
        """
        work = Work(model, files, manifest, parents, fee, salt, max_price, deadline)
        with TemporaryDirectory(prefix="twinledger-") as folder:
            if private_to:
                work = self._private.seal(work, private_to, Path(folder))
            prepared = self._submitter.prepare(work)
            status = self._submitter.send(prepared)
        return self._submitter.wait(prepared.version_id, timeout_s) if wait else status

    def submit_many(
        self,
        works: Sequence[Work | Mapping[str, Any]],
        *,
        wait: bool = True,
        timeout_s: float = _SEAL_TIMEOUT_S,
    ) -> list[Receipt | SubmissionStatus | RegistryError]:
        """Register `Work`s, or mappings of what `submit` takes, in arrays of 200; what became of each."""
        prepared = self._submitter.prepare_many(works)
        return self._submitter.register_many(prepared, timeout_s if wait else None)

    def submission(self, version_id: str) -> SubmissionStatus:
        """Where a submission stands."""
        return self._submitter.status(version_id)

    def submissions(self, state: str | None = None) -> Iterator[SubmissionStatus]:
        """Submissions in order of arrival."""
        for item in self.http.items("/v1/submissions", {"state": state}):
            yield parse_body(SubmissionStatus, item)

    def wait(self, version_id: str, timeout_s: float = _SEAL_TIMEOUT_S) -> Receipt:
        """The verified receipt, once sealed; SealTimeout leaves the submission in the pool."""
        return self._submitter.wait(version_id, timeout_s)

    def cancel(self, version_id: str) -> str:
        """Withdraw a submission that is not sealed; answers the transaction's hash."""
        status = self._submitter.status(version_id)
        if status.submission is None:
            raise Conflict(
                f"{version_id} is {status.state} and can no longer be cancelled",
                hint="run `twinledger deprecate REF` or `twinledger revoke REF`",
            )
        version = version_of(status.submission.version)
        return self._session.transact(
            f"/v1/submissions/{version_id}/cancel", "TwinRegistry", "cancel", [version_tuple(version)]
        )

    def retrieve(
        self, ref: str, to: str | Path, cell: str | None = None, *, allow_revoked: bool = False
    ) -> Retrieved:
        """Download a version into folder `to`, verified to the last byte; a mismatch writes nothing."""
        if cell is None:
            return self._retriever.retrieve(ref, to, allow_revoked=allow_revoked)
        session = self._session.in_cell(cell)
        try:
            return Retriever(session).retrieve(ref, to, allow_revoked=allow_revoked)
        finally:
            session.http.close()

    def verify(self, ref: str) -> dict[str, str]:
        """Check a version against the chain's own proof without keeping its files; VerificationFailed."""
        version = self._session.version(ref)
        with TemporaryDirectory(prefix="twinledger-") as folder:
            self._retriever.retrieve_stored(version.version_id, Path(folder) / "files")
        status = self._submitter.status(version.version_id)
        receipt = None if status.receipt is None else checked_receipt(status.receipt, version.version_id)
        is_proved = receipt is not None and receipt.body.receipt_proof is not None
        return {
            "version": version.version_id,
            "identity": "the struct hashes to the id",
            "manifest": "its digest is the one in the struct",
            "files": "their CIDs and sha-256 are the manifest's, their directory is the struct's",
            "receipt": "the block's receipt trie holds it" if is_proved else "this chain gives no proof",
            "status": version.status,
        }

    def search(self, **conditions: Any) -> Iterator[VersionAnswer]:
        """What fits q, tag, near, carrier_hz, scenario, cell, metric, dataset, participant; sort, cursor."""
        for item in self.http.items("/v1/search", _query(conditions)):
            yield parse_body(VersionAnswer, item)

    def models(self) -> Iterator[ModelAnswer]:
        """Every model, by name."""
        for item in self.http.items("/v1/models"):
            yield parse_body(ModelAnswer, item)

    def versions(self, model: str) -> list[VersionAnswer]:
        """Every version of one model, oldest first."""
        found = self.http.items(f"/v1/models/{path_of(model)}")
        return [parse_body(VersionAnswer, item) for item in found]

    def version(self, ref: str) -> VersionAnswer:
        """The version that a reference means now, with its manifest."""
        return self._session.version(ref)

    def lineage(self, ref: str, direction: str = "both", depth: int = 100) -> list[KinBody]:
        """Ancestors (`up`), descendants (`down`) or both, nearest first."""
        path = f"/v1/versions/{path_of(ref)}/lineage"
        found = self.http.items(path, {"direction": direction, "depth": depth})
        return [parse_body(KinBody, item) for item in found]

    def alias(self, model: str, alias: str, ref: str) -> str:
        """Point a movable name of the model at a version; answers the transaction's hash."""
        check_alias(alias)
        path = path_of(model)
        version = self._session.version(ref)
        if version.model != path:
            raise Malformed(f"{ref} is a version of {version.model}, not of {model}")
        return self._session.transact(
            f"/v1/models/{path}/aliases/{alias}",
            "TwinRegistry",
            "setAlias",
            [version_tuple(version_of(version.version)), alias],
        )

    def deprecate(self, ref: str, reason: str = "superseded") -> str:
        """Mark a version as no longer recommended."""
        return self._set_status(ref, "deprecated", reason)

    def revoke(self, ref: str, reason: str) -> str:
        """Mark a version as not to be used; there is no way back."""
        return self._set_status(ref, "revoked", reason)

    def grant(self, ref: str, member: str) -> str:
        """Let a member read a private version, whose CID stays as it is; answers the transaction's hash."""
        version = self._checked(ref)
        return self._private.grant(version, self._retriever.manifest(version), member)

    def ungrant(self, ref: str, member: str) -> str:
        """Say that a member is no longer meant to read a version; what it has read cannot be undone."""
        version = self._checked(ref)
        return self._private.ungrant(version, self._retriever.manifest(version), member)

    def grants(self, ref: str) -> list[GrantBody]:
        """Who is meant to read a private version; nobody for a public one."""
        return self._private.grants(self._checked(ref))

    def read_private(self, ref: str, path: str, offset: int, length: int) -> bytes:
        """A range of one file of a private version in the clear; only the frames that hold it are loaded."""
        version = self._checked(ref)
        manifest = self._retriever.manifest(version)
        opened = self._private.opened(version, manifest)
        if opened is None:
            raise Conflict(f"{version.model} v{version.number} is not private", hint="use `retrieve`")
        entry = next((file for file in manifest.files if file.path == path), None)
        if entry is None:
            raise NotFound(f"{version.model} v{version.number} has no file {path!r}", hint="see its manifest")
        return self._private.read(opened, entry, offset, length)

    def _checked(self, ref: str) -> VersionAnswer:
        return self._retriever.version(ref, allow_revoked=True)

    def quote(self, size: int, fee: str = "standard") -> QuoteBody:
        """What sealing so many bytes costs now."""
        return self.fees.quote(size, fee)

    def _set_status(self, ref: str, status: str, reason: str) -> str:
        version = self._session.version(ref)
        return self._session.transact(
            f"/v1/versions/{version.version_id}/status",
            "TwinRegistry",
            "setStatus",
            [version_tuple(version_of(version.version)), _STATUS[status], reason],
        )


def _query(conditions: Mapping[str, Any]) -> dict[str, object]:
    query = dict(conditions)
    if isinstance(query.get("near"), tuple | list):
        query["near"] = ",".join(map(str, query["near"]))
    if isinstance(query.get("carrier_hz"), tuple | list):
        query["carrier_hz"] = "..".join(map(str, query["carrier_hz"]))
    return query
