"""`submit_many` collects receipts while it sends: the first is known before the last is sent."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from registry.errors import SealTimeout, Unauthenticated, Unavailable
from registry.sdk import Client, Receipt
from registry.sdk.collecting import Collector
from registry.sdk.http import Http
from registry.sdk.submitting import Prepared, Submitter, Work
from registry.wire import SubmissionStatus

PATIENCE_S = 60
UNSEALED = "0x" + "5e" * 32


class Telling(Collector):
    """Says when a page with a receipt came in."""

    def __init__(self, client: Client) -> None:
        super().__init__(client._session.http)
        self.came = threading.Event()

    def page(self, version_ids: Sequence[str], wait_s: int = 0) -> dict[str, SubmissionStatus]:
        found = super().page(version_ids, wait_s)
        if any(status.receipt for status in found.values()):
            self.came.set()
        return found


def test_the_first_receipt_is_here_before_the_second_is_sent(client: Client, weights: Path) -> None:
    submitter, collector = Submitter(client._session), Telling(client)
    works = [Work("local/meanwhile", [weights], {"description": str(n)}) for n in range(2)]
    first, second = submitter.prepare_many(works)

    def sending() -> Iterator[list[str]]:
        yield from sent(client, first)
        assert collector.came.wait(PATIENCE_S)
        yield from sent(client, second)

    found = collector.collect(sending(), PATIENCE_S)
    assert list(found) == [first.version_id, second.version_id]
    assert all(isinstance(receipt, Receipt) for receipt in found.values())


def test_sending_that_breaks_off_is_not_kept_waiting_for_receipts(idle: Http) -> None:
    def sending() -> Iterator[list[str]]:
        yield [UNSEALED]
        raise Unavailable("the gateway went away")

    with pytest.raises(Unavailable, match="went away"):
        Collector(idle).collect(sending(), PATIENCE_S)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("receipts")]


def test_what_is_not_sealed_in_time_says_how_to_wait_on(idle: Http) -> None:
    late = Collector(idle).collect([[UNSEALED]], 0)[UNSEALED]
    assert isinstance(late, SealTimeout)
    assert f"twinledger submission wait {UNSEALED}" in str(late.hint)
    stands = Collector(idle).collect([[UNSEALED]], None)[UNSEALED]
    assert isinstance(stands, SubmissionStatus)
    assert stands.state == "pending"


def test_a_refusal_stands_in_its_place(client: Client, weights: Path) -> None:
    submitter = Submitter(client._session)
    works = [Work("local/some", [weights], {"description": str(n)}) for n in range(3)]
    first, second, third = submitter.prepare_many(works)
    forged = replace(second, signed=second.signed.model_copy(update={"signature": first.signed.signature}))
    found = submitter.register_many([first, forged, third], PATIENCE_S)
    assert [type(one) for one in found] == [Receipt, Unauthenticated, Receipt]


def test_each_collection_leaves_as_many_connections_as_it_found(client: Client, weights: Path) -> None:
    http = client._session.http
    counts = []
    for number in range(3):
        work = Work("local/again", [weights], {"description": str(number)})
        assert isinstance(client.submit_many([work])[0], Receipt)
        counts.append(len(http._opened))
    assert counts == [1, 1, 1]
    assert client.submit_many([]) == []


class _Idle(BaseHTTPRequestHandler):
    """A gateway whose miners are away."""

    def do_GET(self) -> None:
        status = SubmissionStatus(version_id=UNSEALED, state="pending", received=1)
        page = json.dumps({"items": [status.model_dump(mode="json")], "proofs": {}, "next": None}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


@pytest.fixture
def idle() -> Iterator[Http]:
    """A client of a gateway that seals nothing."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Idle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with closing(Http(f"http://127.0.0.1:{server.server_port}", signer=None, cell=None)) as http:
            yield http
        server.shutdown()


def sent(client: Client, item: Prepared) -> Iterator[list[str]]:
    """Send one, as a collector is told of it."""
    assert list(Submitter(client._session).send_many([item])) == [[None]]
    yield [item.version_id]
