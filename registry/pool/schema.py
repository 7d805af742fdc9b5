"""Tables of the primary data. What changes here comes with a revision in `registry.pool.migrations`."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table

from registry.database import ExactText

metadata = MetaData()
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

submissions = Table(
    "submissions",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("version_id", ExactText, nullable=False, unique=True),
    Column("state", ExactText, nullable=False),
    Column("submitter", ExactText, nullable=False),
    Column("model", ExactText, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("reserved", ExactText, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("body", ExactText, nullable=False),
    Column("reason", ExactText),
    Column("promise", ExactText),
    Index("submissions_by_state", "state", "sequence"),
    Index("submissions_by_submitter", "submitter", "state"),
    Index("submissions_by_deadline", "state", "deadline"),
    # A number that came back after its row was deleted would be missed by whoever pages past it.
    sqlite_autoincrement=True,
)
uploads = Table(
    "uploads",
    metadata,
    Column("cid", ExactText, primary_key=True),
    Column("sha256", ExactText, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("caller", ExactText, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("named", BigInteger, nullable=False, default=0),
    Column("seal", ExactText),
    Index("uploads_by_caller", "caller", "named"),
    Index("uploads_by_age", "named", "received"),
)
nonces = Table(
    "nonces",
    metadata,
    Column("address", ExactText, primary_key=True),
    Column("nonce", ExactText, primary_key=True),
    Column("created", BigInteger, nullable=False, index=True),
    Column("seal", ExactText),
)
answers = Table(
    "answers",
    metadata,
    Column("actor", ExactText, primary_key=True),
    Column("route", ExactText, primary_key=True),
    Column("key", ExactText, primary_key=True),
    Column("body_sha256", ExactText, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", ExactText, nullable=False),
    Column("created", BigInteger, nullable=False, index=True),
    Column("seal", ExactText),
)
contributions = Table(
    "contributions",
    metadata,
    Column("task", BigInteger, primary_key=True),
    Column("round", BigInteger, primary_key=True),
    Column("device", ExactText, primary_key=True),
    Column("body", ExactText, nullable=False),
    Column("device_signature", ExactText, nullable=False),
    Column("aggregator_signature", ExactText),
    Column("received", BigInteger, nullable=False),
    Column("promise", ExactText),
)
measurements = Table(
    "measurements",
    metadata,
    Column("task", BigInteger, primary_key=True),
    Column("round", BigInteger, primary_key=True),
    Column("device", ExactText, primary_key=True),
    Column("validator", ExactText, primary_key=True),
    Column("body", ExactText, nullable=False),
    Column("signature", ExactText, nullable=False),
)
handovers = Table(
    "handovers",
    metadata,
    Column("task", BigInteger, primary_key=True),
    Column("round", BigInteger, primary_key=True),
    Column("device", ExactText, primary_key=True),
    Column("body", ExactText, nullable=False),
    Column("signature", ExactText, nullable=False),
)
