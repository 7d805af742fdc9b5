"""What of a manifest can be searched for: flat (key, value) pairs.

Keys are those of `search` where it has one (tag, carrier_hz, scenario, cell, metric:NAME, dataset,
participant), else the path with dots. A list gives one pair per item; numbers stay numbers, for ranges.
"""

from collections.abc import Iterator
from dataclasses import fields

from registry.core.ids import hex32
from registry.core.manifest import Manifest
from registry.core.manifest_fields import BoundingBox, Port, Training, Twin, Wireless

Pair = tuple[str, str | float]


def searchable(manifest: Manifest) -> tuple[Pair, ...]:
    """Every field of the manifest but `x` and the parameters of its encryption."""
    return tuple(_pairs(manifest))


def _pairs(manifest: Manifest) -> Iterator[Pair]:
    f = manifest.fields
    yield from _present(
        description=f.description, license=f.license, card=f.card, framework=f.framework, task=f.task
    )
    yield from (("tag", tag) for tag in f.tags)
    yield from ((f"metric:{name}", value) for name, value in f.metrics)
    for component in f.components:
        yield from (("component", hex32(component.version)), ("component.role", component.role))
    yield from _ports("input", f.inputs)
    yield from _ports("output", f.outputs)
    for file in manifest.files:
        yield from (("file", file.path), ("file.format", file.format), ("file.sha256", hex32(file.sha256)))
        yield from (("file.cid", str(file.cid)), ("file.size", float(file.size)))
    yield from (("parent", hex32(parent)) for parent in manifest.parents)
    if f.encryption is not None:
        yield "encryption", f.encryption.scheme
    yield from _twin(f.twin)
    yield from _wireless(f.wireless)
    yield from _training(f.training)


def _present(**values: str | float | bytes | None) -> Iterator[Pair]:
    """The given values that are there; a double underscore in a keyword stands for a dot."""
    for key, value in values.items():
        if value is not None:
            shown = hex32(value) if isinstance(value, bytes) else value
            yield key.replace("__", "."), shown if isinstance(shown, str) else float(shown)


def _ports(key: str, ports: tuple[Port, ...]) -> Iterator[Pair]:
    for port in ports:
        yield key, port.name
        shape = None if port.shape is None else "x".join(map(str, port.shape))
        for member, value in (
            *(("dtype", port.dtype), ("shape", shape)),
            *(("unit", port.unit), ("description", port.description)),
        ):
            if value is not None:
                yield f"{key}.{member}", value


def _twin(twin: Twin | None) -> Iterator[Pair]:
    if twin is not None:
        yield from ((f"twin.{f.name}", v) for f in fields(twin) if (v := getattr(twin, f.name)) is not None)


def _wireless(wireless: Wireless | None) -> Iterator[Pair]:
    if wireless is None:
        return
    yield from _present(
        carrier_hz=wireless.carrier_hz,
        bandwidth_hz=wireless.bandwidth_hz,
        scenario=wireless.scenario,
        channel_model=wireless.channel_model,
        wireless__seed=wireless.seed,
        wireless__scene_sha256=wireless.scene_sha256,
    )
    yield from (("cell", str(cell)) for cell in wireless.cells)
    if wireless.bbox is not None:
        yield from _bbox(wireless.bbox)


def _bbox(bbox: BoundingBox) -> Iterator[Pair]:
    return _present(bbox_south=bbox.south, bbox_west=bbox.west, bbox_north=bbox.north, bbox_east=bbox.east)


def _training(training: Training | None) -> Iterator[Pair]:
    if training is None:
        return
    yield from _present(
        training__method=training.method,
        training__topology=training.topology,
        training__aggregation=training.aggregation,
        training__rounds=training.rounds,
        training__task=training.task,
    )
    if training.privacy is not None:
        privacy = training.privacy
        yield from _present(
            privacy=privacy.kind,
            privacy__clip=privacy.clip,
            privacy__sigma=privacy.sigma,
            privacy__epsilon=privacy.epsilon,
            privacy__delta=privacy.delta,
        )
    for dataset in training.datasets:
        yield from _present(
            dataset=dataset.id,
            dataset__sha256=dataset.sha256,
            dataset__cid=None if dataset.cid is None else str(dataset.cid),
            dataset__rows=dataset.rows,
            dataset__holder=dataset.holder,
        )
    for participant in training.participants:
        yield from _present(
            participant=participant.member or participant.pseudonym,
            participant__update_sha256=participant.update_sha256,
            participant__samples=participant.samples,
            participant__cell=None if participant.cell is None else str(participant.cell),
        )
