"""The manifest `twinledger/manifest/1`: the signed description of one version.

A manifest is its bytes: their sha-256 is on chain and is their CID. So bytes are parsed into a typed value
once, at the door, and are refused when they are not the one RFC 8785 spelling of what they say.
"""

import builtins
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.core.canonical import canonical, read_canonical
from registry.core.cid import Cid, manifest_cid
from registry.core.ids import VersionId, hex32, sha256
from registry.core.manifest_fields import (
    MAX_CARD,
    MAX_DESCRIPTION,
    Component,
    Encryption,
    Port,
    Training,
    Twin,
    Wireless,
    read_component,
    read_encryption,
    read_port,
    read_training,
    read_twin,
    read_version_id,
    read_wireless,
)
from registry.core.manifest_node import Members, Node
from registry.core.refs import check_name, check_namespace
from registry.core.version import MAX_PARENTS
from registry.core.weights import FORMATS
from registry.errors import InvalidManifest, Malformed, TooLarge

SCHEMA = "twinledger/manifest/1"
PROFILE = "unixfs-v1-2025"
MAX_BYTES = 1 << 20
MAX_FILES = 4_000
MAX_PATH_BYTES = 1_024
MAX_SEGMENT_BYTES = 255
MAX_SEGMENTS = 32
REQUIRED = ("schema", "namespace", "name", "profile", "files", "parents")
OPTIONAL = (
    *("description", "license", "card", "tags", "framework", "task", "inputs", "outputs", "metrics"),
    *("components", "twin", "wireless", "training", "encryption", "x"),
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a version, as the manifest promises it."""

    path: str
    cid: Cid
    sha256: bytes
    size: int
    format: str


@dataclass(frozen=True, slots=True)
class Fields:
    """Everything that a manifest may leave out; all of it is indexed."""

    description: str | None
    license: str | None
    card: str | None
    tags: tuple[str, ...]
    framework: str | None
    task: str | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metrics: tuple[tuple[str, float], ...]
    components: tuple[Component, ...]
    twin: Twin | None
    wireless: Wireless | None
    training: Training | None
    encryption: Encryption | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed manifest, and the exact bytes it was parsed from."""

    bytes: builtins.bytes
    namespace: str
    name: str
    profile: str
    files: tuple[FileEntry, ...]
    parents: tuple[VersionId, ...]
    fields: Fields

    @property
    def digest(self) -> builtins.bytes:
        """The 32 bytes that go on chain."""
        return sha256(self.bytes)

    @property
    def cid(self) -> Cid:
        """The CID of the bytes."""
        return manifest_cid(self.digest)

    @property
    def model(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def size(self) -> int:
        """What `Version.size` must be: all file bytes and the manifest bytes."""
        return sum(file.size for file in self.files) + len(self.bytes)


def parse_manifest(raw: bytes) -> Manifest:
    """The manifest that these bytes are; InvalidManifest names the place and the rule."""
    if len(raw) > MAX_BYTES:
        raise TooLarge(f"the manifest has {len(raw)} bytes, the limit is {MAX_BYTES}")
    try:
        value = read_canonical(raw)
    except Malformed as e:
        raise InvalidManifest(f"the manifest cannot be read: {e.message}") from e
    m = Node("", value).members(required=REQUIRED, optional=OPTIONAL)
    m.need("schema", lambda n: n.one_of(SCHEMA))
    m.find("x", Node.open_object)
    return Manifest(
        bytes=raw,
        namespace=m.need("namespace", lambda n: n.checked(check_namespace)),
        name=m.need("name", lambda n: n.checked(check_name)),
        profile=m.need("profile", lambda n: n.one_of(PROFILE)),
        files=m.need("files", _files),
        parents=m.need("parents", lambda n: n.items(read_version_id, most=MAX_PARENTS)),
        fields=_fields(m),
    )


def build_manifest(
    namespace: str,
    name: str,
    files: Sequence[FileEntry],
    parents: Sequence[VersionId],
    given: Mapping[str, object],
) -> Manifest:
    """Fill the required members into what the submitter wrote; a given value that differs is refused."""
    filled: dict[str, object] = {
        "schema": SCHEMA,
        "namespace": namespace,
        "name": name,
        "profile": PROFILE,
        "files": [_file_json(file) for file in sorted(files, key=lambda file: file.path)],
        "parents": [hex32(parent) for parent in parents],
    }
    try:
        for member in filled.keys() & given.keys():
            if canonical(_by_path(given[member])) != canonical(filled[member]):
                raise InvalidManifest(
                    f"the manifest's {member} differs from that of this submission",
                    hint=f"leave {member} out: it is filled in",
                )
        raw = canonical({**given, **filled})
    except Malformed as e:
        raise InvalidManifest(f"the manifest cannot be written: {e.message}") from e
    return parse_manifest(raw)


def _file_json(file: FileEntry) -> dict[str, object]:
    return {
        "path": file.path,
        "cid": str(file.cid),
        "sha256": hex32(file.sha256),
        "size": file.size,
        "format": file.format,
    }


def _by_path(value: object) -> object:
    """The order of `files` says nothing, so two orders of the same files do not differ."""
    if isinstance(value, list) and all(isinstance(item, dict) and "path" in item for item in value):
        return sorted(value, key=lambda item: str(item["path"]))
    return value


def _fields(m: Members) -> Fields:
    return Fields(
        description=m.find("description", lambda n: n.prose(MAX_DESCRIPTION)),
        license=m.find("license", Node.text),
        card=m.find("card", lambda n: n.prose(MAX_CARD)),
        tags=m.list_of("tags", lambda n: n.text(64), most=64),
        framework=m.find("framework", Node.text),
        task=m.find("task", Node.text),
        inputs=m.list_of("inputs", read_port, most=256),
        outputs=m.list_of("outputs", read_port, most=256),
        metrics=m.find("metrics", _metrics) or (),
        components=m.list_of("components", read_component, most=64),
        twin=m.find("twin", read_twin),
        wireless=m.find("wireless", read_wireless),
        training=m.find("training", read_training),
        encryption=m.find("encryption", read_encryption),
    )


def _metrics(node: Node) -> tuple[tuple[str, float], ...]:
    found = []
    for name, value in node.entries(most=256):
        # `search metric=NAME<VALUE` must be able to tell the name from the comparison.
        if set("<>=") & set(Node(f"a name in {node.place}", name).text(128)):
            raise node.refuse(f"the metric {name!r} has <, > or = in its name")
        found.append((name, value.number()))
    return tuple(found)


def _files(node: Node) -> tuple[FileEntry, ...]:
    files = node.items(_file, least=1, most=MAX_FILES)
    taken: dict[str, str] = {}
    for file in files:
        folded = file.path.casefold()
        if folded in taken:
            # Two names that differ in case are one file on many machines: one would overwrite the other.
            raise InvalidManifest(f"{node.place} has both {taken[folded]!r} and {file.path!r}")
        taken[folded] = file.path
    for folded, path in taken.items():
        above = folded
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in taken:
                raise InvalidManifest(
                    f"{node.place} has {taken[above]!r} as a file and as a folder of {path!r}"
                )
    return files


def _file(node: Node) -> FileEntry:
    m = node.members(required=("path", "cid", "sha256", "size", "format"))
    return FileEntry(
        path=m.need("path", _path),
        cid=m.need("cid", lambda n: n.checked(Cid.parse)),
        sha256=m.need("sha256", Node.hex32),
        size=m.need("size", Node.integer),
        format=m.need("format", lambda n: n.one_of(*FORMATS)),
    )


def _path(node: Node) -> str:
    """A relative path that means the same place, inside the folder it is written to, on every machine."""
    path = node.text(MAX_PATH_BYTES)
    segments = path.split("/")
    if len(path.encode()) > MAX_PATH_BYTES or len(segments) > MAX_SEGMENTS:
        raise node.refuse(f"a path has at most {MAX_PATH_BYTES} bytes and {MAX_SEGMENTS} segments")
    if unicodedata.normalize("NFC", path) != path:
        raise node.refuse("a path is written in Unicode's normal form C")
    if "\\" in path or ":" in path:
        raise node.refuse("a path has neither a backslash nor a colon")
    for segment in segments:
        if segment in ("", ".", "..") or segment[-1] in " ." or len(segment.encode()) > MAX_SEGMENT_BYTES:
            raise node.refuse("every part of a path is a plain name, inside the folder")
    return path
