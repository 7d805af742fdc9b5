"""Any request whatever, signed or not: no 5xx, every refusal is a whole problem, honest requests go on.

Operations come from the gateway's own OpenAPI, so a route that is added is fuzzed too.
"""

import json
from typing import Any
from urllib.parse import quote

import pytest
import specimens as good
from callers import Ask, signed
from conftest import Live, write_weights
from hostile import Answer
from hypothesis import given
from hypothesis import strategies as st
from mutation import ODD_VALUES, edited, edited_json, fuzzed, plain_json

from registry.api.app import ROUTERS, create_app
from registry.config import load_settings
from registry.core.signing import KeySigner
from registry.core.version import Domain
from registry.sdk import Client

PATHS = sorted(
    {(m, r.path_format) for router in ROUTERS for r in router.routes for m in r.methods}  # type: ignore[attr-defined]
)
# The witness answers as C2SP says, with a text and no problem; an unready gateway says 503 by design.
NO_PROBLEMS = {"/log/witness/add-checkpoint", "/readyz"}
PROBES = st.sampled_from(
    (
        *("0", "1", "-1", "9" * 19, "9" * 40, "1e3", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT FIVE}"),
        *(
            "local",
            "fuzzed",
            "local/fuzzed",
            "local/fuzzed@v1",
            "a@b",
            "chain",
            "gateway",
            "chain:0",
            "gateway:0",
        ),
        *(
            "chain:" + "9" * 30,
            "model:local/fuzzed",
            "kind:sealed",
            "nmse<1",
            "1,1",
            "1..2",
            "nan,inf",
            "inf..nan",
        ),
        *("0x", "0x00", good.HEX, good.SIGNER.address, str(good.FILE.cid), str(good.DIRECTORY.cid)),
        *("..", "%00", "%2e%2e%2f", "\0", "\x7f", "\udcff".encode("utf-8", "replace").decode(), "a" * 3000),
        *(
            "'",
            '"; drop table versions; --',
            "${jndi:x}",
            "<script>",
            "up",
            "down",
            "x001/067",
            "0/000.p/1",
            "asc",
        ),
    )
) | st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAMES = st.sampled_from(
    (
        *(
            "limit",
            "cursor",
            "q",
            "tag",
            "near",
            "carrier_hz",
            "scenario",
            "cell",
            "metric",
            "dataset",
            "sort",
        ),
        *(
            "participant",
            "state",
            "wait_s",
            "direction",
            "depth",
            "log",
            "key",
            "from",
            "to",
            "device",
            "since",
        ),
        *(
            "until",
            "actor",
            "model",
            "version",
            "kind",
            "at_least",
            "round",
            "recompute",
            "format",
            "surprise",
        ),
    )
)
HEADERS = st.dictionaries(
    st.sampled_from(("range", "accept", "idempotency_key", "content_type", "if_none_match", "expect")),
    st.sampled_from(
        (
            *(
                "bytes=0-",
                "bytes=5-2",
                "bytes=-0",
                "bytes=" + "9" * 5000 + "-",
                "bytes=-" + "9" * 5000,
                "bytes=x",
            ),
            *(
                "application/vnd.ipld.car",
                "application/vnd.ipld.raw",
                "application/json",
                "x" * 300,
                "\xb2",
                "",
            ),
        )
    ),
    max_size=2,
)
BODIES = st.one_of(
    st.just(b""),
    edited_json(good.SUBMISSION).map(plain_json),
    edited_json([good.SUBMISSION, {}]).map(plain_json),
    edited_json({"raw_transaction": "0x" + good.TRANSACTION.hex()}).map(plain_json),
    edited(good.TRANSACTION).map(lambda raw: plain_json({"raw_transaction": "0x" + raw.hex()})),
    edited_json({"size": 10, "fee_class": 0}).map(plain_json),
    edited_json({"log": "chain", "kind": "sealed", "since": 0}).map(plain_json),
    st.sampled_from(ODD_VALUES).map(plain_json),
    edited(good.CAR, good.NOTE, good.NODE),
)


@st.composite
def requests(draw: st.DrawFn, method: str, path: str) -> tuple[Ask, dict[str, str]]:
    """A request of this operation with any parameters, query, headers and body."""
    target = path
    while "{" in target:
        first, _, rest = target.partition("{")
        target = first + quote(draw(PROBES), safe="") + rest.partition("}")[2]
    query = draw(st.lists(st.tuples(NAMES, PROBES), max_size=3))
    if query:
        target += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
    return Ask(method, target, draw(BODIES) if method in ("POST", "PUT") else b""), draw(HEADERS)


def conforms(answer: Answer, method: str) -> None:
    """Answered, or refused with a whole RFC 9457 problem."""
    assert answer.status < 500, (answer.status, answer.body)
    if answer.status < 400 or method == "HEAD":
        return
    assert answer.headers["content-type"] == "application/problem+json", (answer.status, answer.body)
    problem: dict[str, Any] = answer.body
    assert problem["status"] == answer.status
    assert problem["code"] and problem["detail"] and problem["hint"]
    assert isinstance(problem["retryable"], bool)


@pytest.fixture(scope="module")
def signer(live: Live) -> KeySigner:
    return live.running.keys.member


@pytest.fixture(scope="module")
def domain(live: Live) -> Domain:
    return live.running.gateway.contracts.domain


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_an_operation_answers_anything(
    live: Live, signer: KeySigner, domain: Domain, method: str, path: str
) -> None:
    Ask("PUT", "/v1/content", good.BLOCKS[good.FILE.cid], "application/octet-stream").send(live.url)

    @fuzzed(0.25)
    @given(requests(method, path), st.booleans())
    def check(made: tuple[Ask, dict[str, str]], is_signed: bool) -> None:
        request, headers = made
        authorization = signed(request, signer, domain) if is_signed else None
        answer = request.send(live.url, authorization, **headers)
        if path not in NO_PROBLEMS:
            conforms(answer, method)

    check()


@pytest.mark.parametrize(
    "target", ["/v1/" + "a" * 50_000, "/v1/%ff%fe", "//", "/v1/models/%00/x", "/v1/../../etc/passwd"]
)
def test_a_path_that_is_nobodys_is_refused(live: Live, target: str) -> None:
    conforms(Ask("GET", target).send(live.url), "GET")


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_no_route_has_is_refused(live: Live, method: str) -> None:
    answer = Ask(method, "/v1/models").send(live.url)
    assert (answer.status, answer.code) == (405, "malformed")
    conforms(answer, method)


def test_the_routes_fuzzed_are_those_of_the_openapi(live: Live) -> None:
    settings = load_settings(live.home, {}, folder=live.home.root).settings
    paths = create_app(live.running.gateway.service, settings).openapi()["paths"]
    listed = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert listed == set(PATHS)


def test_an_honest_submission_is_sealed_after_all_that(client: Client, tmp_path: Any) -> None:
    receipt = client.submit("local/fuzzed", [write_weights(tmp_path / "w.safetensors", 77)], {})
    assert json.dumps(receipt.version_id)
