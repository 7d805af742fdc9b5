"""Submit: hash locally, build and sign, upload what is missing, wait for the seal."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.core.canonical import strict_json
from registry.core.ids import FeeClass, VersionId, hex32, name_hash, parse_hex32
from registry.core.manifest import Manifest, build_manifest
from registry.core.refs import parse_model
from registry.core.signing import Signer
from registry.core.version import MAX_LIFETIME_S, NO_SALT, Submission, Version, submission_digest
from registry.errors import (
    Malformed,
    NotAuthorized,
    NotFound,
    RegistryError,
    SealTimeout,
    VerificationFailed,
)
from registry.sdk.carrying import upload_small
from registry.sdk.collecting import Collector, ended
from registry.sdk.files import LocalFile, pieces_of, read_files, root_of
from registry.sdk.http import problem_error
from registry.sdk.receipts import Receipt
from registry.sdk.session import Session
from registry.wire import (
    QuoteBody,
    ReceiptBody,
    SignedSubmission,
    SubmissionStatus,
    parse_body,
    submission_body,
)
from registry.wire_members import AccountBody

Quote = QuoteBody
CLASSES = {"standard": FeeClass.STANDARD, "priority": FeeClass.PRIORITY}
_POLL_S = 10
_ARRAY = 200
_UPLOADED = 1_000  # content of so many goes before them, in as few requests as it fits in


@dataclass(frozen=True, slots=True)
class Work:
    """One submission to make: what `Client.submit` takes, for `submit_many`; one file may stand alone."""

    model: str
    files: Sequence[str | Path | LocalFile] | str | Path
    manifest: Mapping[str, object] | str | Path
    parents: Sequence[str] | str = ()
    fee: str = "standard"
    salt: bytes | str | None = None
    max_price: int | None = None
    deadline: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signed submission and everything it names."""

    signed: SignedSubmission
    manifest: Manifest
    files: list[LocalFile]
    version_id: str


