"""The ns-3 side of `--source ns3`, run in a process of its own: `python ns3_program.py`.

Reads one request a line from standard input and answers each with one line. ns-3 moves the devices
(RandomWalk2dMobilityModel), draws lines of sight and shadowing, and computes every received power
(ThreeGppUma and ThreeGppUmiStreetCanyon models of 3GPP TR 38.901). It imports nothing of this package, so the
GPL library stays in a process that only exchanges numbers with ours.
"""

import importlib
import json
import sys
from typing import Any

MODELS = {
    "UMa": ("ThreeGppUmaPropagationLossModel", "ThreeGppUmaChannelConditionModel"),
    "UMi": ("ThreeGppUmiStreetCanyonPropagationLossModel", "ThreeGppUmiStreetCanyonChannelConditionModel"),
}
CONDITION_UPDATE_S = 10.0
# Streams are given out by hand: automatic ones would depend on what this process was asked before.
SITE_STREAMS, WALK_STREAMS = 100, 10_000


def on_node(ns: Any, kind: str) -> Any:
    """A mobility model of a fresh Node; without a Node the 3GPP models abort."""
    mobility = ns.CreateObject[getattr(ns, kind)]()
    ns.CreateObject[ns.Node]().AggregateObject(mobility)
    return mobility


def antenna(ns: Any, x: float, y: float, z: float) -> Any:
    """A site's antenna."""
    mobility = on_node(ns, "ConstantPositionMobilityModel")
    mobility.SetPosition(ns.Vector(x, y, z))
    return mobility


def walker(ns: Any, habits: dict[str, float], stream: int) -> Any:
    """A device that walks at random inside a box around its home."""
    x, y, reach = habits["x"], habits["y"], habits["roam_m"]
    mobility = on_node(ns, "RandomWalk2dMobilityModel")
    bounds = ns.Rectangle(x - reach, x + reach, y - reach, y + reach)
    mobility.SetAttribute("Bounds", ns.RectangleValue(bounds))
    mobility.SetAttribute("Distance", ns.DoubleValue(reach))
    speed = f"ns3::ConstantRandomVariable[Constant={habits['speed_m_s']}]"
    mobility.SetAttribute("Speed", ns.StringValue(speed))
    mobility.AssignStreams(stream)
    # Only now: a position outside the bounds in force aborts the process.
    mobility.SetPosition(ns.Vector(x, y, habits["height_m"]))
    mobility.Initialize()
    return mobility


def models(ns: Any, request: dict[str, Any], stream: int) -> tuple[Any, Any]:
    """A loss model and the channel condition it goes by; each site has its own."""
    loss_name, condition_name = MODELS[request["scenario"]]
    condition = ns.CreateObject[getattr(ns, condition_name)]()
    condition.SetAttribute("UpdatePeriod", ns.TimeValue(ns.Seconds(CONDITION_UPDATE_S)))
    loss = ns.CreateObject[getattr(ns, loss_name)]()
    loss.SetFrequency(request["carrier_hz"])
    loss.SetChannelConditionModel(condition)
    loss.AssignStreams(stream)
    condition.AssignStreams(stream + SITE_STREAMS // 2)
    return loss, condition


def answer(ns: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Per device its rows [x, y, z, los, power from each site in dBm], one per second."""
    ns.RngSeedManager.SetSeed(1 + request["seed"] // 2**16)
    ns.RngSeedManager.SetRun(1 + request["seed"] % 2**16)
    sites = [antenna(ns, x, y, request["bs_height_m"]) for x, y in request["sites"]]
    losses = [models(ns, request, SITE_STREAMS * (i + 1)) for i in range(len(sites))]
    devices = [walker(ns, h, WALK_STREAMS + 10 * i) for i, h in enumerate(request["devices"])]
    rows: list[list[list[float]]] = [[] for _ in devices]
    for second in range(max(int(h["steps"]) for h in request["devices"])):
        for device, habits, own in zip(devices, request["devices"], rows, strict=True):
            if second < habits["steps"]:
                own.append(report(request, sites, losses, device))
        ns.Simulator.Stop(ns.Seconds(1.0))
        ns.Simulator.Run()
    ns.Simulator.Destroy()
    return {"rows": rows}


def report(request: dict[str, Any], sites: list[Any], losses: list[Any], device: Any) -> list[float]:
    """One row: where the device is, whether it sees its site, and what it receives from each."""
    powers = [
        model.CalcRxPower(request["transmit_dbm"], site, device)
        for site, (model, _) in zip(sites, losses, strict=True)
    ]
    own = request["index"]
    is_los = losses[own][1].GetChannelCondition(sites[own], device).IsLos()
    at = device.GetPosition()
    return [at.x, at.y, at.z, float(is_los), *powers]


def main() -> None:
    """Answer requests until standard input ends."""
    ns = importlib.import_module("ns").ns
    for line in sys.stdin:
        print(json.dumps(answer(ns, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
