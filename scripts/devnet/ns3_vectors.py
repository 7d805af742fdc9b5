"""Print the path loss of ns-3's own 3GPP TR 38.901 models as JSON, shadowing off.

Run with a Python that has the ns3 wheel, in an empty folder: ns-3 searches the working one for libraries.
Sites stand at the heights of the models (25 m and 10 m); devices stay below 13 m, where the effective
environment height is 1 m and not drawn at random, so every point is a fact and not a sample.

    scripts/devnet/ns3 vectors > tests/vectors/data/ns3_pathloss.json
"""

import json
import math
from importlib.metadata import version
from typing import Any

from ns import ns

MODELS = {
    "UMa": (ns.ThreeGppUmaPropagationLossModel, 25.0),
    "UMi": (ns.ThreeGppUmiStreetCanyonPropagationLossModel, 10.0),
}
CONDITIONS = {True: ns.AlwaysLosChannelConditionModel, False: ns.NeverLosChannelConditionModel}
CARRIERS_GHZ = (0.7, 2.1, 3.5, 28.0, 60.0)
DISTANCES_2D_M = (10.0, 35.0, 80.0, 180.0, 400.0, 900.0, 2000.0, 4500.0)
HEIGHTS_M = (1.5, 4.5, 7.5, 10.5, 12.5)


def mobility() -> Any:
    """A position of a fresh Node; without a Node the 3GPP models abort the process."""
    position = ns.CreateObject[ns.ConstantPositionMobilityModel]()
    ns.CreateObject[ns.Node]().AggregateObject(position)
    return position


def points() -> list[dict[str, object]]:
    """Every scenario, condition, carrier and distance, with a height that cycles."""
    found: list[dict[str, object]] = []
    for scenario, (kind, site_height_m) in MODELS.items():
        for los, condition in CONDITIONS.items():
            for carrier_ghz in CARRIERS_GHZ:
                model = ns.CreateObject[kind]()
                model.SetFrequency(carrier_ghz * 1e9)
                model.SetAttribute("ShadowingEnabled", ns.BooleanValue(False))
                model.SetChannelConditionModel(ns.CreateObject[condition]())
                for distance_2d_m in DISTANCES_2D_M:
                    height_m = HEIGHTS_M[len(found) % len(HEIGHTS_M)]
                    site, device = mobility(), mobility()
                    site.SetPosition(ns.Vector(0.0, 0.0, site_height_m))
                    device.SetPosition(ns.Vector(distance_2d_m, 0.0, height_m))
                    found.append(
                        {
                            "scenario": scenario,
                            "los": los,
                            "carrier_ghz": carrier_ghz,
                            "distance_2d_m": distance_2d_m,
                            "distance_3d_m": round(math.hypot(distance_2d_m, site_height_m - height_m), 6),
                            "bs_height_m": site_height_m,
                            "ut_height_m": height_m,
                            "path_loss_db": f"{-model.CalcRxPower(0.0, site, device):.6f}",
                        }
                    )
    return found


if __name__ == "__main__":
    source = f"ns-3 (PyPI wheel ns3 {version('ns3')}), ThreeGpp propagation loss models, shadowing off"
    print(json.dumps({"source": source, "points": points()}, indent=1))
