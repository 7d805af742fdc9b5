"""audit: events, timelines, traces, impact, proofs, evidence."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from registry.cli.context import client, globals_, home, settings
from registry.cli.output import note, show, show_findings, table, time_of
from registry.errors import VerificationFailed

if TYPE_CHECKING:
    from registry.audit.trust import TrustFile

Log = Annotated[str | None, typer.Option(help="chain or gateway; both without it")]
Actor = Annotated[str | None, typer.Option(metavar="ADDRESS")]
Model = Annotated[str | None, typer.Option(metavar="NS/NAME")]
Version = Annotated[str | None, typer.Option(metavar="0x…")]
Kind = Annotated[str | None, typer.Option(help="kind of event, like registered or retrieval")]
Cell = Annotated[str | None, typer.Option(metavar="NS/CELL")]
Since = Annotated[int | None, typer.Option(help="unix seconds")]
Until = Annotated[int | None, typer.Option(help="unix seconds, exclusive")]
TrustPath = Annotated[
    Path | None, typer.Option("--trust", metavar="FILE", help="whom to believe: trust.json")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Who did what, when and where, with proofs.", no_args_is_help=True)
    reading = (events, timeline, trace, impact, probing, prove, complete)
    for command in (*reading, export, verify, fsck, accuse, witness):
        group.command()(command)
    app.add_typer(group, name="audit")


def events(
    log: Log = None,
    actor: Actor = None,
    model: Model = None,
    version: Version = None,
    kind: Kind = None,
    cell: Cell = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="most events to print")] = 1000,
) -> None:
    """Events of both logs that fit every filter, oldest first within a log."""
    from itertools import islice

    filters = _filters(log, actor, model, version, kind, cell, since, until)
    items = list(islice(client().audit.events(**filters), limit))
    rows = [
        [item["name"], time_of(item["time"]), item["kind"], item["actor"] or "-", item["model"] or ""]
        for item in items
    ]
    show(items, table(["event", "time (UTC)", "kind", "actor", "model"], rows))
    if items:
        note(f"next: twinledger audit prove {items[-1]['name']}")


def timeline(
    actor: Actor = None,
    model: Model = None,
    version: Version = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """What happened to a model, a version or a member, over both logs."""
    filters = _filters(None, actor, model, version, None, None, since, until)
    items = client().audit.timeline(**filters)
    show(items, table(["time (UTC)", "who", "what", "event"], [_moment(item) for item in items]))


def trace(
    device: Annotated[str, typer.Argument(metavar="ADDRESS|NAME")],
    since: Since = None,
    until: Until = None,
    places: Annotated[
        Path | None, typer.Option(metavar="FILE", help='where cells are: {"ns/cell": [latitude, longitude]}')
    ] = None,
    max_speed: Annotated[
        float, typer.Option(min=0.0, help="fastest possible move, metres per second")
    ] = 100.0,
    gap: Annotated[int, typer.Option(min=1, help="a silence of more seconds is marked")] = 3600,
) -> None:
    """A device across cells, with gaps and impossible moves marked.

    The chain holds no places: without them a move between two cells is impossible only within one second.
    """
    from registry.audit.forensics import Moves, judged
    from registry.audit.places import read_places

    distance_m = read_places(places).distance_m
    filters = _filters(None, None, None, None, None, None, since, until)
    found = client().audit.trace(device, Moves(distance_m, max_speed_mps=max_speed, gap_s=gap), **filters)
    rows = [[time_of(one.time), one.cell, one.basis, one.name] for one in found.sightings]
    show(
        asdict(found),
        [*table(["time (UTC)", "cell", "basis", "event"], rows), *map(judged, found.remarkable)],
    )


def impact(ref: Annotated[str, typer.Argument(metavar="REF|DEVICE|DIGEST|DATASET")]) -> None:
    """Whom a tainted version, device, update or dataset reached."""
    found = client().audit.impact(ref)
    lines = [
        f"{len(found['versions'])} versions, {len(found['aliases'])} aliases, "
        f"{len(found['deliveries'])} retrievals",
        *(f"version   {'  ' * one['depth']}{one['version']}" for one in found["versions"]),
        *(
            f"alias     {one['model']}@{one['alias']} to {one['version']}"
            f" since {time_of(one['since'])}{_until(one['until'])}"
            for one in found["aliases"]
        ),
        *(
            f"retrieved {one['version']} by {one['who']} at {time_of(one['time'])}"
            f" from {one['cell'] or one['address'] or 'a hidden place'}"
            for one in found["deliveries"]
        ),
        *(line for version in found["tainted"] for line in _first_and_last(version, found["holders"])),
    ]
    show(found, lines)


def probing(
    at_least: Annotated[int, typer.Option(min=1, help="fewest refusals of one caller")] = 1,
    since: Since = None,
    until: Until = None,
) -> None:
    """Refused requests per caller."""
    items = client().audit.probing(at_least, **_filters(None, None, None, None, None, None, since, until))
    rows = [
        [
            item["who"],
            item["count"],
            ", ".join(f"{code} {count}" for code, count in item["codes"]),
            time_of(item["first"]),
            time_of(item["last"]),
        ]
        for item in items
    ]
    show(items, table(["who", "refusals", "why", "first (UTC)", "last (UTC)"], rows))


def prove(
    event: Annotated[str, typer.Argument(metavar="LOG:INDEX", help="an event, as `audit events` names it")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="write the .tlog-proof")
    ] = None,
) -> None:
    """The C2SP proof that an event is in its log."""
    raw = client().audit.prove(event)
    if out is not None:
        out.write_bytes(raw)
    show({"event": event, "proof": raw.decode()}, [f"written to {out}"] if out else raw.decode().splitlines())


def complete(
    key: Annotated[
        str, typer.Argument(help="model:ns/name, version:0x…, actor:0x…, cell:ns/name or kind:NAME")
    ],
    log: Annotated[str, typer.Option(help="chain or gateway")] = "chain",
    trust: TrustPath = None,
) -> None:
    """Everything that concerns a key, verified to be complete."""
    found = client().audit.complete(key, log, trust=_trust(trust))
    how = "proved complete by co-signatures" if found.is_proved else "claimed complete by this gateway"
    document = {
        "key": key,
        "count": found.count,
        "is_proved": found.is_proved,
        "indexes": [e.index for e in found.entries],
    }
    show(
        document,
        [f"{found.count} entries of {key}, {how}", *(f"{log}:{entry.index}" for entry in found.entries)],
    )


def export(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE")] = Path("case.zip"),
    log: Log = None,
    actor: Actor = None,
    model: Model = None,
    version: Version = None,
    kind: Kind = None,
    cell: Cell = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write an evidence file that verifies offline; no filter takes everything."""
    filters = _filters(log, actor, model, version, kind, cell, since, until)
    path = client().audit.export(out, **filters)
    show({"file": str(path), "bytes": path.stat().st_size}, [f"written to {path}"])
    note(f"next: twinledger audit verify {path} --trust {home().trust}")


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a case.zip")],
    trust: TrustPath = None,
) -> None:
    """Verify an evidence file without network or database; names the first thing that fails."""
    from registry.audit.verify_case import verify_case

    report = verify_case(file, _trust(trust))
    document: dict[str, Any] = {
        "pinned": report.is_pinned,
        "entries": report.entries,
        "claims": [{"text": claim.text, "rests_on": claim.rests_on} for claim in report.claims],
        "fingerprints": list(report.fingerprints),
    }
    shown = [] if report.is_pinned else ["NOT PINNED: no trust file was given", *report.fingerprints]
    show(
        document, [report.headline, *shown, *(f"{claim.text} ({claim.rests_on})" for claim in report.claims)]
    )


