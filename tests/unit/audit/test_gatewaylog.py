"""The gateway log hides what it need not show, promises what it wrote, and stays in the order of time."""

import threading
from contextlib import closing

import pytest

from registry.audit.gatewaylog import GATEWAY_KINDS, Accepted, Caller, GatewayLog
from registry.audit.logdb import LogDatabase
from registry.audit.openings import OpeningStore
from registry.audit.query import all_rows, find, hidden_rows
from registry.audit.rows import GATEWAY, Filter, check_filter
from registry.core.ids import hex32
from registry.core.note import VerifierKey
from registry.core.promise import verify_promise
from registry.errors import Malformed

VERSION = hex32(b"\x09" * 32)


def fetch(gateway, caller=None, **more):
    return gateway.retrieval(
        caller or Caller(), model="lab/urban", version=VERSION, outcome="served", size=7, **more
    )


def test_what_is_private_is_in_no_byte_of_the_log(bench, gateway, member) -> None:
    fetch(gateway, Caller(address="10.1.2.3", cell="lab/north", device=member(7)))
    bench_log = gateway.log.entry(0).raw
    for secret in (b"10.1.2.3", b"lab/north", member(7).encode()):
        assert secret not in bench_log
    assert set(gateway.log.entry(0).entry.commitments) == {"address", "cell", "device"}


def test_equal_values_have_different_commitments(gateway) -> None:
    kept = [fetch(gateway, Caller(address="10.1.2.3")) for _ in range(2)]
    assert len({k.record.entry.commitments["address"] for k in kept}) == 2


def test_a_cell_that_its_gateway_observed_is_public(gateway) -> None:
    entry = fetch(gateway, Caller(observed_cell="lab/north")).record.entry
    assert entry.cell is not None
    assert (entry.cell.name, entry.cell.basis) == ("lab/north", "observed")


def test_the_promise_is_the_logs_word_for_exactly_that_entry(gateway) -> None:
    kept = fetch(gateway)
    verify_promise(kept.promise, VerifierKey.parse(gateway.log.verifier_key))
    assert gateway.log.entry(kept.record.index).raw == kept.record.raw


def test_an_entry_is_on_disk_when_its_promise_is_given(bench, gateway) -> None:
    kept = fetch(gateway)
    with closing(LogDatabase(bench.folder / "gateway.db", gateway.log.origin)) as again:
        assert again.bodies(0, 9) == [(kept.record.index, kept.record.raw)]


def test_a_clock_that_goes_backwards_is_noted_and_the_log_stays_in_order(bench, gateway) -> None:
    fetch(gateway)
    bench.clock.now -= 500
    fetch(gateway)
    entries = [record.entry for record in gateway.log.entries(0, 9)]
    assert [entry.kind for entry in entries] == ["retrieval", "clock_stepped_back", "retrieval"]
    assert entries[1].details["seconds"] == 500
    assert len({entry.time for entry in entries}) == 1


def test_only_kinds_of_this_log_are_written(gateway) -> None:
    with pytest.raises(ValueError, match="no kind registered"):
        gateway.write("registered")


def test_every_kind_has_a_writer_and_every_writer_a_kind(gateway) -> None:
    gateway.started(software="twinledger 0", chain_log="1/0x")
    gateway.accepted([Accepted(Caller(), model="lab/urban", version=VERSION, size=1, fee_class=0)])
    gateway.relayed(Caller(), tx_hash=VERSION, route="/v1/transactions")
    gateway.refusal(Caller(), code="malformed", method="GET", target="x" * 5000)
    gateway.reorganised(block=1, old_hash=VERSION, new_hash=VERSION)
    gateway.continued_from(origin="old", size=1, root=VERSION)
    gateway.anchored(origin="old", size=1, tx_hash=VERSION)
    gateway.forget_before(1, reason="rule")
    gateway.stopped(reason="the operator")
    written = {record.entry.kind for record in gateway.log.entries(0, 99)}
    assert written <= set(GATEWAY_KINDS)
    assert len(written) == 9


def test_a_hidden_caller_is_found_by_what_was_opened(gateway, member) -> None:
    for number in range(6):
        fetch(gateway, Caller(device=member(number % 2), address="10.0.0.1"))
    found = hidden_rows(gateway.log, gateway.openings, "device", member(1))
    assert [row.index for row in found] == [1, 3, 5]
    assert {row.opened["address"] for row in found} == {"10.0.0.1"}


