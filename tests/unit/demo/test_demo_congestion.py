"""The market's closing table: what was deployed, how the tax moved, who paid and who was paid."""

from io import StringIO

from rich.console import Console

from registry.demo.congestion import Congestion, EpochLine, MinerLine, OperatorLine, print_congestion

FOUND = Congestion(
    slot_bytes=16_384,
    slot_s=1,
    slots_per_epoch=12,
    submitted=40,
    epochs=(EpochLine(7, 20, 0, 0, 0, 0), EpochLine(8, 10, 14, 5, 900, 900), EpochLine(9, 1, 28, 10, 0, 0)),
    operators=(OperatorLine("local", 100, 300, 600), OperatorLine("operator-2", 100, 600, 300)),
    miners=(MinerLine("0x" + "1" * 40, 31, 1_500, 700),),
)


def printed(found: Congestion) -> str:
    out = StringIO()
    print_congestion(found, Console(file=out, width=100))
    return out.getvalue()


def test_the_table_says_what_was_deployed_and_plots_the_tax():
    text = printed(FOUND)
    assert "40 submissions into slots of 16,384 bytes and 1 s, 12 slots an epoch" in text
    assert [line.count("█") for line in text.splitlines() if "█" in line] == [10, 20]
    assert "operator-2" in text and "0x11111111" in text


def test_a_market_without_congestion_prints_no_bars():
    calm = Congestion(1, 1, 1, 0, (EpochLine(0, 1, 0, 0, 0, 0),), (), ())
    assert "█" not in printed(calm)