def fsck() -> None:
    """Compare chain, projection, logs and store of this home; every difference is named."""
    from registry.wiring.examining import examine

    findings = examine(home(), settings(), globals_())
    wrong = [finding for finding in findings if finding.is_wrong]
    show_findings(findings)
    if wrong:
        # The document is printed; raising would print a second one.
        note(f"{len(wrong)} differences were found: {wrong[0].part}: {wrong[0].result}")
        raise typer.Exit(VerificationFailed.exit_code)


def accuse(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="a receipt, or a promise as JSON")],
    trust: TrustPath = None,
) -> None:
    """Whether the promise in a receipt was kept; a broken one is evidence against its gateway."""
    found = client().audit.accuse(receipt, trust=_trust(trust))
    show(
        {"finding": found.finding.value, "reason": found.reason, "index": found.index},
        [found.finding.value, found.reason],
    )
    if found.finding.value == "broken":
        raise typer.Exit(5)


def witness(trust: TrustPath = None) -> None:
    """Check as a witness that both logs only grew, and co-sign; a forked or rewound log exits with 5.

    Tree and map are rebuilt from the entries; what was seen is kept in HOME/witness.
    """
    from registry.wiring.witnessing import witness_once

    given = _trust(trust) or _trust(home().trust)
    lines = witness_once(home(), client(), given)
    show(
        [{"log": name, "cosignature": line} for name, line in lines],
        [f"{name}: {line}" for name, line in lines],
    )


def _trust(path: Path | None) -> "TrustFile | None":
    from registry.sdk.audit import read_trust

    return None if path is None else read_trust(path)


def _until(moment: int | None) -> str:
    return "" if moment is None else f" until {time_of(moment)}"


def _first_and_last(version: str, holders: list[dict[str, Any]]) -> list[str]:
    held = [one for one in holders if one["version"] == version]
    if not held:
        return []
    first, last = held[0], max(held, key=lambda one: one["last"])
    return [
        f"held      first by {first['who']} at {time_of(first['first'])}",
        f"held      last by {last['who']} at {time_of(last['last'])}",
    ]


def _moment(item: dict[str, Any]) -> list[object]:
    return [time_of(item["time"]), item["who"], item["text"], item["name"]]


def _filters(*values: object) -> dict[str, object]:
    names = ("log", "actor", "model", "version", "kind", "cell", "since", "until")
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}
