"""Who asks a gateway, honestly or not: each caller makes the Authorization header of one request."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from conftest import Live
from hostile import Answer, ask

from registry.chain.encoding import encode_call
from registry.chain.sender import Sender
from registry.cli.serving import in_background
from registry.config import Access, Settings
from registry.core.access import authorize, body_digest
from registry.core.ids import Role
from registry.core.signing import KeySigner, Signer
from registry.core.version import Domain
from registry.wiring.up import bind

STRANGER = KeySigner(b"\x51" * 32)


@dataclass(frozen=True)
class Ask:
    """One request that can be signed."""

    method: str
    target: str
    body: bytes = b""
    content_type: str = "application/json"

    def send(self, url: str, authorization: str | None = None, **headers: str) -> Answer:
        headers = {"content_type": self.content_type, **headers}
        if authorization is not None:
            headers["authorization"] = authorization
        return ask(url, self.method, self.target, self.body, **headers)


def signed(request: Ask, signer: Signer, domain: Domain, *, created: int | None = None) -> str:
    """The header of an honest client."""
    return authorize(
        signer,
        domain,
        method=request.method,
        target=request.target,
        body_sha256=body_digest(request.method, request.target, request.body),
        created=int(time.time()) if created is None else created,
        nonce=secrets.token_bytes(32),
        cell="",
    )


def false_headers(request: Ask, member: Signer, domain: Domain) -> dict[str, str]:
    """Headers that prove nothing, by what is wrong with them."""
    now = int(time.time())
    other = replace(request, target=request.target + "&a=1" if "?" in request.target else "/v1/models?a=1")
    elsewhere = Domain(domain.chain_id + 1, domain.contract)
    mine = signed(request, STRANGER, domain)
    return {
        "expired": signed(request, member, domain, created=now - 301),
        "from the future": signed(request, member, domain, created=now + 400),
        "of another target": signed(other, member, domain),
        "of another method": signed(replace(request, method="DELETE"), member, domain),
        "of another chain": signed(request, member, elsewhere),
        "in another's name": mine.replace(STRANGER.address, member.address),
        "of another scheme": "Bearer c2VjcmV0",
        "cut off": mine[:-3],
    }


@contextmanager
def second_app(live: Live, mode: str) -> Iterator[str]:
    """The same service behind another application, all of whose route groups are in this mode."""
    groups = dict.fromkeys(Access.__dataclass_fields__, mode)
    settings: Settings = replace(live.settings, access=Access(**groups))
    with bind("127.0.0.1", 0) as listener, in_background(live.running.gateway.service, settings, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def admit_each_role(live: Live) -> dict[Role, KeySigner]:
    """One member per role; a seat of the council is no role that can be given: its holder stands for it."""
    contracts = live.running.gateway.contracts
    sender = Sender(contracts.link, live.running.keys.member)
    members = {
        role: KeySigner(bytes([0x60 + index]) * 32) for index, role in enumerate(Role) if role != Role.COUNCIL
    }
    service = live.running.gateway.service
    block = 0
    for role, signer in members.items():
        call = encode_call("Consortium", "admit", [signer.address, "local", int(role)])
        to = contracts.address("Consortium")
        block = sender.send(to, encode_call("Consortium", "propose", [to, call, "walk"])).block_number
    assert service.follower.wait_for(block, 30)
    return members | {Role.COUNCIL: live.running.keys.member}
