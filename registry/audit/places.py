"""Where the cells are, as the auditor knows it: the chain registers a cell's name and gateway, and no place.

```json
{"lab/north": [52.5200, 13.4050], "lab/south": [52.4120, 13.4050]}
```

>>> places = parse_places(b'{"lab/north": [52.52, 13.405], "lab/south": [52.412, 13.405]}')
>>> round(places.distance_m("lab/north", "lab/south"))
12009
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from registry.core.canonical import strict_json
from registry.core.log import check_key
from registry.errors import Malformed, NotFound

EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Places:
    """Latitude and longitude of cells, in degrees."""

    of_cell: Mapping[str, tuple[float, float]]

    def distance_m(self, start: str, end: str) -> float | None:
        """Along the great circle (haversine); None where one of the cells has no place here."""
        if start not in self.of_cell or end not in self.of_cell:
            return None
        (north, east), (to_north, to_east) = (map(math.radians, self.of_cell[cell]) for cell in (start, end))
        half = math.sin((to_north - north) / 2) ** 2
        half += math.cos(north) * math.cos(to_north) * math.sin((to_east - east) / 2) ** 2
        return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, half)))


def read_places(path: Path | None) -> Places:
    """The places of a file; without one, nobody knows where anything is."""
    if path is None:
        return Places({})
    try:
        return parse_places(path.read_bytes())
    except OSError as e:
        raise NotFound(f"the file of places {path} cannot be read: {e}") from e


def parse_places(raw: bytes) -> Places:
    """Read a file of places; Malformed names the cell that has none on this planet."""
    given = strict_json(raw)
    if not isinstance(given, dict):
        raise Malformed('places are {"ns/cell": [latitude, longitude]}')
    return Places({_cell(cell): _degrees(cell, place) for cell, place in given.items()})


def _cell(name: str) -> str:
    return check_key(f"cell:{name}").removeprefix("cell:")


def _degrees(cell: str, place: object) -> tuple[float, float]:
    if isinstance(place, list) and len(place) == 2 and all(type(one) in (int, float) for one in place):
        north, east = map(float, place)
        if abs(north) <= 90 and abs(east) <= 180:
            return north, east
    raise Malformed(f"the place of {cell} is not [latitude, longitude] in degrees")
