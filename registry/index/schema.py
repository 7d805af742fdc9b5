"""Tables of the projection. Every row names the block it came from, and no row is ever updated.

What is current is the newest row, so that undoing a reorganisation is one DELETE per table.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, PrimaryKeyConstraint, Table

from registry.database import ExactText

metadata = MetaData()


def _history(name: str, *columns: Column[object]) -> Table:
    return Table(
        name,
        metadata,
        Column("block", BigInteger, nullable=False),
        Column("log_index", Integer, nullable=False),
        *columns,
        PrimaryKeyConstraint("block", "log_index", name=f"{name}_pk"),
    )


def _text(name: str) -> Column[object]:
    return Column(name, ExactText, nullable=False)


def _number(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False)


blocks = Table(
    "blocks", metadata, Column("number", BigInteger, primary_key=True), _text("hash"), _number("time")
)
events = _history(
    "events",
    _text("tx_hash"),
    _number("tx_index"),
    _number("event_index"),
    _text("contract"),
    _text("name"),
    _text("args"),
)
namespaces = _history("namespaces", _number("namespace_id"), _text("name"))
memberships = _history("memberships", _text("address"), _number("namespace_id"), _number("roles"))
keys = _history("keys", _text("address"), _text("x25519"))
# Who was let read a private version, with the wrapped key; a row without one takes the grant back.
grants = _history(
    "grants",
    _text("version_id"),
    _text("reader"),
    _text("actor"),
    _number("key_version"),
    _text("wrapped_key"),
)
cells = _history("cells", _number("namespace_id"), _text("name"), _text("gateway"))
versions = _history(
    "versions",
    _text("version_id"),
    _number("number"),
    _number("namespace_id"),
    _text("name_hash"),
    _text("model_id"),
    _text("weights_root"),
    _text("manifest"),
    _text("parents"),
    _number("size"),
    _text("salt"),
    _text("submitter"),
    _number("fee_class"),
    _text("fee"),
    _text("tax"),
    _text("tx_hash"),
    _number("tx_index"),
    _number("event_index"),
)
parents = Table(
    "parents", metadata, _number("block"), _text("version_id"), _number("position"), _text("parent")
)
cancellations = _history("cancellations", _text("version_id"), _number("time"))
statuses = _history("statuses", _text("version_id"), _number("status"), _text("reason"), _text("actor"))
aliases = _history("aliases", _text("model_id"), _text("alias"), _text("version_id"), _text("actor"))
# What RewardPool said of a task or of a service (0 for an offer); `args` as in `events`.
task_events = _history(
    "task_events",
    _number("task"),
    _number("round"),
    _text("name"),
    _text("account"),
    _number("time"),
    _text("tx_hash"),
    _number("event_index"),
    _text("args"),
)
service_events = _history(
    "service_events", _number("service"), _text("name"), _text("account"), _text("args")
)

# The market: which open epoch an event fell into, how epochs were closed, and what each batch took.
market = _history("market", _number("epoch"))
closes = _history("closes", _number("first"), _number("last"), _number("idle"))
batches = _history(
    "batches",
    _text("miner"),
    _number("epoch"),
    _number("slot"),
    _number("accepted"),
    _number("bytes_h"),
    _number("bytes_l"),
)
# Escrow: every debit and credit with the balance after it; an item's fee and tax are two parts of one event.
entries = Table(
    "entries",
    metadata,
    _number("block"),
    Column("log_index", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    _text("account"),
    _text("reason"),
    _text("amount"),
    _text("balance"),
    Column("epoch", BigInteger),
    Column("subject", ExactText),
    PrimaryKeyConstraint("block", "log_index", "part", name="entries_pk"),
)

# Content-addressed: a row is true whatever the chain does, so a reorganisation leaves it alone.
# Numbered as they were read, so that the fields of one, and of the next, are on one page.
manifests = Table(
    "manifests",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("digest", ExactText, nullable=False, unique=True),
    _text("namespace"),
    _text("name"),
    _text("name_hash"),
    _text("body"),
)
# Each is in the one index that its kind of value can be found by.
fields = Table(
    "fields",
    metadata,
    _number("manifest"),
    _number("place"),
    _text("key"),
    Column("text", ExactText),
    Column("number", Float),
    PrimaryKeyConstraint("manifest", "place", name="fields_pk"),
)

Index("versions_by_id", versions.c.version_id, unique=True)
Index("versions_by_model", versions.c.model_id, versions.c.number)
Index("versions_by_submitter", versions.c.submitter)
Index("versions_by_manifest", versions.c.manifest)
Index("versions_by_weights", versions.c.weights_root)
Index("parents_by_child", parents.c.version_id)
Index("parents_by_parent", parents.c.parent)
Index("cancellations_by_version", cancellations.c.version_id)
Index("statuses_by_version", statuses.c.version_id)
Index("aliases_by_model", aliases.c.model_id, aliases.c.alias)
Index("aliases_by_version", aliases.c.version_id)
Index("task_events_by_task", task_events.c.task, task_events.c.name)
Index("task_events_by_account", task_events.c.account)
Index("service_events_by_service", service_events.c.service)
Index("memberships_by_address", memberships.c.address)
Index("keys_by_address", keys.c.address)
Index("grants_by_version", grants.c.version_id)
Index("cells_by_name", cells.c.namespace_id, cells.c.name)
Index("namespaces_by_name", namespaces.c.name)
_is_text, _is_number = fields.c.text.is_not(None), fields.c.number.is_not(None)
Index("fields_by_text", fields.c.key, fields.c.text, sqlite_where=_is_text, postgresql_where=_is_text)
Index("fields_by_number", fields.c.key, fields.c.number, sqlite_where=_is_number, postgresql_where=_is_number)
Index("manifests_by_name", manifests.c.namespace, manifests.c.name)
Index("events_by_name", events.c.contract, events.c.name)
Index("market_by_epoch", market.c.epoch, market.c.block, market.c.log_index)
Index("closes_by_epoch", closes.c.last)
Index("batches_by_epoch", batches.c.epoch)
Index("entries_by_account", entries.c.account, entries.c.block, entries.c.log_index, entries.c.part)

CHAIN_TABLES = (
    events,
    namespaces,
    memberships,
    keys,
    grants,
    cells,
    versions,
    parents,
    cancellations,
    statuses,
    aliases,
    task_events,
    service_events,
    market,
    batches,
    closes,
    entries,
)
