"""What the gateway's own OpenAPI allows, sent signed by a member: no 5xx, and each answer is as described.

schemathesis makes the requests from the description and compares status, media type, headers and body.
"""

from typing import Any

import pytest
import requests
import schemathesis
from callers import Ask, signed
from conftest import Live, write_weights
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from registry.api.app import ROUTERS, create_app
from registry.config import load_settings
from registry.core.signing import KeySigner
from registry.core.version import Domain

OPERATIONS = sorted(
    {(m, r.path_format) for router in ROUTERS for r in router.routes for m in r.methods}  # type: ignore[attr-defined]
)
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Signing(requests.auth.AuthBase):
    """Signs what is really sent, at the last moment, as a client does."""

    def __init__(self, signer: KeySigner, domain: Domain) -> None:
        self._signer, self._domain = signer, domain

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        ask = Ask(request.method or "GET", request.path_url, body)
        request.headers["authorization"] = signed(ask, self._signer, self._domain)
        return request


@pytest.fixture(scope="module")
def known(live: Live) -> dict[str, str]:
    """What the parameters of a path may be so that there is something behind it."""
    with live.client() as client:
        receipt = client.submit("local/described", [write_weights(live.home.root / "d.safetensors", 5)], {})
        version = client.version(receipt.version_id)
    return {
        "ref": version.version_id,
        "version_id": version.version_id,
        "cid": version.manifest_cid,
        "namespace": "local",
        "name": "described",
        "path": "d.safetensors",
        "alias": "champion",
        "address": live.running.keys.member.address,
        "event": "chain:0",
        "number": "0",
    }


@pytest.fixture(scope="module")
def operations(live: Live) -> dict[tuple[str, str], Any]:
    """Each operation of the description."""
    options = load_settings(live.home, {}, folder=live.home.root).settings
    schema = schemathesis.openapi.from_dict(create_app(live.running.gateway.service, options).openapi())
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return {(operation.method.upper(), operation.path): operation for operation in found}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_answers_as_described(
    live: Live, operations: dict[tuple[str, str], Any], known: dict[str, str], method: str, path: str
) -> None:
    authorization = Signing(live.running.keys.member, live.running.gateway.contracts.domain)

    @settings(
        max_examples=8,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
    @given(operations[method, path].as_strategy(), st.booleans())
    def check(case: Any, is_about_something: bool) -> None:
        if is_about_something:
            case.path_parameters = {
                name: known.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        answer = case.call(base_url=live.url, auth=authorization, timeout=60)  # evidence is of all there is
        case.validate_response(answer, checks=CHECKS)

    check()


def test_every_operation_is_in_the_description(operations: dict[tuple[str, str], Any]) -> None:
    assert sorted(operations) == OPERATIONS


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/search", "q tag near carrier_hz scenario cell metric dataset participant sort limit cursor"),
        ("/v1/audit/events", "log actor model version kind cell since until limit cursor"),
        ("/v1/audit/trace", "device log actor model version kind cell since until"),
        ("/v1/audit/consistency", "log from to"),
        ("/v1/submissions", "state version_id wait_s limit cursor"),
        ("/v1/tasks/{task}/payouts", "round recompute limit cursor"),
        ("/v1/versions/{namespace}/{name}/lineage", "direction depth limit cursor"),
        ("/v1/models", "limit cursor"),
        ("/v1/audit/evidence", "log actor model version kind cell since until"),
    ],
)
def test_what_may_be_asked_is_in_the_description(live: Live, path: str, names: str) -> None:
    options = load_settings(live.home, {}, folder=live.home.root).settings
    described = create_app(live.running.gateway.service, options).openapi()["paths"]
    operation = described[path].get("get") or described[path]["post"]
    found = [one["name"] for one in operation["parameters"] if one["in"] == "query"]
    assert sorted(found) == sorted(names.split())
