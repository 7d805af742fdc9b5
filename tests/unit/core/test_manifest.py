"""The manifest: what is read equals what was written, and no other bytes are that manifest."""

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
    OPTIONAL,
    REQUIRED,
    FileEntry,
    build_manifest,
    parse_manifest,
)
from registry.core.manifest_index import searchable
from registry.core.weights import FORMATS
from registry.errors import InvalidManifest, RegistryError

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


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_refused(raw):
    with pytest.raises(InvalidManifest):
        parse_manifest(raw)


def test_the_schema_lists_the_members_and_formats_that_the_parser_knows():
    assert set(SCHEMA["properties"]) == {*REQUIRED, *OPTIONAL}
    assert SCHEMA["required"] == list(REQUIRED)
    assert SCHEMA["$defs"]["file"]["properties"]["format"]["enum"] == list(FORMATS)
