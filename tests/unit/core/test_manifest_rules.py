"""The manifest: each rule refuses what breaks it."""

import json

import pytest

from registry.core.canonical import canonical, read_canonical
from registry.core.cid import RAW, Cid
from registry.core.ids import hex32, sha256
from registry.core.manifest import (
    MAX_BYTES,
    OPTIONAL,
    REQUIRED,
    FileEntry,
    build_manifest,
    parse_manifest,
)
from registry.core.manifest_index import searchable
from registry.errors import InvalidManifest, RegistryError, TooLarge


def base(**changes):
    document = {
        "schema": "twinledger/manifest/1",
        "namespace": "acme",
        "name": "ran-twin",
        "profile": "unixfs-v1-2025",
        "files": [entry("weights.safetensors")],
        "parents": [],
        **changes,
    }
    return canonical({k: v for k, v in document.items() if v is not ...})


def entry(path, **changes):
    digest = sha256(path.encode("utf-8", "surrogatepass"))
    return {
        "path": path,
        "cid": str(Cid(RAW, digest)),
        "sha256": hex32(digest),
        "size": 5,
        "format": "safetensors",
        **changes,
    }


@pytest.mark.parametrize("member", REQUIRED)
def test_every_required_member_is_required(member):
    with pytest.raises(InvalidManifest, match=member):
        parse_manifest(base(**{member: ...}))


@pytest.mark.parametrize("member", [*REQUIRED, *(m for m in OPTIONAL if m != "encryption")])
def test_absent_is_never_written_null(member):
    with pytest.raises(InvalidManifest):
        parse_manifest(base(**{member: None}))


def test_only_encryption_may_be_null():
    assert parse_manifest(base(encryption=None)).fields.encryption is None


def test_x_is_kept_and_not_interpreted():
    assert parse_manifest(base(x={"null": None, "deep": [[{"a": 1}]]})).fields.tags == ()


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/etc/passwd", "a/../b", "../a", "a/..", "./a", "a//b", "a/", "/"),
        *("a\\b", "..\\a", "C:evil", "a\0b", "a\nb", "a\x7fb", "e\u0301", "a ", "a.", "a/b./c", "\ud800"),
        *("a" * 256, "é" * 128, "/".join("abcdefgh" * 5), "a/" * 600 + "a"),
    ],
)
def test_a_path_that_could_leave_its_folder_or_differ_between_machines_is_refused(path):
    with pytest.raises(RegistryError):
        parse_manifest(base(files=[entry(path)]))


@pytest.mark.parametrize(
    "path", ["a", "a/b/c.npz", "ünïcode/файл", "a b", "..a", "a..b", ".hidden", "é" * 127]
)
def test_a_plain_path_is_taken(path):
    assert parse_manifest(base(files=[entry(path)])).files[0].path == path


@pytest.mark.parametrize("pair", [("a", "a"), ("A", "a"), ("straße", "STRASSE"), ("a", "a/b"), ("A/b", "a")])
def test_two_files_cannot_be_one_on_any_machine(pair):
    with pytest.raises(InvalidManifest):
        parse_manifest(base(files=[entry(path) for path in pair]))


@pytest.mark.parametrize(
    "changes",
    [
        *({"schema": "twinledger/manifest/2"}, {"profile": "unixfs-v0-2015"}, {"namespace": "0xacme"}),
        *({"name": "Ran"}, {"files": []}, {"files": {}}, {"parents": [hex32(bytes(32))] * 2}),
        *({"parents": [hex32(bytes((i,)) * 32) for i in range(9)]}, {"parents": ["0x" + "A" * 64]}),
        *({"tags": ["a", "a"]}, {"tags": [""]}, {"metrics": {"a<b": 1}}, {"metrics": {"a": "1"}}),
        *({"metrics": {"a": True}}, {"metrics": {"": 1}}, {"description": "x" * 4097}, {"license": "a\nb"}),
        *({"twin": {"scale": "huge"}}, {"wireless": {"carrier_hz": 0}}, {"wireless": {"cells": ["nocell"]}}),
        *(
            {"wireless": {"bbox": [2, 0, 1, 0]}},
            {"wireless": {"bbox": [0, 0, 1]}},
            {"wireless": {"seed": -1}},
        ),
        *({"wireless": {"bbox": [0, 0, 91, 0]}}, {"training": {"rounds": 1.5}}, {"training": {"task": 0}}),
        *({"training": {"privacy": {}}}, {"training": {"privacy": {"kind": "dp", "delta": 2}}}),
        *({"training": {"participants": [{}]}}, {"training": {"participants": [{"samples": 1}]}}),
        {
            "training": {
                "datasets": [{"id": "d", "sha256": hex32(bytes(32)), "cid": str(Cid(RAW, bytes(32)))}]
            }
        },
        *({"encryption": {}}, {"encryption": "aes"}, {"x": []}, {"x": None}),
        *(
            {"files": [entry("a", size=2.0**53)]},
            {"files": [entry("a", size=-1)]},
            {"files": [entry("a", size=1.5)]},
        ),
        *({"files": [entry("a", format="pickle")]}, {"files": [entry("a", cid="Qm")]}),
        {"files": [entry("a", sha256="00" * 32)]},
        {"components": [{"version": hex32(bytes(32))}]},
    ],
)
def test_a_value_outside_of_the_schema_is_invalid(changes):
    with pytest.raises(InvalidManifest):
        parse_manifest(base(**changes))


