"""The logs' tiles and checkpoints as caches and C2SP readers ask for them: files, with HEAD."""

import pytest
from callers import Ask, signed
from conftest import Live
from hostile import Answer, ask

from registry.audit.gatewaylog import Caller, Happening


def header(answer: Answer, name: str) -> str | None:
    """One header of an answer."""
    return dict(answer.headers).get(name)


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"])
def test_a_logs_file_answers_head_as_get_without_a_body_and_what_may_go_is_not_immutable(
    live: Live, name: str
) -> None:
    target = f"/log/gateway/{name}"
    told, sent = ask(live.url, "HEAD", target), ask(live.url, "GET", target)
    assert (told.status, sent.status) == (200, 200)
    assert told.body == b"" and sent.body
    assert header(told, "cache-control") == header(sent, "cache-control") == "no-cache"
    assert header(told, "content-type") == header(sent, "content-type")


def test_a_full_tile_is_kept_for_ever_but_not_by_who_serves_others_what_a_member_asked_for(
    live: Live,
) -> None:
    log = live.running.gateway.logs.gateway
    refused = {"code": "malformed", "method": "GET", "target": "/"}
    log.write_all([Happening("refusal", Caller(), None, None, refused)] * max(0, 256 - len(log.log)))
    log.log.publish()
    request = Ask("GET", "/log/gateway/tile/0/000")
    authorization = signed(request, live.running.keys.member, live.running.gateway.contracts.domain)
    anybody, member = request.send(live.url), request.send(live.url, authorization)
    assert len(anybody.body) == 256 * 32 and anybody.body == member.body
    assert header(anybody, "cache-control") == "public, max-age=31536000, immutable"
    assert header(member, "cache-control") == "private, no-store"
