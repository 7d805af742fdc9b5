"""What is registered: ls, search, show, lineage, verify, alias, deprecate, revoke, grant, ungrant."""

from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.context import client
from registry.cli.output import note, short, show, table, time_of

if TYPE_CHECKING:
    from registry.wire import VersionAnswer

Ref = Annotated[str, typer.Argument(metavar="REF", help="ns/name, ns/name@alias, ns/name@vN or 0x…")]

Member = Annotated[
    str, typer.Argument(metavar="MEMBER", help="address, or ADDRESS=0x… with the X25519 key it told you")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (ls, search, lineage, verify, alias, deprecate, revoke, grant, ungrant):
        app.command()(command)
    app.command("show")(show_version)


def ls(
    model: Annotated[
        str | None, typer.Argument(metavar="[NS/NAME]", help="list the versions of one model")
    ] = None,
) -> None:
    """List models, or the versions of one."""
    if model is not None:
        _show_versions(client().versions(model))
        return
    items = list(client().models())
    rows = [[item.model, item.versions, short(item.newest), ", ".join(item.aliases)] for item in items]
    show(items, table(["model", "versions", "newest", "aliases"], rows))


def search(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="words in name, description, card, tags")
    ] = None,
    q: Annotated[str | None, typer.Option("--q", metavar="TEXT", help="the same as an option")] = None,
    tag: Annotated[list[str] | None, typer.Option()] = None,
    near: Annotated[str | None, typer.Option(metavar="LAT,LON", help="nearest first")] = None,
    carrier_hz: Annotated[str | None, typer.Option(metavar="LO..HI")] = None,
    scenario: Annotated[str | None, typer.Option()] = None,
    cell: Annotated[str | None, typer.Option(metavar="NS/CELL")] = None,
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME<VALUE")] = None,
    dataset: Annotated[str | None, typer.Option()] = None,
    participant: Annotated[str | None, typer.Option()] = None,
    sort: Annotated[str | None, typer.Option(help="newest, oldest, near, size or name")] = None,
    cursor: Annotated[str | None, typer.Option(help="continue a search")] = None,
) -> None:
    """Find versions by the fields of their manifests."""
    found = client().search(
        q=q if text is None else text,
        tag=tag,
        near=near,
        carrier_hz=carrier_hz,
        scenario=scenario,
        cell=cell,
        metric=metric,
        dataset=dataset,
        participant=participant,
        sort=sort,
        cursor=cursor,
    )
    _show_versions(list(found))


def show_version(ref: Ref) -> None:
    """Show one version: its record, its files, its status."""
    talker = client()
    version = talker.version(ref)
    manifest = version.manifest or {}
    readers = talker.grants(version.version_id) if manifest.get("encryption") else []
    lines = [
        f"{version.model} v{version.number} ({version.status}) {' '.join(version.aliases)}".rstrip(),
        f"id        {version.version_id}",
        f"sealed    {time_of(version.block.time)} in block {version.block.number}",
        f"by        {version.version.submitter}",
        f"weights   {version.weights_cid}",
        f"manifest  {version.manifest_cid}",
        *(f"file      {file['path']} ({file['size']} bytes)" for file in manifest.get("files", [])),
        *(f"parent    {parent}" for parent in version.version.parents),
        *(f"reader    {grant.reader}" for grant in readers),
    ]
    show(version, lines)


def lineage(
    ref: Ref,
    direction: Annotated[str, typer.Option(help="up, down or both")] = "both",
    depth: Annotated[int, typer.Option(min=1, max=1000)] = 100,
) -> None:
    """Ancestors and descendants, nearest first."""
    items = client().lineage(ref, direction, depth)
    rows = [
        [item.depth, f"{item.model} v{item.number}", item.status, short(item.version_id)] for item in items
    ]
    show(items, table(["depth", "version", "status", "id"], rows))


def verify(ref: Ref) -> None:
    """Check a version against the chain: identity, manifest, files, receipt. Writes nothing."""
    report = client().verify(ref)
    show(report, [f"{name:10} {result}" for name, result in report.items()])


def alias(
    model: Annotated[str, typer.Argument(metavar="NS/NAME")],
    name: Annotated[str, typer.Argument(metavar="ALIAS")],
    ref: Ref,
) -> None:
    """Point a movable name of a model at one of its versions."""
    tx_hash = client().alias(model, name, ref)
    show({"tx_hash": tx_hash}, [f"{model}@{name} points at {ref} (transaction {tx_hash})"])


def deprecate(ref: Ref, reason: Annotated[str, typer.Option(metavar="TEXT")] = "superseded") -> None:
    """Say that a version should no longer be chosen."""
    tx_hash = client().deprecate(ref, reason)
    show({"tx_hash": tx_hash}, [f"{ref} is deprecated (transaction {tx_hash})"])


def revoke(ref: Ref, reason: Annotated[str, typer.Option(metavar="TEXT")]) -> None:
    """Say that a version must not be used; there is no way back."""
    tx_hash = client().revoke(ref, reason)
    show({"tx_hash": tx_hash}, [f"{ref} is revoked (transaction {tx_hash})"])


def grant(ref: Ref, member: Member) -> None:
    """Let a member read a private version."""
    tx_hash = client().grant(ref, member)
    show({"tx_hash": tx_hash}, [f"{member} may read {ref} (transaction {tx_hash})"])


def ungrant(ref: Ref, member: Member) -> None:
    """Say that a member is no longer meant to read a private version."""
    tx_hash = client().ungrant(ref, member)
    show({"tx_hash": tx_hash}, [f"{member} is no reader of {ref} any more (transaction {tx_hash})"])
    note("a key that was read once is not forgotten: to be sure, submit the next version without that reader")


def _show_versions(items: "list[VersionAnswer]") -> None:
    rows = [
        [
            f"{item.model} v{item.number}",
            item.status,
            item.version.size,
            time_of(item.block.time),
            short(item.version_id),
        ]
        for item in items
    ]
    show(items, table(["version", "status", "bytes", "sealed (UTC)", "id"], rows))
