"""Catalog tables of retention: what is kept for how long, what was erased, and the proofs, which never change."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.retention.model import Erasure, ErasureCounts, Proof, Tombstone
from gimbal.axis.retention.rewriting import Before
from gimbal.engines.storage.catalog import Catalog, Json, Utc, metadata
from gimbal.engines.storage.tables import append_only, insert_missing
from gimbal.kernel.clock import to_us

policies = sa.Table(
    "retention_policies",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), primary_key=True),
    sa.Column("salt", sa.Text, nullable=False),
    sa.Column("keep", Json, nullable=False),
    sa.Column("hold", sa.Boolean, nullable=False),
    sa.Column("hold_reason", sa.Text, nullable=False),
    sa.Column("updated_at", Utc),
    sa.Column("updated_by", sa.Text, nullable=False),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False, index=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("user_hash", sa.Text, nullable=False),
    sa.Column("quoted_hash", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("sessions", sa.Boolean, nullable=False),
    sa.Column("keep_costs", sa.Boolean, nullable=False),
    sa.Column("counts", Json),
    # What an erasure that was cut off needs to go on; nothing once it is done.
    sa.Column("pending", Json),
    sa.Column("requested_at", Utc, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("done_at", Utc),
    sa.Column("job_id", sa.Text, nullable=False),
    sa.Column("proof_id", sa.Text, nullable=False),
)

proofs = append_only(
    sa.Table(
        "retention_proofs",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("at", Utc, nullable=False),
        sa.Column("document", Json, nullable=False),
        sa.Index("ix_retention_proofs_project_id", "project", "id"),
    )
)

NO_POLICY: dict[str, Any] = {"keep": {}, "hold": False, "hold_reason": "", "updated_at": None, "updated_by": ""}
"""Of a project for which nobody has set one: everything is kept."""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure under way must not lose."""

    secret: str
    """By which the anonymous rows of calls are named, so that writing them again writes the same."""
    digests: list[str]
    """Blobs that the erased spans referred to."""
    tables: dict[str, Before]
    """How the tables stood."""


async def policy_row(tx: AsyncConnection, project: str) -> Mapping[Any, Any]:
    """Return the policy of a project, which is made, keeping everything, where there is none."""
    query = sa.select(policies).where(policies.c.project == project)
    row = (await tx.execute(query)).mappings().first()
    if row is None:
        fresh: dict[str, Any] = {"project": project, "salt": secrets.token_hex(16), **NO_POLICY}
        await insert_missing(tx, policies, fresh)
        row = (await tx.execute(query)).mappings().one()
    return row


async def stones_of(catalog: Catalog, project: str | None = None) -> list[Tombstone]:
    """Return what stays of the erased users, oldest first; of all projects for None."""
    query = (
        sa.select(erasures, policies.c.salt)
        .join(policies, policies.c.project == erasures.c.project)
        .order_by(erasures.c.id)
    )
    if project is not None:
        query = query.where(erasures.c.project == project)
    async with catalog.read() as tx:
        return [
            Tombstone(
                erasure=row["id"],
                project=row["project"],
                salt=row["salt"],
                user_hash=row["user_hash"],
                quoted_hash=row["quoted_hash"],
                at_us=to_us(row["requested_at"]),
                sessions=row["sessions"],
                keep_costs=row["keep_costs"],
            )
            for row in (await tx.execute(query)).mappings()
        ]


def erasure_of(row: Mapping[Any, Any]) -> Erasure:
    """Return the record of a row."""
    names = {field.name for field in msgspec.structs.fields(Erasure)}
    values: dict[str, Any] = {str(k): v for k, v in row.items() if k in names}
    if values["counts"] is not None:
        values["counts"] = msgspec.convert(values["counts"], ErasureCounts)
    return Erasure(**values)


def proofs_of(rows: Sequence[Mapping[Any, Any]]) -> list[Proof]:
    """Return the proofs of rows."""
    return [msgspec.convert(row["document"], Proof) for row in rows]