def test_openings_left_by_a_crash_are_placed_at_the_next_start(bench, gateway, member) -> None:
    kept = fetch(gateway, Caller(device=member(1)))
    gateway.openings._db.execute("UPDATE openings SET idx = NULL")
    assert hidden_rows(gateway.log, gateway.openings, "device", member(1)) == []
    GatewayLog(gateway.log, gateway.openings, clock=bench.clock, salt=lambda: bytes(32))
    found = hidden_rows(gateway.log, gateway.openings, "device", member(1))
    assert [row.index for row in found] == [kept.record.index]


def test_deleted_openings_are_gone_from_the_file(bench, gateway) -> None:
    fetch(gateway, Caller(address="10.77.77.77"))
    assert gateway.forget_before(bench.clock.now + 1, reason="rule") == 1
    gateway.openings.close()
    raw = b"".join(path.read_bytes() for path in bench.folder.glob("openings.db*"))
    assert b"10.77.77.77" not in raw
    gateway.openings = OpeningStore(bench.folder / "openings.db")
    gateway.openings.close()


def test_many_requests_at_once_are_all_logged(gateway, member) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [fetch(gateway, Caller(actor=member(n))) for _ in range(15)])
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gateway.log.publish()
    assert [len(list(all_rows(gateway.log, GATEWAY, Filter(actor=member(n))))) for n in range(6)] == [15] * 6


# --- queries


@pytest.fixture
def filled(bench, gateway, member):
    for number in range(300):
        bench.clock.now += 60
        if number % 3:
            fetch(gateway, Caller(actor=member(number % 5)))
        else:
            gateway.refusal(Caller(claimed="someone"), code="not_found", method="GET", target="/")
    gateway.log.publish()
    return gateway.log


def test_any_combination_of_filters_equals_a_plain_scan(bench, filled, member) -> None:
    everything = list(all_rows(filled, GATEWAY, Filter()))
    assert len(everything) == 300
    start = everything[0].time
    for given in (
        Filter(actor=member(1)),
        Filter(actor=member(1), kind="retrieval", since=start + 3000, until=start + 9000),
        Filter(kind="refusal", until=start + 600),
        Filter(since=start + 17_000),
        Filter(version=VERSION, model="lab/urban", actor=member(2)),
        Filter(log="chain"),
        Filter(actor=member(99)),
    ):
        wanted = [row for row in everything if given.matches(row)]
        assert list(all_rows(filled, GATEWAY, given)) == wanted


def test_pages_follow_each_other_without_gap_or_repeat(filled) -> None:
    given, cursor, names = Filter(kind="retrieval"), None, []
    while True:
        found = find(filled, GATEWAY, given, cursor=cursor, limit=7)
        names += [row.name for row in found.rows]
        cursor = found.next
        if cursor is None:
            break
    assert names == [row.name for row in all_rows(filled, GATEWAY, given)]
    assert found.key == "kind:retrieval"


def test_the_rarest_key_leads(filled, member) -> None:
    assert find(filled, GATEWAY, Filter(actor=member(3), kind="retrieval")).key == f"actor:{member(3)}"


@pytest.mark.parametrize("cursor", ["x1", "k", "k-1", "i3", "k1;", "k" + "9" * 30])
def test_a_malformed_cursor_is_refused(filled, cursor) -> None:
    with pytest.raises(Malformed, match="no cursor of this query"):
        find(filled, GATEWAY, Filter(kind="retrieval"), cursor=cursor)


@pytest.mark.parametrize(
    "given",
    [
        Filter(log="other"), Filter(kind="no_such"), Filter(since=-1), Filter(until=1 << 60),
        Filter(since=5, until=4), Filter(actor="0x12"), Filter(version="0x12"), Filter(model="x"),
        Filter(cell="nowhere"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_match_by_its_form_is_malformed(given) -> None:
    with pytest.raises(Malformed):
        check_filter(given, GATEWAY_KINDS)


def test_an_address_of_any_case_is_asked_for_in_one_spelling(member) -> None:
    assert check_filter(Filter(actor=member(1).lower()), GATEWAY_KINDS).actor == member(1)
