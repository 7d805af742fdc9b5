"""What each kind of event adds to the projection."""

import json
from collections.abc import Callable

from registry.core.ids import hex32
from registry.index import schema as t
from registry.index.growth import Rows
from registry.index.records import Line
from registry.index.tasks import REWARD_PROJECTORS

Project = Callable[[Rows, Line], None]


def _namespace_created(rows: Rows, line: Line) -> None:
    rows.add(t.namespaces, line, namespace_id=line.args["namespaceId"], name=line.args["name"])


def _member_admitted(rows: Rows, line: Line) -> None:
    rows.add(
        t.memberships,
        line,
        address=line.args["member"],
        namespace_id=line.args["namespaceId"],
        roles=line.args["roles"],
    )


def _member_removed(rows: Rows, line: Line) -> None:
    rows.add(
        t.memberships,
        line,
        address=line.args["member"],
        namespace_id=line.args["namespaceId"],
        roles=0,
    )


def _key_registered(rows: Rows, line: Line) -> None:
    rows.add(t.keys, line, address=line.args["member"], x25519=_hex(line.args["x25519"]))


def _granted(rows: Rows, line: Line) -> None:
    wrapped = bytes(line.args["wrappedKey"])
    _grant(rows, line, key_version=line.args["keyVersion"], wrapped_key="0x" + wrapped.hex())


def _ungranted(rows: Rows, line: Line) -> None:
    _grant(rows, line, key_version=0, wrapped_key="")


def _grant(rows: Rows, line: Line, *, key_version: int, wrapped_key: str) -> None:
    rows.add(
        t.grants,
        line,
        version_id=_hex(line.args["versionId"]),
        reader=line.args["reader"],
        actor=line.args["by"],
        key_version=key_version,
        wrapped_key=wrapped_key,
    )


def _cell_added(rows: Rows, line: Line) -> None:
    rows.add(
        t.cells,
        line,
        namespace_id=line.args["namespaceId"],
        name=line.args["name"],
        gateway=line.args["gateway"],
    )


def _registered(rows: Rows, line: Line) -> None:
    args, shown = line.args, line.shown
    model, version_id, parents = shown["modelId"], shown["versionId"], shown["parents"]
    rows.add(
        t.versions,
        line,
        version_id=version_id,
        number=rows.number(model),
        namespace_id=args["namespaceId"],
        name_hash=shown["nameHash"],
        model_id=model,
        weights_root=shown["weightsRoot"],
        manifest=shown["manifest"],
        parents=json.dumps(parents) if parents else "[]",
        size=args["size"],
        salt=shown["salt"],
        submitter=args["submitter"],
        fee_class=args["feeClass"],
        fee=str(args["fee"]),
        tax=str(args["tax"]),
        tx_hash=hex32(line.tx_hash),
        tx_index=line.tx_index,
        event_index=line.event_index,
    )
    for position, parent in enumerate(parents):
        rows.put(
            t.parents,
            {"block": line.block, "version_id": version_id, "position": position, "parent": parent},
        )


def _cancelled(rows: Rows, line: Line) -> None:
    version_id = _hex(line.args["versionId"])
    rows.add(t.cancellations, line, version_id=version_id, time=line.args["time"])


def _status_changed(rows: Rows, line: Line) -> None:
    rows.add(
        t.statuses,
        line,
        version_id=_hex(line.args["versionId"]),
        status=line.args["status"],
        reason=line.args["reason"],
        actor=line.args["by"],
    )


def _alias_set(rows: Rows, line: Line) -> None:
    rows.add(
        t.aliases,
        line,
        model_id=_hex(line.args["modelId"]),
        alias=line.args["name"],
        version_id=_hex(line.args["versionId"]),
        actor=line.args["by"],
    )


def _hex(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} is not bytes")
    return hex32(value)


PROJECTORS: dict[tuple[str, str], Project] = {
    ("Consortium", "NamespaceCreated"): _namespace_created,
    ("Consortium", "MemberAdmitted"): _member_admitted,
    ("Consortium", "RolesChanged"): _member_admitted,
    ("Consortium", "MemberRemoved"): _member_removed,
    ("Consortium", "KeyRegistered"): _key_registered,
    ("Consortium", "Granted"): _granted,
    ("Consortium", "Ungranted"): _ungranted,
    ("Consortium", "CellAdded"): _cell_added,
    ("TwinRegistry", "Registered"): _registered,
    ("TwinRegistry", "VersionCancelled"): _cancelled,
    ("TwinRegistry", "StatusChanged"): _status_changed,
    ("TwinRegistry", "AliasSet"): _alias_set,
    **REWARD_PROJECTORS,
}