def test_x_is_limited_in_depth():
    nested = {}
    for _ in range(40):
        nested = {"a": nested}
    with pytest.raises(InvalidManifest):
        parse_manifest(base(x=nested))


def test_other_bytes_for_the_same_document_are_refused():
    document = read_canonical(base())
    for raw in (
        json.dumps(document).encode(),
        b" " + base(),
        base() + b"\n",
        base().replace(b":5}", b":5.0}"),
    ):
        with pytest.raises(InvalidManifest):
            parse_manifest(raw)


def test_a_manifest_over_one_mebibyte_is_too_large():
    with pytest.raises(TooLarge):
        parse_manifest(b" " * (MAX_BYTES + 1))


def test_a_manifest_names_at_most_4000_files():
    with pytest.raises(InvalidManifest):
        parse_manifest(base(files=[entry(f"f{i}") for i in range(4001)]))


def test_numbers_beyond_2_53_are_doubles_and_survive():
    manifest = build_manifest("acme", "twin", [file("a")], [], {"metrics": {"flops": 3.2e18}})
    assert parse_manifest(manifest.bytes).fields.metrics == (("flops", 3.2e18),)


def file(path):
    return FileEntry(path, Cid(RAW, sha256(path.encode())), sha256(path.encode()), 5, "binary")


def test_building_fills_in_what_is_required():
    manifest = build_manifest("acme", "twin", [file("b"), file("a")], [bytes(32)], {"tags": ["t"]})
    assert [f.path for f in manifest.files] == ["a", "b"]
    assert (manifest.model, manifest.parents, manifest.fields.tags) == ("acme/twin", (bytes(32),), ("t",))


def test_building_takes_given_values_that_agree_in_any_order_of_files():
    built = build_manifest("acme", "twin", [file("a"), file("b")], [], {})
    given = read_canonical(built.bytes)
    given["files"].reverse()
    assert build_manifest("acme", "twin", [file("b"), file("a")], [], given) == built


@pytest.mark.parametrize(
    "given",
    [
        *({"schema": "other"}, {"namespace": "other"}, {"name": "other"}, {"profile": None}, {"files": []}),
        *(
            {"parents": [hex32(bytes(32))]},
            {"parents": None},
            {"tags": [float("nan")]},
            {"unknown": 1},
            {"x": 2**60},
        ),
    ],
)
def test_building_refuses_given_values_that_differ_or_are_none(given):
    with pytest.raises(InvalidManifest):
        build_manifest("acme", "twin", [file("a")], [], given)


def test_searchable_keys_are_those_of_search():
    manifest = parse_manifest(
        base(
            tags=["mmwave"],
            metrics={"nmse": 0.5},
            components=[{"version": hex32(bytes(32)), "role": "channel"}],
            wireless={"carrier_hz": 3.5e9, "scenario": "UMi", "cells": ["acme/c1"], "bbox": [1, 2, 3, 4]},
            training={"datasets": [{"id": "drive"}], "participants": [{"pseudonym": "ue-1"}]},
        )
    )
    expected = {
        *(("tag", "mmwave"), ("metric:nmse", 0.5), ("carrier_hz", 3.5e9), ("scenario", "UMi")),
        *(("cell", "acme/c1"), ("bbox_south", 1.0), ("bbox_west", 2.0), ("bbox_north", 3.0)),
        *(("bbox_east", 4.0), ("dataset", "drive"), ("participant", "ue-1"), ("component", hex32(bytes(32)))),
    }
    assert expected <= set(searchable(manifest))
