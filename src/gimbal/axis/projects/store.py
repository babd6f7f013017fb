"""Tables of projects, members, keys and the audit chain, and the statements on them."""

import sqlalchemy as sa

from gimbal.engines.storage.catalog import Json, Utc, metadata
from gimbal.engines.storage.tables import append_only

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("archived", sa.Boolean, nullable=False, default=False),
)

members = sa.Table(
    "members",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("added_at", Utc, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
    sa.UniqueConstraint("project", "email"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=True),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    # No foreign key: a removed member's keys stay in the list, revoked.
    sa.Column("member_id", sa.Text, nullable=True, index=True),
    sa.Column("expires_at", Utc, nullable=True),
    sa.Column("revoked_at", Utc, nullable=True),
    sa.Column("last_used_at", Utc, nullable=True),
    # What model calls with it are for, where the caller does not say; null for keys that say nothing.
    sa.Column("attribution", Json, nullable=True),
)

audit = append_only(
    sa.Table(
        "audit",
        metadata,
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", Utc, nullable=False),
        sa.Column("project", sa.Text, nullable=True),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("details", Json, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Index("ix_audit_project_sequence", "project", "sequence"),
    )
)

# One row: where the chain ends. Appending locks it, so records are numbered in commit order on every engine, and a
# record cut off at the end is missed.
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
