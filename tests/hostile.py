"""A caller that signs by hand, so that it can sign what no honest client would."""

import http.client
import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from registry.core.signing import Signer
from registry.core.version import Domain, Submission, Version, submission_digest
from registry.sdk.submitting import Prepared
from registry.wire import SignedSubmission, submission_body, submission_of


@dataclass(frozen=True)
class Answer:
    """Status, headers and JSON (or bytes) of one answer."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str | None:
        return self.body.get("code") if isinstance(self.body, dict) else None


def ask(url: str, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body=body, headers=named)
        response = connection.getresponse()
        raw = response.read()
        kind = response.getheader("content-type") or ""
        return Answer(
            response.status, dict(response.getheaders()), json.loads(raw) if "json" in kind and raw else raw
        )
    finally:
        connection.close()


def post(url: str, target: str, value: object) -> Answer:
    """POST a JSON value."""
    return ask(url, "POST", target, json.dumps(value).encode(), content_type="application/json")


def sign(submission: Submission, signer: Signer, domain: Domain) -> dict[str, Any]:
    """The wire form of a submission signed by anybody."""
    signature = signer.sign_hash(submission_digest(domain, submission))
    body = SignedSubmission(submission=submission_body(submission), signature="0x" + signature.hex())
    return body.model_dump(mode="json")


def changed(prepared: Prepared, signer: Signer, domain: Domain, **changes: Any) -> dict[str, Any]:
    """An honest submission with some terms or version fields changed, then signed."""
    submission = submission_of(prepared.signed.submission)
    fields = set(Version.__dataclass_fields__)
    version = replace(submission.version, **{k: v for k, v in changes.items() if k in fields})
    terms = {k: v for k, v in changes.items() if k not in fields}
    return sign(replace(submission, version=version, **terms), signer, domain)
