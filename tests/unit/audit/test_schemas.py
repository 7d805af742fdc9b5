"""Every entry that can be written fits the published schema, and what is not written does not."""

import json

import jsonschema
import pytest

from contracts import NAMES, artifact
from registry.audit.chainlog import ChainEvent, entry_of
from registry.audit.gatewaylog import GATEWAY_KINDS, Accepted, Caller
from registry.audit.schemas import all_kinds, entry_schema, kinds
from registry.core.ids import address_of, hex32

CHECK = jsonschema.Draft202012Validator(entry_schema())
EVENTS = [(name, entry) for name in NAMES for entry in artifact(name).abi if entry["type"] == "event"]
SAMPLES = {"address": address_of(b"\x0a" * 20), "string": "text", "bool": True, "bytes": b"\x01\x02"}


def sample(given, number):
    kind = given["type"]
    if kind.endswith("[]"):
        return (sample({**given, "type": kind[:-2]}, number),)
    if kind == "tuple":
        return tuple(sample(part, number) for part in given["components"])
    if kind.startswith("bytes") and kind != "bytes":
        return bytes(int(kind[5:]))
    return SAMPLES.get(kind, number)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(entry_schema())
    json.dumps(entry_schema())


@pytest.mark.parametrize("number", [7, 2**60])
@pytest.mark.parametrize(("contract", "abi"), EVENTS, ids=[f"{c}.{e['name']}" for c, e in EVENTS])
def test_the_entry_of_every_event_fits(contract, abi, number) -> None:
    args = {given["name"]: sample(given, number) for given in abi["inputs"]}
    made = entry_of(ChainEvent(contract, abi["name"], args, 1, 2, bytes(32), 0))
    CHECK.validate(json.loads(made.encode()))


def test_what_the_gateway_writes_fits(gateway, member) -> None:
    version = hex32(b"\x09" * 32)
    caller = Caller(
        actor=member(1), address="10.0.0.1", cell="lab/c", device=member(2), observed_cell="lab/d"
    )
    gateway.started(software="twinledger 0", chain_log="1/0x")
    gateway.retrieval(caller, model="lab/m", version=version, outcome="served", size=1, path="w.npz")
    gateway.accepted([Accepted(caller, model="lab/m", version=version, size=1, fee_class=0)])
    gateway.relayed(caller, tx_hash=version, route="/v1/transactions")
    gateway.refusal(Caller(claimed="x"), code="malformed", method="GET", target="/")
    gateway.reorganised(block=1, old_hash=version, new_hash=version)
    gateway.continued_from(origin="old", size=1, root=version)
    gateway.anchored(origin="old", size=1, tx_hash=version)
    gateway.forget_before(1, reason="rule")
    gateway.stopped(reason="the operator")
    for record in gateway.log.entries(0, 99):
        CHECK.validate(json.loads(record.raw))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "no_such"},
        {"more": 1},
        {"time": -1},
        {"details": {"colour": "red"}},
        {"commitments": {"name": "0x"}},
    ],
)
def test_what_is_never_written_does_not_fit(gateway, change) -> None:
    entry = json.loads(gateway.stopped(reason="x").record.raw)
    with pytest.raises(jsonschema.ValidationError):
        CHECK.validate(entry | change)


def test_every_kind_is_listed_once_per_log() -> None:
    assert set(kinds("gateway")) == set(GATEWAY_KINDS)
    assert {"registered", "status_changed", "anchored"} <= set(kinds("chain"))
    assert all_kinds() == sorted(set(kinds("chain")) | set(kinds("gateway")))