class Submitter:
    """Makes submissions for one signer."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._http = session.http

    def prepare(self, work: Work) -> Prepared:
        """Hash, build, price and sign; nothing is sent."""
        (prepared,) = self.prepare_many([work])
        return prepared

    def prepare_many(self, given: Sequence[Work | Mapping[str, Any]]) -> list[Prepared]:
        """Prepare each, with the account and the menu asked for once."""
        works = [work if isinstance(work, Work) else _work(work) for work in given]
        account = self._account(self._session.signer())
        # Who names a price for every item needs no menu.
        menu = self._http.get("/v1/fees/menu") if any(work.max_price is None for work in works) else {}
        return [self._prepare(work, account, menu) for work in works]

    def _prepare(self, work: Work, account: AccountBody, menu: Mapping[str, Any]) -> Prepared:
        signer = self._session.signer()
        namespace, name = parse_model(work.model)
        if account.namespace != namespace:
            raise NotAuthorized(
                f"{signer.address} is of namespace {account.namespace or 'none'}, not of {namespace}",
                hint=f"a council member runs: twinledger member add {signer.address} "
                f"--namespace {namespace} --role submitter",
            )
        files = read_files(work.files)
        named = [work.parents] if isinstance(work.parents, str) else work.parents
        parents = tuple(VersionId(parse_hex32(self._session.version_id(ref))) for ref in named)
        manifest = build_manifest(
            namespace, name, [file.entry for file in files], parents, read_manifest(work.manifest)
        )
        version = Version(
            namespace_id=account.namespace_id,
            name_hash=name_hash(name),
            weights_root=root_of(files),
            manifest=manifest.digest,
            parents=parents,
            size=manifest.size,
            salt=_salt(work.salt),
            submitter=signer.address,
        )
        submission = self._terms(version, work, account, menu)
        signature = signer.sign_hash(submission_digest(self._session.domain(), submission))
        signed = SignedSubmission(submission=submission_body(submission), signature="0x" + signature.hex())
        return Prepared(signed, manifest, files, hex32(version.id))

    def send(self, prepared: Prepared) -> SubmissionStatus:
        """Upload what the gateway lacks, then submit; one that is sealed already answers with its receipt."""
        known = self._known(prepared.version_id)
        if known is not None:
            return known
        self._upload(prepared)
        self._http.post("/v1/submissions", prepared.signed.model_dump(mode="json"))
        return self.status(prepared.version_id)

    def register_many(
        self, prepared: Sequence[Prepared], timeout_s: float | None
    ) -> list[Receipt | SubmissionStatus | RegistryError]:
        """Send these and collect their receipts meanwhile; without a timeout, where each stands once sent."""
        refusals: list[RegistryError | None] = []

        def sending() -> Iterator[list[str]]:
            for part in self.send_many(prepared):
                sent = prepared[len(refusals) : len(refusals) + len(part)]
                refusals.extend(part)
                yield [item.version_id for item, refusal in zip(sent, part, strict=True) if refusal is None]

        found = Collector(self._http).collect(sending(), timeout_s)
        return [refusal or found[item.version_id] for item, refusal in zip(prepared, refusals, strict=True)]

    def send_many(self, prepared: Sequence[Prepared]) -> Iterator[list[RegistryError | None]]:
        """Upload and submit array by array, of up to 200; per item of an array None or why it was refused."""
        for start in range(0, len(prepared), _UPLOADED):
            whole = prepared[start : start + _UPLOADED]
            upload_small(self._http, whole)
            for first in range(0, len(whole), _ARRAY):
                body = [item.signed.model_dump(mode="json") for item in whole[first : first + _ARRAY]]
                yield [_outcome(item) for item in self._http.post("/v1/submissions", body)]

    def status(self, version_id: str, wait_s: int = 0) -> SubmissionStatus:
        """Where a submission stands."""
        found = self._http.get(f"/v1/submissions/{version_id}", {"wait_s": wait_s or None})
        return parse_body(SubmissionStatus, found)

    def wait(self, version_id: str, timeout_s: float) -> Receipt:
        """The receipt, once sealed; SealTimeout keeps the submission waiting in the pool."""
        until = time.monotonic() + timeout_s
        while True:
            left = until - time.monotonic()
            status = self.status(version_id, max(0, min(_POLL_S, int(left))))
            if status.receipt is not None:
                return checked_receipt(status.receipt, version_id)
            failure = ended(status)
            if failure is not None:
                raise failure
            if left <= 0:
                raise SealTimeout(
                    f"{version_id} is {status.state} and was not sealed within {timeout_s:.0f} s",
                    version_id=version_id,
                    hint=f"run `twinledger submission wait {version_id}`",
                )
            time.sleep(0.02)

    def _known(self, version_id: str) -> SubmissionStatus | None:
        try:
            status = self.status(version_id)
        except NotFound:
            return None
        return status if status.receipt is not None else None

    def _account(self, signer: Signer) -> AccountBody:
        return parse_body(AccountBody, self._http.get(f"/v1/accounts/{signer.address}"))

    def _terms(
        self, version: Version, work: Work, account: AccountBody, menu: Mapping[str, Any]
    ) -> Submission:
        if work.fee not in CLASSES:
            raise Malformed(f"the fee class is {work.fee!r}, not standard or priority")
        issued_at = max(int(time.time()), account.chain_time)
        price = work.max_price
        if price is None:
            # A menu can rise between the quote and the seal; half of it on top covers an ordinary epoch.
            price = -(-int(menu[work.fee]["price"]) * 3 // 2)
        return Submission(
            version=version,
            fee_class=CLASSES[work.fee],
            max_price=price,
            issued_at=issued_at,
            deadline=issued_at + MAX_LIFETIME_S if work.deadline is None else work.deadline,
        )

    def _upload(self, prepared: Prepared) -> None:
        for file in prepared.files:
            path = f"/v1/content/{file.entry.cid}"
            if not self._http.head(path):
                size = file.entry.size
                self._check(file, self._http.upload(path, pieces_of(file.source), size=size))
        path = f"/v1/content/{prepared.manifest.cid}"
        if not self._http.head(path):
            raw = prepared.manifest.bytes
            self._http.upload(path, [raw], size=len(raw))

    def _check(self, file: LocalFile, answer: Any) -> None:
        if answer["cid"] != str(file.entry.cid):
            raise VerificationFailed(
                f"the gateway calls {file.source} {answer['cid']}, it is {file.entry.cid}",
                hint="do not trust this gateway: its store is not IPFS's",
            )


def read_manifest(given: Mapping[str, object] | str | Path) -> Mapping[str, object]:
    """A manifest as a mapping, from a mapping or a JSON file."""
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, str | Path):
        raise Malformed(f"the manifest is {given!r}", hint="give a mapping, or the path of a JSON file")
    try:
        value = strict_json(Path(given).read_bytes())
    except FileNotFoundError as e:
        raise NotFound(f"there is no manifest {given}", hint="check the path of --manifest") from e
    except OSError as e:
        raise Malformed(f"the manifest {given} cannot be read: {e.strerror}", hint="check the file") from e
    except Malformed as e:
        raise Malformed(f"the manifest {given}: {e.message}", hint="mend the file") from e
    if not isinstance(value, dict):
        raise Malformed(f"{given} is no JSON object")
    return value


def checked_receipt(body: ReceiptBody, version_id: str) -> Receipt:
    """The receipt, verified; VerificationFailed when it is for another version or contradicts itself."""
    if body.version_id != version_id:
        raise VerificationFailed(f"the receipt is for {body.version_id}, not for {version_id}")
    receipt = Receipt(body)
    receipt.verify()
    return receipt


def _work(given: Mapping[str, Any]) -> Work:
    try:
        return Work(**given)
    except TypeError as e:
        raise Malformed(f"an item of submit_many is not what submit takes: {e}") from e


def _salt(given: bytes | str | None) -> bytes:
    """32 bytes, or 0x and 64 hex digits; the usual salt when none is given."""
    if isinstance(given, str):
        return parse_hex32(given.lower())
    if given is not None and len(given) != 32:
        raise Malformed(f"a salt has 32 bytes, got {len(given)}")
    return NO_SALT if given is None else given


def _outcome(item: Mapping[str, Any]) -> RegistryError | None:
    return None if "version_id" in item else problem_error(item)
