"""Search over the fields of manifests: every condition narrows, and a cursor goes on where a page ended.

A field is (key, text) or (key, number); `near` orders by the distance to the middle of the manifest's
bounding box, on a local plane: exact enough to rank cells, cheap enough for any SQL.
"""

import math
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, and_, func, literal, or_, select, tuple_

from registry.core.ids import Status
from registry.database import reading
from registry.errors import Malformed
from registry.index import schema as t
from registry.index.records import VersionRow
from registry.index.rows import current_status, version_query, version_row

SORTS = ("newest", "oldest", "near", "size", "name")
COMPARISONS = ("<=", ">=", "<", ">", "=")


@dataclass(frozen=True, slots=True)
class Metric:
    """A condition on one metric: `rmse_db < 3.5`."""

    name: str
    comparison: str
    value: float


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; None and empty mean any."""

    text: str | None = None
    tags: tuple[str, ...] = ()
    near: tuple[float, float] | None = None
    carrier_hz: tuple[float, float] | None = None
    scenario: str | None = None
    cell: str | None = None
    metrics: tuple[Metric, ...] = ()
    dataset: str | None = None
    participant: str | None = None
    sort: str | None = None
    cursor: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class SearchPage:
    """The versions found; `next` continues, None at the end."""

    versions: list[VersionRow]
    next: str | None


def search(engine: Engine, wanted: Search) -> SearchPage:
    """Active and deprecated versions that fit, in the order asked for."""
    place, descending = _order(wanted)
    key = tuple_(place, t.versions.c.block, t.versions.c.log_index)
    query = version_query().add_columns(place.label("place")).where(*_conditions(wanted))
    if wanted.cursor is not None:
        last = _read_cursor(wanted.cursor)
        query = query.where(key < last if descending else key > last)
    ordered = [place, t.versions.c.block, t.versions.c.log_index]
    query = query.order_by(*(column.desc() if descending else column.asc() for column in ordered))
    with reading(engine) as connection:
        rows = connection.execute(query.limit(wanted.limit + 1)).all()
    page = rows[: wanted.limit]
    following = f"{page[-1].place}~{page[-1].block}~{page[-1].log_index}" if len(rows) > len(page) else None
    return SearchPage([version_row(row) for row in page], following)


def parse_metric(text: str) -> Metric:
    """Read `NAME<VALUE` with one of < <= > >= =."""
    for comparison in COMPARISONS:
        name, found, value = text.partition(comparison)
        if found and name:
            return Metric(name.strip(), comparison, _finite(value, text))
    raise Malformed(f"metric {text!r} is not of the form NAME<VALUE")


def _finite(value: str, metric: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Malformed(f"metric {metric!r} compares with no number")
    return number


def _conditions(wanted: Search) -> list[ColumnElement[bool]]:
    conditions = [
        func.coalesce(current_status().scalar_subquery(), int(Status.ACTIVE)) <= int(Status.DEPRECATED),
        t.manifests.c.digest.is_not(None),
    ]
    if wanted.text:
        like = f"%{_escaped(wanted.text.lower())}%"
        in_fields = _field(
            t.fields.c.key.in_(("description", "card", "tag", "task", "framework")),
            func.lower(t.fields.c.text).like(like, escape="\\"),
        )
        conditions.append(or_(t.manifests.c.name.like(like, escape="\\"), in_fields))
    conditions += [_text("tag", tag) for tag in wanted.tags]
    exact = {
        "scenario": wanted.scenario,
        "cell": wanted.cell,
        "dataset": wanted.dataset,
        "participant": wanted.participant,
    }
    conditions += [_text(key, value) for key, value in exact.items() if value is not None]
    if wanted.carrier_hz is not None:
        low, high = wanted.carrier_hz
        conditions.append(_field(t.fields.c.key == "carrier_hz", t.fields.c.number.between(low, high)))
    for metric in wanted.metrics:
        column, value = t.fields.c.number, literal(metric.value)
        test = column == value if metric.comparison == "=" else column.op(metric.comparison)(value)
        conditions.append(_field(t.fields.c.key == f"metric:{metric.name}", test))
    if wanted.near is not None:
        conditions.append(_field(t.fields.c.key == "bbox_south"))
    return conditions


def _field(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(t.fields.c.place).where(t.fields.c.manifest == t.manifests.c.number, *conditions).exists()


def _text(key: str, value: str) -> ColumnElement[bool]:
    return _field(and_(t.fields.c.key == key, t.fields.c.text == value))


def _order(wanted: Search) -> tuple[ColumnElement[object], bool]:
    sort = wanted.sort or ("near" if wanted.near is not None else "newest")
    if sort == "near":
        if wanted.near is None:
            raise Malformed("sort=near needs near=LAT,LON")
        return _distance(*wanted.near), False
    orders: dict[str, tuple[ColumnElement[object], bool]] = {
        "newest": (t.versions.c.block, True),
        "oldest": (t.versions.c.block, False),
        "size": (t.versions.c.size, False),
        "name": (t.namespaces.c.name + "/" + t.manifests.c.name, False),
    }
    if sort not in orders:
        raise Malformed(f"sort is {sort!r}, not one of {', '.join(SORTS)}")
    return orders[sort]


def _distance(latitude: float, longitude: float) -> ColumnElement[object]:
    """Squared distance in degrees of latitude, rounded so that a cursor can repeat it exactly."""
    north = (_side("bbox_south") + _side("bbox_north")) / 2 - latitude
    east = ((_side("bbox_west") + _side("bbox_east")) / 2 - longitude) * math.cos(math.radians(latitude))
    return func.round((north * north + east * east) * 1e12)


def _side(key: str) -> ColumnElement[float]:
    return (
        select(t.fields.c.number)
        .where(t.fields.c.manifest == t.manifests.c.number, t.fields.c.key == key)
        .limit(1)
        .scalar_subquery()
    )


def _read_cursor(cursor: str) -> tuple[object, int, int]:
    place, *rest = cursor.rsplit("~", 2)
    try:
        block, log_index = map(int, rest)
        # A place is a number, or a name, which has a slash.
        return (place if "/" in place else float(place)), block, log_index
    except ValueError as e:
        raise Malformed(f"{cursor!r} is no cursor of this search", hint="start without a cursor") from e


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
