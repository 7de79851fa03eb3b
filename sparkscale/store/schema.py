"""The tables of a record store."""

import sqlalchemy as sa

FORMAT = 2
"""The number of the present format.

It increases with each change after which older stores need a migration: see `migrations`.
"""

metadata = sa.MetaData()

invocations = sa.Table(
    "invocations",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("suite", sa.String, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)

records = sa.Table(
    "records",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("invocation", sa.ForeignKey("invocations.id"), nullable=False, index=True),
    sa.Column("case_id", sa.String, nullable=False, index=True),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("sha256", sa.String, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

tables = sa.Table(
    "tables",
    metadata,
    sa.Column("record", sa.ForeignKey("records.id"), primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("sha256", sa.ForeignKey("blobs.sha256"), nullable=False),
)

descriptions = sa.Table(
    "descriptions",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
)
