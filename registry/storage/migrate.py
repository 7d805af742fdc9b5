"""Moving content from one store to another while both are in use.

Every pinned DAG is copied as a CAR (hashed when it is read, hashed when it arrives) and pinned for the same
owner. What the target holds already is skipped, so a migration that broke off goes on where it was; what is
pinned while it runs is found by asking again until a pass finds nothing new. The source keeps everything:
that is the operator's last step, after the gateway uses the target.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from registry.errors import NotFound
from registry.storage.base import ContentStore, Pin


@dataclass(frozen=True, slots=True)
class Moved:
    """One pin that the target now has; `was_copied` is false where the content was there already."""

    pin: Pin
    was_copied: bool


def migrate(source: ContentStore, target: ContentStore) -> Iterator[Moved]:
    """Copy every pin and its content; run it to the end, or again after it broke off."""
    there = set(target.pins())
    while missing := [pin for pin in source.pins() if pin not in there]:
        for pin in missing:
            there.add(pin)
            try:
                yield Moved(pin, _copy(source, target, pin))
            except NotFound:
                # Unpinned and collected since it was listed: nobody wants it any more.
                if pin in set(source.pins()):
                    raise


def unmoved(source: ContentStore, target: ContentStore) -> list[Pin]:
    """The pins of the source that the target lacks, or holds only in part: empty means that all was moved."""
    there = set(target.pins())
    return [pin for pin in source.pins() if pin not in there or not target.has(pin.cid)]


def _copy(source: ContentStore, target: ContentStore, pin: Pin) -> bool:
    is_new = not target.has(pin.cid)
    if is_new:
        target.put_car(source.export(pin.cid))
    target.pin(pin.cid, pin.owner)
    return is_new
