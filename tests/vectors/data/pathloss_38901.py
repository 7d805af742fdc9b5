"""Writes pathloss_38901.json: TR 38.901 Table 7.4.1-1 worked out in 50-digit decimals, one point at a time.

Written from the text of the table alone and sharing no line with registry/demo/radio.py; run it with
`python tests/vectors/data/pathloss_38901.py` to make the file anew.
"""

import json
from decimal import Decimal, getcontext
from pathlib import Path

getcontext().prec = 50
D = Decimal
C = D("3.0e8")


def log10(x):
    return x.ln() / D(10).ln()


def uma_los(d2d, d3d, f_ghz, h_ut):
    h_bs, h_e = D(25), D(1)
    d_bp = 4 * (h_bs - h_e) * (h_ut - h_e) * f_ghz * D("1e9") / C
    if d2d <= d_bp:
        return D("28.0") + 22 * log10(d3d) + 20 * log10(f_ghz)
    return D("28.0") + 40 * log10(d3d) + 20 * log10(f_ghz) - 9 * log10(d_bp**2 + (h_bs - h_ut) ** 2)


def uma_nlos(d2d, d3d, f_ghz, h_ut):
    prime = D("13.54") + D("39.08") * log10(d3d) + 20 * log10(f_ghz) - D("0.6") * (h_ut - D("1.5"))
    return max(uma_los(d2d, d3d, f_ghz, h_ut), prime)


def umi_los(d2d, d3d, f_ghz, h_ut):
    h_bs, h_e = D(10), D(1)
    d_bp = 4 * (h_bs - h_e) * (h_ut - h_e) * f_ghz * D("1e9") / C
    if d2d <= d_bp:
        return D("32.4") + 21 * log10(d3d) + 20 * log10(f_ghz)
    return D("32.4") + 40 * log10(d3d) + 20 * log10(f_ghz) - D("9.5") * log10(d_bp**2 + (h_bs - h_ut) ** 2)


def umi_nlos(d2d, d3d, f_ghz, h_ut):
    prime = D("35.3") * log10(d3d) + D("22.4") + D("21.3") * log10(f_ghz) - D("0.3") * (h_ut - D("1.5"))
    return max(umi_los(d2d, d3d, f_ghz, h_ut), prime)


CASES = {
    ("UMa", True): (uma_los, 25),
    ("UMa", False): (uma_nlos, 25),
    ("UMi", True): (umi_los, 10),
    ("UMi", False): (umi_nlos, 10),
}
CARRIERS_GHZ = ("0.7", "3.5", "28")
DISTANCES_M = ("10", "18", "35.5", "75", "150", "223.7", "480", "1200", "2750", "5000")
HEIGHTS_M = ("1.5", "4.5", "10.5")


def points():
    for (scenario, los), (formula, h_bs) in CASES.items():
        for f in CARRIERS_GHZ:
            for i, d in enumerate(DISTANCES_M):
                h = HEIGHTS_M[i % 3]
                d3d = (D(d) ** 2 + (D(h_bs) - D(h)) ** 2).sqrt()
                loss = formula(D(d), d3d, D(f), D(h))
                yield {
                    "scenario": scenario,
                    "los": los,
                    "carrier_ghz": float(f),
                    "distance_2d_m": float(d),
                    "ut_height_m": float(h),
                    "path_loss_db": f"{loss:.6f}",
                }


def document():
    return {
        "source": "3GPP TR 38.901 V17, Table 7.4.1-1, effective environment height 1 m, c = 3.0e8 m/s",
        "points": list(points()),
    }


if __name__ == "__main__":
    target = Path(__file__).with_name("pathloss_38901.json")
    target.write_text(json.dumps(document(), indent=1) + "\n", encoding="ascii")
