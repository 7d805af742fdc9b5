"""A miner's copy of a gateway's queue: read forward, without what is settled, read anew in time."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from miners.node import HttpSource
from registry.core.ids import FeeClass, VersionId, keccak
from registry.core.signing import KeySigner
from registry.core.version import NO_SALT, Domain, Submission, Version, submission_digest
from registry.wire import SubmissionBody, parse_body, submission_body, submission_of

MINER = KeySigner(keccak(b"miner"))
DOMAIN = Domain(1, MINER.address)


class Queue:
    """What a gateway shows: entries by number, its answers as the interface fixes them."""

    def __init__(self) -> None:
        self.items: dict[int, dict[str, object]] = {}
        self.asked: list[str] = []

    def add(self, number: int) -> VersionId:
        digest = keccak(b"item %d" % number)
        version = Version(1, digest, digest, digest, (), 64, NO_SALT, MINER.address)
        submission = Submission(version, FeeClass.STANDARD, 5, 1_000, 2_000)
        signature = "0x" + MINER.sign_hash(submission_digest(DOMAIN, submission)).hex()
        body = submission_body(submission).model_dump(mode="json")
        self.items[number] = {
            "version_id": "0x" + version.id.hex(), "state": "pending",
            "submission": body, "signature": signature,
        }  # fmt: skip
        return version.id

    def sign_anew(self, number: int, max_price: int) -> None:
        """The same version under other terms takes the place of the first."""
        old = self.items[number]["submission"]
        submission = replace(submission_of(parse_body(SubmissionBody, old)), max_price=max_price)
        self.items[number] |= {
            "submission": submission_body(submission).model_dump(mode="json"),
            "signature": "0x" + MINER.sign_hash(submission_digest(DOMAIN, submission)).hex(),
        }

    def page(self, cursor: int, limit: int) -> dict[str, object]:
        after = [number for number in sorted(self.items) if number > cursor]
        shown = after[:limit]
        more = str(shown[-1]) if len(after) > limit else None
        return {"items": [self.items[number] for number in shown], "next": more}


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def url(queue: Queue) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            queue.asked.append(query["cursor"][0])
            body = json.dumps(queue.page(int(query["cursor"][0]), int(query["limit"][0]))).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ids(source: HttpSource, limit: int = 1_000) -> list[VersionId]:
    return [entry.version_id for entry in source.pending(limit)]


def test_full_pages_are_read_once_and_the_rest_again(queue: Queue, url: str) -> None:
    wanted = [queue.add(number) for number in range(1, 451)]
    source = HttpSource(url, MINER, DOMAIN)
    assert ids(source) == wanted
    wanted.append(queue.add(451))
    assert ids(source) == wanted
    assert queue.asked == ["0", "200", "400", "400"]


def test_what_was_signed_anew_is_read_again_and_what_stayed_is_not(queue: Queue, url: str) -> None:
    queue.add(1), queue.add(2)
    source = HttpSource(url, MINER, DOMAIN)
    before = source.pending(10)
    queue.sign_anew(2, 9)
    after = source.pending(10)
    assert [entry.submission.max_price for entry in after] == [5, 9]
    assert after[0] is before[0]


def test_what_is_settled_is_not_work_again_although_the_gateway_shows_it(queue: Queue, url: str) -> None:
    first, second = queue.add(1), queue.add(2)
    source = HttpSource(url, MINER, DOMAIN)
    assert ids(source) == [first, second]
    source.forget([first])
    assert ids(source) == [second]
    source.restart()
    assert ids(source) == [first, second]


def test_what_the_gateway_ended_is_gone_when_all_is_read_anew(queue: Queue, url: str) -> None:
    time = 0.0
    first, second = queue.add(1), queue.add(2)
    source = HttpSource(url, MINER, DOMAIN, clock=lambda: time)
    assert ids(source) == [first, second]
    del queue.items[1]
    assert ids(source) == [first, second]
    time = 16.0
    assert ids(source) == [second]


def test_no_more_is_read_than_is_asked_for(queue: Queue, url: str) -> None:
    for number in range(1, 1_001):
        queue.add(number)
    assert len(ids(HttpSource(url, MINER, DOMAIN), limit=300)) == 300
    assert queue.asked == ["0", "200"]
