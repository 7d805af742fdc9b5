"""Shapes of the audit routes on the wire."""

from registry.wire import Body, Count


class FilterBody(Body):
    """Which events are asked for; null means any, `until` is exclusive."""

    log: str | None = None
    actor: str | None = None
    model: str | None = None
    version: str | None = None
    kind: str | None = None
    cell: str | None = None
    since: Count | None = None
    until: Count | None = None
