"""The projection of the chain in SQL: every table can be deleted and is rebuilt the same."""

from registry.index.projection import Projection
from registry.index.queries import Index
from registry.index.records import (
    BlockMark,
    CellRow,
    GrantChange,
    Line,
    MemberRow,
    ModelRow,
    Readable,
    SealRow,
    VersionRow,
)
from registry.index.search import Search, SearchPage

__all__ = [
    "BlockMark",
    "CellRow",
    "GrantChange",
    "Index",
    "Line",
    "MemberRow",
    "ModelRow",
    "Projection",
    "Readable",
    "SealRow",
    "Search",
    "SearchPage",
    "VersionRow",
]
