"""Every route × every kind of caller × both access modes: the right class of answer, and never a 5xx."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from callers import STRANGER, Ask, admit_each_role, false_headers, second_app, signed
from conftest import Live, write_weights
from hostile import Answer

from registry.api.app import ROUTERS
from registry.core.ids import Role, sha256
from registry.core.signing import KeySigner
from registry.core.version import Domain
from registry.sdk import Client
from registry.storage.unixfs import import_file

# What anyone needs before they can sign, what load balancers ask, and the C2SP witness protocol.
PUBLIC = {
    "/v1/deployment",
    "/healthz",
    "/readyz",
    "/log/witness/add-checkpoint",
    "/log/witness/{origin_hash}/checkpoint",
}
# POSTs that are not judged by their own signature but by that of the request.
READING_POSTS = {"/v1/fees/quote", "/v1/audit/evidence"}
QUERIES = {
    "/v1/audit/complete": "?key=kind:sealed",
    "/v1/audit/trace": f"?device={STRANGER.address}",
    "/v1/audit/consistency": "?from=1&to=1",
}
BODIES = {"/v1/fees/quote": b'{"size":10}', "/v1/audit/evidence": b'{"kind":"start"}'}
ROUTES = sorted(
    {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
)


@dataclass(frozen=True)
class World:
    """Two applications over one service, and who calls them."""

    open: str
    members: str
    domain: Domain
    member: KeySigner
    roles: dict[Role, KeySigner]
    places: dict[str, str]

    def request(self, method: str, path: str) -> Ask:
        """A request of a route whose parameters name what is there."""
        target = re.sub(r"{(\w+)(?::\w+)?}", lambda match: self.places[match[1]], path)
        if method == "PUT":
            return Ask(method, target, self.places["content"].encode(), "application/octet-stream")
        return Ask(
            method, target + QUERIES.get(path, ""), BODIES.get(path, b"{}" if method == "POST" else b"")
        )


@pytest.fixture(scope="module")
def world(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    weights = write_weights(tmp_path_factory.mktemp("walk") / "walk.safetensors", 31)
    with live.client() as client:
        receipt = client.submit("local/walk", [weights], {})
    content = "walked"
    cid = str(import_file([content.encode()]).cid)
    assert Ask("PUT", f"/v1/content/{cid}", content.encode()).send(live.url).status == 200
    places = {
        "cid": cid,
        "content": content,
        "version_id": receipt.version_id,
        "ref": receipt.version_id,
        "namespace": "local",
        "name": "walk",
        "alias": "champion",
        "path": "walk.safetensors",
        "address": live.running.keys.miners[0].address,
        "number": "0",
        "event": "chain:0",
        "task": "1",
        "service": "1",
        "origin_hash": sha256(b"nowhere").hex(),
    }
    domain = live.running.gateway.contracts.domain
    roles = admit_each_role(live)
    with second_app(live, "open") as open_, second_app(live, "members") as members:
        yield World(open_, members, domain, live.running.keys.member, roles, places)


def place(world: World, method: str, path: str) -> Ask:
    """The request of a route; a log and a model are both called {name}."""
    if path.startswith("/log/{name}"):
        return world.request(method, path.replace("{name}", "chain").replace("{path:path}", "0/000.p/1"))
    return world.request(method, path)


def is_self_signed(method: str, path: str) -> bool:
    return method == "POST" and path not in READING_POSTS | PUBLIC


def refused(answer: Answer, method: str, status: int, code: str) -> None:
    """A problem of this class; a HEAD has no body to say so in."""
    assert answer.status == status, (answer.status, answer.body)
    if method == "HEAD":
        return
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.body if isinstance(answer.body, dict) else json.loads(answer.body)
    assert problem["code"] == code, problem
    assert problem["detail"] and problem["hint"]
    assert isinstance(problem["retryable"], bool)


def served(answer: Answer) -> None:
    """Not refused for who asked: it was answered, is not there, or its body was judged."""
    assert answer.status < 500, answer.body
    assert answer.status not in (401, 403), answer.body


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_signature(world: World, method: str, path: str) -> None:
    request = place(world, method, path)
    served(request.send(world.open))
    answer = request.send(world.members)
    if path in PUBLIC:
        served(answer)
    elif is_self_signed(method, path):
        refused(answer, method, 400, "malformed")
    else:
        refused(answer, method, 401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_with_the_signature_of_a_stranger(world: World, method: str, path: str) -> None:
    request = place(world, method, path)
    served(request.send(world.open, signed(request, STRANGER, world.domain)))
    answer = request.send(world.members, signed(request, STRANGER, world.domain))
    if path in PUBLIC or is_self_signed(method, path):
        served(answer)
    else:
        refused(answer, method, 403, "not_authorized")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_with_the_signature_of_a_member_of_each_role(world: World, method: str, path: str) -> None:
    request = place(world, method, path)
    found = set()
    for signer in world.roles.values():
        answer = request.send(world.members, signed(request, signer, world.domain))
        served(answer)
        found.add(answer.status)
    assert len(found) == 1
    served(request.send(world.open, signed(request, world.roles[Role.SUBMITTER], world.domain)))


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_with_a_header_that_proves_nothing(world: World, method: str, path: str) -> None:
    request = place(world, method, path)
    for url in (world.open, world.members):
        for header in false_headers(request, world.member, world.domain).values():
            if path in PUBLIC:
                served(request.send(url, header))
            else:
                refused(request.send(url, header), method, 401, "unauthenticated")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_with_a_header_that_was_used_before(world: World, method: str, path: str) -> None:
    request = place(world, method, path)
    if path in PUBLIC:
        return
    header = signed(request, world.member, world.domain)
    served(request.send(world.members, header))
    refused(request.send(world.members, header), method, 401, "unauthenticated")
    refused(request.send(world.open, header), method, 401, "unauthenticated")


def test_a_member_reads_and_writes_after_all_that(world: World, client: Client) -> None:
    request = Ask("GET", "/v1/models")
    answer = request.send(world.members, signed(request, world.member, world.domain))
    assert "local/walk" in [model["model"] for model in answer.body["items"]]
    assert client.version("local/walk").number >= 1
