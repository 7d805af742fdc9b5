"""The demo's forensic question: who fetched the twin that the new cell started from, and that this is all."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from registry.core.ids import hex32, sha256
from registry.errors import VerificationFailed

if TYPE_CHECKING:
    from registry import Client
    from registry.wire import PromiseBody


@dataclass(frozen=True, slots=True)
class Fetched:
    """One retrieval in the gateway's log."""

    event: str
    time: int
    actor: str
    cell: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Every retrieval of a version, and the checkpoint against which the answer was proved complete."""

    model: str
    version_id: str
    fetched: tuple[Fetched, ...]
    log: str
    size: int
    root: str
    witnesses: int


def ask_who_fetched(client: "Client", model: str, version_id: str, promise: "PromiseBody | None") -> Finding:
    """Everyone who fetched a version, the holder of `promise` among them, each with its proof.

    VerificationFailed when the gateway does not keep the promise that it gave with a retrieval.
    """
    if promise is None:
        raise VerificationFailed("a retrieval came without the gateway's promise to log it")
    key = f"version:{version_id}"
    while True:
        is_due = time.time() > promise.issued + promise.merge_delay_s
        answer = client.audit.complete(key, "gateway")
        if promise.entry_sha256 in {hex32(sha256(record.raw)) for record in answer.entries}:
            break
        if is_due:
            raise VerificationFailed(f"the gateway promised to log a retrieval of {version_id} and did not")
        time.sleep(0.1)
    # The log only commits to cells: the list has the openings.
    listed = client.audit.events(log="gateway", version=version_id, kind="retrieval")
    opened = {one["index"]: str(one["opened"].get("cell", "")) for one in listed}
    checkpoint = answer.verified.checkpoint
    fetched = [
        Fetched(
            event=f"gateway:{record.index}",
            time=record.entry.time,
            actor=record.entry.actor or "nobody signed",
            cell=opened.get(record.index, ""),
            outcome=str(record.entry.details["outcome"]),
        )
        for record in answer.entries
        if record.entry.kind == "retrieval"
    ]
    return Finding(
        model,
        version_id,
        tuple(fetched),
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root.hex(),
        len(answer.verified.cosignatures),
    )


def print_finding(finding: Finding, console: Console) -> None:
    """The retrievals in their order, then what proves that they are all."""
    table = Table(
        title=f"forensics: who fetched {finding.model} {finding.version_id[:10]}",
        title_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
    )
    for heading in ("event", "at (UTC)", "signed by", "from cell", "outcome"):
        table.add_column(heading, overflow="fold")
    for one in finding.fetched:
        at = datetime.fromtimestamp(one.time, UTC).strftime("%H:%M:%S")
        table.add_row(one.event, at, one.actor[:10], one.cell, one.outcome)
    console.print(table)
    console.print(
        f"proof: these are all, under the signed checkpoint {finding.size} of {finding.log}\n"
        f"       (root {finding.root[:16]}…, co-signed by {finding.witnesses})",
        highlight=False,
        soft_wrap=True,
    )
