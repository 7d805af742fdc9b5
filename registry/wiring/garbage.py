"""How a process that works for months looks for garbage: what is in a cycle, and not freed at once."""

import gc

YOUNG = 50_000
"""So many new objects between two looks. A turn of some hundred submissions makes tens of thousands, all of
which are gone when it ends; at CPython's 700 each of them is looked at several times before."""


def leave_out_what_stands() -> None:
    """From now on look only at what is made after this: what stands now stands until the end.

    To look through it would stop every thread meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
