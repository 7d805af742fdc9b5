"""The manifest: what is read equals what was written, and everything else is refused by name."""

import json
from importlib.resources import files as package_files

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from registry.core.canonical import canonical, read_canonical
from registry.core.cid import DAG_PB, RAW, Cid
from registry.core.ids import address_of, hex32, sha256
from registry.core.manifest import (
    MAX_BYTES,
    OPTIONAL,
    REQUIRED,
    FileEntry,
    build_manifest,
    parse_manifest,
)
from registry.core.manifest_index import searchable
from registry.core.weights import FORMATS
from registry.errors import InvalidManifest, RegistryError, TooLarge

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCHEMA = json.loads(package_files("registry.core").joinpath("manifest-1.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)

NAME = st.builds(
    "{}{}{}".format, st.sampled_from("abz19"), st.text("a0._-", max_size=8), st.sampled_from("ab0")
)
LINE = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
HEX32 = st.binary(min_size=32, max_size=32).map(hex32)
COUNT = st.integers(0, 2**53 - 1)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=1e-9, max_value=1e15)
CID = st.builds(Cid, st.sampled_from((RAW, DAG_PB)), st.binary(min_size=32, max_size=32))
CELL = st.tuples(NAME, NAME).map("/".join)
PATHS = st.lists(NAME, min_size=1, max_size=6, unique=True)


def some(**fields):
    """An object with any of these members."""
    return st.fixed_dictionaries({}, optional=fields)


def unique(items, most=3):
    return st.lists(items, max_size=most, unique_by=lambda item: json.dumps(item, sort_keys=True))


BBOX = st.tuples(st.floats(-90, 0), st.floats(-180, 180), st.floats(0, 90), st.floats(-180, 180)).map(list)
PORT = st.fixed_dictionaries(
    {"name": LINE}, optional={"dtype": LINE, "shape": st.lists(st.integers(-1, 9), max_size=4), "unit": LINE}
)
DATASET = st.fixed_dictionaries({"id": LINE}, optional={"sha256": HEX32, "rows": COUNT, "holder": LINE})
MEMBER = st.binary(min_size=20, max_size=20).map(address_of)
PARTICIPANT = st.fixed_dictionaries(
    {"member": MEMBER}, optional={"update_sha256": HEX32, "samples": COUNT, "cell": CELL}
) | st.fixed_dictionaries({"pseudonym": LINE}, optional={"samples": COUNT})
GIVEN = some(
    description=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40),
    license=LINE,
    card=LINE,
    tags=unique(LINE),
    framework=LINE,
    task=LINE,
    inputs=unique(LINE),
    outputs=unique(PORT, most=1),
    metrics=st.dictionaries(LINE.filter(lambda n: not set("<>=") & set(n)), NUMBER, max_size=4),
    components=unique(st.fixed_dictionaries({"version": HEX32, "role": LINE})),
    twin=some(object=LINE, composition=st.just("enhanced"), scale=st.just("system"), use=st.just("status")),
    wireless=some(
        carrier_hz=POSITIVE,
        bandwidth_hz=POSITIVE,
        scenario=LINE,
        cells=unique(CELL),
        bbox=BBOX,
        seed=COUNT,
        scene_sha256=HEX32,
    ),
    training=some(
        method=st.just("federated"),
        rounds=COUNT,
        task=st.integers(1, 99),
        privacy=st.fixed_dictionaries({"kind": st.just("dp")}, optional={"epsilon": POSITIVE}),
        datasets=unique(DATASET),
        participants=unique(PARTICIPANT),
    ),
    encryption=st.none() | st.fixed_dictionaries({"scheme": LINE}, optional={"any": LINE}),
    x=some(anything=st.none() | NUMBER, nested=st.dictionaries(LINE, LINE, max_size=2)),
)
FILE = st.builds(
    FileEntry,
    path=st.just(""),
    cid=CID,
    sha256=st.binary(min_size=32, max_size=32),
    size=COUNT,
    format=st.sampled_from(FORMATS),
)


