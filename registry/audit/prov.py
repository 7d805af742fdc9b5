"""W3C PROV of a case's rows, as PROV-JSON: versions are entities, entries activities, addresses agents.

A function of the rows alone, so a verifier can render it again and compare.
"""

from datetime import UTC, datetime

from registry.audit.case import CaseRows
from registry.audit.rows import Row
from registry.core.canonical import canonical

_MAKES = frozenset({"registered"})
_PREFIXES = {
    "tl": "https://twinledger.example/ns#",
    "v": "urn:twinledger:version:",
    "a": "urn:ethereum:address:",
}

Statements = dict[str, dict[str, dict[str, object]]]


def prov_json(case: CaseRows) -> bytes:
    """The PROV-JSON document of a case, canonical."""
    said: Statements = {
        name: {}
        for name in (
            "entity", "activity", "agent", "wasGeneratedBy", "used", "wasAssociatedWith", "wasDerivedFrom",
            "wasAttributedTo",
        )
    }  # fmt: skip
    for row in case.rows:
        _state(said, row)
    for version, manifest in case.manifests.items():
        known = said["entity"].setdefault(f"v:{version}", {})
        known["tl:model"] = manifest.model
        for part in manifest.fields.components:
            _derive(said, version, "0x" + part.version.hex(), "component")
    filled = {name: statements for name, statements in said.items() if statements}
    return canonical({"prefix": _PREFIXES, **filled})


def _state(said: Statements, row: Row) -> None:
    activity = f"tl:{row.log}-{row.index}"
    when = datetime.fromtimestamp(row.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said["activity"][activity] = {
        "prov:startTime": when,
        "prov:endTime": when,
        "tl:kind": row.kind,
        "tl:entry": row.name,
        **({"tl:cell": row.place} if row.place else {}),
    }
    if row.actor is not None:
        said["agent"][f"a:{row.actor}"] = {}
        link = {"prov:activity": activity, "prov:agent": f"a:{row.actor}"}
        said["wasAssociatedWith"][f"_:assoc-{row.log}-{row.index}"] = dict(link)
    if row.version is not None:
        _about_version(said, row, activity, row.version)


def _about_version(said: Statements, row: Row, activity: str, version: str) -> None:
    entity = f"v:{version}"
    known = said["entity"].setdefault(entity, {})
    if row.model is not None:
        known["tl:model_in_log"] = row.model
    if row.kind not in _MAKES:
        said["used"][f"_:use-{row.log}-{row.index}"] = {"prov:activity": activity, "prov:entity": entity}
        return
    known["tl:manifest"] = row.text("manifest")
    made = {"prov:entity": entity, "prov:activity": activity}
    said["wasGeneratedBy"][f"_:gen-{row.log}-{row.index}"] = dict(made)
    if row.actor is not None:
        whose = {"prov:entity": entity, "prov:agent": f"a:{row.actor}"}
        said["wasAttributedTo"][f"_:attr-{row.log}-{row.index}"] = dict(whose)
    for parent in row.related:
        _derive(said, version, parent, "parent")


def _derive(said: Statements, child: str, parent: str, role: str) -> None:
    for version in (child, parent):
        said["entity"].setdefault(f"v:{version}", {})
    said["wasDerivedFrom"][f"_:der-{child[2:18]}-{parent[2:18]}-{role}"] = {
        "prov:generatedEntity": f"v:{child}",
        "prov:usedEntity": f"v:{parent}",
        "tl:role": role,
    }
