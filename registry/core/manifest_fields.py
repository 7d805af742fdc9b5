"""What a manifest may say about a twin model, field by field; docs/manifest.md explains each.

A field that is absent is None, or empty where it is a list. Nothing here is looked up: whether a parent is
sealed or a member admitted is for the service and the chain to say.
"""

from dataclasses import dataclass

from registry.core.canonical import canonical
from registry.core.cid import Cid
from registry.core.ids import Address, VersionId, to_address
from registry.core.manifest_node import Node
from registry.core.refs import CellName, parse_cell

MAX_DESCRIPTION = 4_096
MAX_CARD = 262_144


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of the model."""

    name: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None  # -1 is a free dimension
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """A twin that this one is chained with."""

    version: VersionId
    role: str


@dataclass(frozen=True, slots=True)
class Twin:
    """What kind of digital twin this is, in the survey's terms."""

    object: str | None
    composition: str | None
    scale: str | None
    use: str | None
    modelling: str | None
    deployment: str | None


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """An area in degrees; west above east crosses the antimeridian."""

    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True, slots=True)
class Wireless:
    """The radio environment that the model stands for."""

    carrier_hz: float | None
    bandwidth_hz: float | None
    scenario: str | None
    channel_model: str | None
    cells: tuple[CellName, ...]
    bbox: BoundingBox | None
    seed: int | None
    scene_sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Privacy:
    """What was done for the privacy of those whose data trained the model."""

    kind: str
    clip: float | None
    sigma: float | None
    epsilon: float | None
    delta: float | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset that training used, named by at most one of its digest and its CID."""

    id: str
    sha256: bytes | None
    cid: Cid | None
    rows: int | None
    holder: str | None


@dataclass(frozen=True, slots=True)
class Participant:
    """Who contributed an update: a member, or a pseudonym."""

    member: Address | None
    pseudonym: str | None
    update_sha256: bytes | None
    samples: int | None
    cell: CellName | None


@dataclass(frozen=True, slots=True)
class Training:
    """How the model came about."""

    method: str | None
    topology: str | None
    aggregation: str | None
    rounds: int | None
    task: int | None  # the number of the sponsored Task on chain
    privacy: Privacy | None
    datasets: tuple[Dataset, ...]
    participants: tuple[Participant, ...]


@dataclass(frozen=True, slots=True)
class Encryption:
    """How the files are encrypted: a scheme, and the canonical JSON that only the scheme reads."""

    scheme: str
    parameters: bytes


def read_port(node: Node) -> Port:
    """A port as its bare name, or as an object."""
    if isinstance(node.value, str):
        return Port(node.text())
    m = node.members(required=("name",), optional=("dtype", "shape", "unit", "description"))
    return Port(
        name=m.need("name", Node.text),
        dtype=m.find("dtype", lambda n: n.text(32)),
        shape=m.find("shape", _shape),
        unit=m.find("unit", lambda n: n.text(32)),
        description=m.find("description", lambda n: n.prose(MAX_DESCRIPTION)),
    )


def _shape(node: Node) -> tuple[int, ...]:
    if type(node.value) is not list or len(node.value) > 32:
        raise node.refuse("a shape is a list of at most 32 sizes")
    return tuple(Node(f"{node.place}[{i}]", size).integer(low=-1) for i, size in enumerate(node.value))


def read_component(node: Node) -> Component:
    """A component: the version it is, and the part it plays."""
    m = node.members(required=("version", "role"))
    return Component(m.need("version", read_version_id), m.need("role", Node.text))


def read_version_id(node: Node) -> VersionId:
    """A whole VersionId."""
    return VersionId(node.hex32())


def read_twin(node: Node) -> Twin:
    """The member `twin`."""
    m = node.members(optional=("object", "composition", "scale", "use", "modelling", "deployment"))
    return Twin(
        object=m.find("object", Node.text),
        composition=m.find("composition", lambda n: n.one_of("standalone", "duplicated", "enhanced")),
        scale=m.find("scale", lambda n: n.one_of("component", "asset", "system", "process")),
        use=m.find("use", lambda n: n.one_of("status", "simulation", "operational")),
        modelling=m.find(
            "modelling", lambda n: n.one_of("experimental", "mathematical", "3d", "data-driven")
        ),
        deployment=m.find("deployment", lambda n: n.one_of("edge", "cloud", "hybrid")),
    )


def read_wireless(node: Node) -> Wireless:
    """The member `wireless`."""
    m = node.members(
        optional=(
            *("carrier_hz", "bandwidth_hz", "scenario", "channel_model"),
            *("cells", "bbox", "seed", "scene_sha256"),
        )
    )
    return Wireless(
        carrier_hz=m.find("carrier_hz", Node.positive),
        bandwidth_hz=m.find("bandwidth_hz", Node.positive),
        scenario=m.find("scenario", Node.text),
        channel_model=m.find("channel_model", Node.text),
        cells=m.list_of("cells", _cell, most=4_096),
        bbox=m.find("bbox", _bbox),
        seed=m.find("seed", Node.integer),
        scene_sha256=m.find("scene_sha256", Node.hex32),
    )


def _cell(node: Node) -> CellName:
    return node.checked(parse_cell)


def _bbox(node: Node) -> BoundingBox:
    if type(node.value) is not list or len(node.value) != 4:
        raise node.refuse("a bbox is [south, west, north, east] in degrees")
    limits = (90, 180, 90, 180)
    south, west, north, east = (
        Node(f"{node.place}[{i}]", degrees).number(-limit, limit)
        for i, (degrees, limit) in enumerate(zip(node.value, limits, strict=True))
    )
    if south > north:
        raise node.refuse("its south is above its north")
    return BoundingBox(south, west, north, east)


def read_training(node: Node) -> Training:
    """The member `training`."""
    m = node.members(
        optional=(
            *("method", "topology", "aggregation", "rounds"),
            *("task", "privacy", "datasets", "participants"),
        )
    )
    return Training(
        method=m.find("method", lambda n: n.one_of("federated", "centralized")),
        topology=m.find("topology", lambda n: n.one_of("central", "federated", "dispersed", "collaborative")),
        aggregation=m.find("aggregation", Node.text),
        rounds=m.find("rounds", Node.integer),
        task=m.find("task", lambda n: n.integer(low=1)),
        privacy=m.find("privacy", _privacy),
        datasets=m.list_of("datasets", _dataset, most=1_024),
        participants=m.list_of("participants", _participant, most=4_096),
    )


def _privacy(node: Node) -> Privacy:
    m = node.members(required=("kind",), optional=("clip", "sigma", "epsilon", "delta"))
    return Privacy(
        kind=m.need("kind", lambda n: n.one_of("none", "dp")),
        clip=m.find("clip", lambda n: n.number(low=0)),
        sigma=m.find("sigma", lambda n: n.number(low=0)),
        epsilon=m.find("epsilon", lambda n: n.number(low=0)),
        delta=m.find("delta", lambda n: n.number(0, 1)),
    )


def _dataset(node: Node) -> Dataset:
    m = node.members(required=("id",), optional=("sha256", "cid", "rows", "holder"))
    if "sha256" in m.values and "cid" in m.values:
        raise node.refuse("a dataset is named by sha256 or by cid, not by both")
    return Dataset(
        id=m.need("id", Node.text),
        sha256=m.find("sha256", Node.hex32),
        cid=m.find("cid", lambda n: n.checked(Cid.parse)),
        rows=m.find("rows", Node.integer),
        holder=m.find("holder", Node.text),
    )


def _participant(node: Node) -> Participant:
    m = node.members(optional=("member", "pseudonym", "update_sha256", "samples", "cell"))
    if ("member" in m.values) == ("pseudonym" in m.values):
        raise node.refuse("a participant has either a member or a pseudonym")
    return Participant(
        member=m.find("member", lambda n: n.checked(to_address)),
        pseudonym=m.find("pseudonym", Node.text),
        update_sha256=m.find("update_sha256", Node.hex32),
        samples=m.find("samples", Node.integer),
        cell=m.find("cell", _cell),
    )


def read_encryption(node: Node) -> Encryption | None:
    """The member `encryption`: the only one that may be null, which says that the files are in the clear."""
    if node.value is None:
        return None
    parameters = node.open_object()
    if "scheme" not in parameters:
        raise node.refuse("it must name its scheme")
    scheme = Node(f"{node.place}.scheme", parameters["scheme"]).text(64)
    return Encryption(scheme, canonical(parameters))
