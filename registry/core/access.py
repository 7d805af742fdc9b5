"""The `Authorization: TwinLedger …` header: who asks, from which cell, and the signature over the request.

TwinLedger address=0x…, created=1790000000, nonce=0x…, cell="acme/tower-7", signature=0x…
"""

import re
from dataclasses import dataclass

from registry.core.ids import Address, hex32, parse_hex32, sha256, to_address
from registry.core.refs import parse_cell
from registry.core.signing import Signer, recover
from registry.core.version import NO_BODY, Domain, Request, request_digest
from registry.errors import Malformed, Unauthenticated

WINDOW_S = 300
_SCHEME = "TwinLedger "
_PART = re.compile(r'\s*(address|created|nonce|cell|signature)=(?:"([^"\\]*)"|([^",\s]+))\s*(?:,|$)')
_CLAIM = re.compile(r"\baddress=(0[xX][0-9a-fA-F]{40})\b")
_CONTENT = re.compile(r"/v1/content/[^/?]+$")
_HINT = "sign the request as interface.md 5 describes, or use the Python client"


@dataclass(frozen=True, slots=True)
class Authorization:
    """A read header, not yet verified."""

    address: Address
    created: int
    nonce: bytes
    cell: str
    signature: bytes


def body_digest(method: str, target: str, body: bytes) -> bytes:
    """The digest that a request signs: none where the target already names the content by CID."""
    if method == "PUT" and _CONTENT.match(target):
        return NO_BODY
    return sha256(body)


def authorize(
    signer: Signer,
    domain: Domain,
    *,
    method: str,
    target: str,
    body_sha256: bytes,
    created: int,
    nonce: bytes,
    cell: str,
) -> str:
    """The header value that proves `signer` sent this request."""
    request = Request(method, target, body_sha256, created, nonce, cell)
    signature = signer.sign_hash(request_digest(domain, request))
    return (
        f"{_SCHEME}address={signer.address}, created={created}, nonce={hex32(nonce)}, "
        f'cell="{cell}", signature=0x{signature.hex()}'
    )


def read_authorization(header: str) -> Authorization:
    """Read the header; Unauthenticated says which part is missing or malformed."""
    if not header.startswith(_SCHEME):
        raise Unauthenticated("the Authorization header is not of the scheme TwinLedger", hint=_HINT)
    parts: dict[str, str] = {}
    position = len(_SCHEME)
    while position < len(header):
        match = _PART.match(header, position)
        if match is None or match[1] in parts:
            raise Unauthenticated(
                f"the Authorization header is malformed at character {position}", hint=_HINT
            )
        parts[match[1]] = match[2] if match[2] is not None else match[3]
        position = match.end()
    missing = {"address", "created", "nonce", "cell", "signature"} - parts.keys()
    if missing:
        raise Unauthenticated(f"the Authorization header lacks {', '.join(sorted(missing))}", hint=_HINT)
    try:
        if parts["cell"]:
            parse_cell(parts["cell"])
        signature = bytes.fromhex(parts["signature"].removeprefix("0x"))
        created = int(parts["created"])
        return Authorization(
            to_address(parts["address"]), created, parse_hex32(parts["nonce"]), parts["cell"], signature
        )
    except Malformed as e:
        raise Unauthenticated(f"the Authorization header is refused: {e}", hint=_HINT) from e
    except ValueError as e:
        raise Unauthenticated("the Authorization header holds no number or no hex where one belongs") from e


def claimed_by(header: str) -> Address | None:
    """The address that a header claims, whatever else is wrong with it.

    Only this goes into the log: a header meant for another service may hold that service's secret.
    """
    found = _CLAIM.search(header)
    return to_address(found[1]) if found and header.startswith(_SCHEME) else None


def verify_authorization(
    authorization: Authorization, domain: Domain, *, method: str, target: str, body_sha256: bytes, now: int
) -> Address:
    """The address that signed exactly this request within the last five minutes, or Unauthenticated."""
    if abs(now - authorization.created) > WINDOW_S:
        raise Unauthenticated(
            f"the request was signed at {authorization.created}, the gateway's clock says {now}",
            hint="set the clock, then send it again",
        )
    request = Request(
        method, target, body_sha256, authorization.created, authorization.nonce, authorization.cell
    )
    signer = recover(request_digest(domain, request), authorization.signature)
    if signer != authorization.address:
        raise Unauthenticated(
            f"the request names {authorization.address} and is signed by {signer}", hint=_HINT
        )
    return signer
