"""A challenged round once more, from the updates themselves: what nobody's word is taken for.

In a round that nobody challenges, validators state each update's norm and sketch and the aggregator states
the average. In a challenge the updates are opened, and all of that is computed again: the norms and sketches,
who is left out as a copy, a near copy or an outlier, every payout, and the average over those who count.
Losses are the validators': they rest on the evaluation set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from incentives.averaging import average, average_digest
from incentives.contributions import Screened, norm_micro, sketch
from incentives.payouts import Scope
from incentives.settlement import Agreement, Entry, Record, Settlement, settle
from registry.core.ids import Address, hex32
from registry.core.version import Contribution

Opened = Mapping[Address, NDArray[np.float32]]


def reopen(scope: Scope, agreement: Agreement, record: Record, opened: Opened) -> Settlement:
    """The settlement with every norm and sketch computed from the opened updates."""
    entries = tuple(_measured(entry, opened) for entry in record.entries)
    return settle(scope, agreement, replace(record, entries=entries))


def dropped(record: Record, countersigned: Sequence[Contribution]) -> list[str]:
    """Contributions that the aggregator signed for and left out of the record."""
    kept = {entry.contribution for entry in record.entries}
    return [
        f"{given.device} handed in {hex32(given.update_sha256)}, the aggregator signed for it and left it out"
        for given in countersigned
        if given not in kept
    ]


def misstated(record: Record, opened: Opened) -> list[str]:
    """Norms and sketches that a validator stated and the update does not have."""
    found = []
    for entry in record.entries:
        update = opened.get(entry.contribution.device)
        if update is None:
            continue
        norm, signs = norm_micro(update), sketch(update)
        for signed in entry.measurements:
            stated = signed.measurement
            if (stated.norm, stated.sketch) != (norm, signs):
                found.append(
                    f"{signed.validator} states norm {stated.norm} and sketch {stated.sketch.hex()[:16]}… of "
                    f"{stated.device}'s update, which has {norm} and {signs.hex()[:16]}…"
                )
    return found


def misjudged(stated: Sequence[Screened], found: Settlement) -> list[str]:
    """Devices that are counted or left out against what their updates are."""
    ours = {screened.device: screened for screened in found.screened}
    return [
        f"{s.device} is {_verdict(s)}, and by the opened updates {_verdict(ours[s.device])}"
        for s in stated
        if s.device in ours and s.exclusion != ours[s.device].exclusion
    ]


def misaveraged(found: Settlement, record: Record, opened: Opened, stated: bytes | None) -> list[str]:
    """What is wrong with the stated digest of the average over those who count."""
    counted = {s.device for s in found.screened if s.exclusion is None}
    rows = {
        entry.contribution.device: (entry.contribution.samples, opened[entry.contribution.device])
        for entry in record.entries
        if entry.contribution.device in counted & set(opened)
    }
    if stated is None or not counted:
        return []
    if set(rows) != counted:
        return [f"the average cannot be computed: {len(counted) - len(rows)} updates that count are closed"]
    ours = average_digest(average(rows))
    if ours == stated:
        return []
    return [f"the aggregator states the average {hex32(stated)}, the updates that count have {hex32(ours)}"]


def _measured(entry: Entry, opened: Opened) -> Entry:
    update = opened.get(entry.contribution.device)
    if update is None:
        return entry
    norm, signs = norm_micro(update), sketch(update)
    return replace(
        entry,
        measurements=tuple(
            replace(signed, measurement=replace(signed.measurement, norm=norm, sketch=signs))
            for signed in entry.measurements
        ),
    )


def _verdict(screened: Screened) -> str:
    return "counted" if screened.exclusion is None else f"left out because {screened.exclusion}"