@st.composite
def manifests(draw):
    files = [
        FileEntry(path, f.cid, f.sha256, f.size, f.format) for path in draw(PATHS) for f in (draw(FILE),)
    ]
    parents = draw(st.lists(st.binary(min_size=32, max_size=32), max_size=8, unique=True))
    return build_manifest(draw(NAME), draw(NAME), files, parents, draw(GIVEN))


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


@FEW
@given(manifests())
def test_what_is_built_is_read_back_equal_and_fits_the_published_schema(manifest):
    assert parse_manifest(manifest.bytes) == manifest
    VALIDATOR.validate(read_canonical(manifest.bytes))
    assert manifest.size == sum(f.size for f in manifest.files) + len(manifest.bytes)
    assert manifest.cid.digest == manifest.digest == sha256(manifest.bytes)


@FEW
@given(manifests(), st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_a_manifest_with_changed_bytes_is_refused_or_is_another_manifest(manifest, place, patch):
    place %= len(manifest.bytes)
    changed = manifest.bytes[:place] + patch + manifest.bytes[place + len(patch) :]
    assume(changed != manifest.bytes)
    try:
        other = parse_manifest(changed)
    except RegistryError:
        return
    assert other.bytes == changed and other.digest != manifest.digest
    assert canonical(read_canonical(changed)) == changed
    VALIDATOR.validate(read_canonical(changed))


@FEW
@given(manifests(), st.data())
def test_a_value_of_another_kind_is_refused_or_fits_the_schema(manifest, data):
    document = read_canonical(manifest.bytes)
    target = data.draw(st.sampled_from(list(places(document))))
    value = data.draw(
        st.none() | st.booleans() | st.just([]) | st.just({}) | st.just("") | st.just(-1) | st.just(0.5)
    )
    put(document, target, value)
    try:
        parse_manifest(canonical(document))
    except RegistryError:
        return
    VALIDATOR.validate(document)


@FEW
@given(manifests(), st.data(), LINE)
def test_a_member_that_the_schema_does_not_know_is_refused_everywhere_but_under_x(manifest, data, name):
    document = read_canonical(manifest.bytes)
    closed = [place for place in [(), *places(document)] if is_closed(document, place)]
    at(document, data.draw(st.sampled_from(closed)))["unknown " + name] = 1
    with pytest.raises(InvalidManifest):
        parse_manifest(canonical(document))


def places(value, here=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*here, key)
        yield from places(item, (*here, key))


def at(value, place):
    for key in place:
        value = value[key]
    return value


def put(document, place, value):
    at(document, place[:-1])[place[-1]] = value


def is_closed(document, place):
    return isinstance(at(document, place), dict) and not {"x", "metrics", "encryption"} & set(place[:1])


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


@FEW
@given(manifests())
def test_every_field_can_be_searched_for(manifest):
    pairs = searchable(manifest)
    f = manifest.fields
    assert {v for k, v in pairs if k == "tag"} == set(f.tags)
    assert {(k, v) for k, v in pairs if k.startswith("metric:")} == {(f"metric:{k}", v) for k, v in f.metrics}
    assert {v for k, v in pairs if k == "file"} == {e.path for e in manifest.files}
    if f.training is not None:
        named = {p.member or p.pseudonym for p in f.training.participants}
        assert {v for k, v in pairs if k == "participant"} == named
        assert {v for k, v in pairs if k == "dataset"} == {d.id for d in f.training.datasets}
    assert all(type(value) in (str, float) for _, value in pairs)


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


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(raw):
    with pytest.raises(InvalidManifest):
        parse_manifest(raw)


def test_the_schema_lists_the_members_and_formats_that_the_parser_knows():
    assert set(SCHEMA["properties"]) == {*REQUIRED, *OPTIONAL}
    assert SCHEMA["required"] == list(REQUIRED)
    assert SCHEMA["$defs"]["file"]["properties"]["format"]["enum"] == list(FORMATS)
