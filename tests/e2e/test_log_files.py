"""The logs' tiles and checkpoints as caches and C2SP readers ask for them: files, with HEAD."""

import pytest
from conftest import Live
from hostile import Answer, ask


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
