"""What is kept for how long, what was asked to be erased, and what proves that it was."""

from datetime import datetime
from typing import Any

import msgspec

JOB_ENFORCE, JOB_ERASE = "retention.enforce", "retention.erase"
SCHEDULE = "retention"


class SetRetention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the project keeps its data."""

    keep_days: dict[str, int | None] = {}
    """Days by data class; null keeps for ever. Classes that are left out stay as they are."""
    hold: bool | None = None
    """Whether a legal hold is on: then nothing is deleted, whatever the days say. Null leaves it as it is."""
    hold_reason: str | None = None
    """Why: shown wherever something is not deleted because of it."""


class ClassState(msgspec.Struct, frozen=True, kw_only=True):
    """One data class in the project."""

    name: str
    meaning: str
    keep_days: int | None
    """Null keeps for ever."""
    rows: int
    """Stored rows of its tables; older versions that the engine has not merged yet count."""
    bytes: int
    """Bytes of these rows before compression, about."""
    oldest: datetime | None
    """When its oldest row is from; null where there is none."""
    due: int
    """Rows that are past their term now: the next run takes them."""


class RetentionTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the project keeps."""

    hold: bool
    hold_reason: str
    classes: list[ClassState]
    next_run: datetime | None
    """When the daily job runs next; null where no class has a term."""
    updated_at: datetime | None
    updated_by: str


class EraseUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose data are to be erased."""

    user: str
    """The user id, exactly as spans have it. It is kept nowhere: only a salted hash is."""
    reason: str
    """Why, for the record; do not name the person here."""
    sessions: bool = False
    """Whether all traces of the sessions go, too, in which the user was named."""
    keep_costs: bool = True
    """Whether calls stay as anonymous rows: the hour, model, feature, tokens and cost, and nothing else."""
    dry_run: bool = False
    """Only count what would go."""


class ErasureCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to the user now."""

    traces: int
    other_users: int
    """Of these traces those that name other users, too: they go whole."""
    sessions: int
    session_traces: int
    """Other traces of the same sessions; they go only where `sessions` was asked for."""
    rows: dict[str, int]
    """Rows by table."""
    blobs: int
    """Payloads in the blobs that these spans refer to; those that something else refers to, too, stay."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure: how far it is and what it found."""

    id: str
    project: str
    status: str
    """`dry_run`, `queued`, `running` or `done`."""
    user_hash: str
    """Salted SHA-256 of the user id."""
    reason: str
    sessions: bool
    keep_costs: bool
    requested_at: datetime
    requested_by: str
    done_at: datetime | None = None
    job_id: str = ""
    proof_id: str = ""
    """The certificate, once it is done."""
    counts: ErasureCounts | None = None
    """What was found when it was asked for."""


class TableProof(msgspec.Struct, frozen=True, kw_only=True):
    """What a deletion did to one table."""

    table: str
    rows_before: int
    """Rows that the condition fitted before, all versions counted."""
    rows_after: int
    """Those that it fits afterwards: 0."""
    bytes_before: int
    """Bytes on disk of the table's parts, those of all projects."""
    bytes_after: int
    parts: list[str]
    """Parts that were rewritten without the rows; the old ones bear the same names up to the last number."""
    invisible_at: datetime | None
    """Since when no query finds any of it; null where there was nothing to do."""
    gone_at: datetime | None
    """Since when none of the old parts is on the disk; null while one is, which `verify` tells."""


class BlobProof(msgspec.Struct, frozen=True, kw_only=True):
    """Which blobs went."""

    deleted: int = 0
    bytes: int = 0
    kept: int = 0
    """Those that something else refers to, or that may belong to an upload in flight."""
    digests_hash: str = ""
    """SHA-256 over the sorted digests of those deleted, a line each: proof of which they were without naming them."""


class BackupProof(msgspec.Struct, frozen=True, kw_only=True):
    """One backup from which the erased was taken out."""

    path: str
    rows: dict[str, int]
    """Rows taken out, by table."""
    blobs: int
    manifest_hash: str
    """SHA-256 of the new manifest."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One deletion: written once, never changed, and chained into the audit log by its hash."""

    id: str
    project: str
    kind: str
    """`expiry`, `erasure` (the certificate of one), `again` (late data of an erasure), `backup`, or `traces` that were
    deleted one by one."""
    subject: str
    """The data class, the id of the erasure, or how many traces."""
    at: datetime
    upto: datetime | None = None
    """Of an expiry: everything of before this moment went."""
    user_hash: str = ""
    reason: str = ""
    tables: list[TableProof] = []
    blobs: BlobProof = BlobProof()
    backups: list[BackupProof] = []
    notes: list[str] = []
    """What a reader has to know, such as backups that were not reached."""
    hash: str = ""
    """SHA-256 over all of the above; the audit record of it has the same."""


class ProofCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a second look at a proof found."""

    id: str
    holds: bool
    at: datetime
    findings: list[str]
    """What does not hold; empty when all does."""
    rows: dict[str, int]
    """Rows that the condition of the proof fits now, by table."""
    parts_left: list[str]
    """Old parts that are still on the disk."""


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one run deleted."""

    held: bool
    """Whether a legal hold kept it from deleting anything."""
    rows: dict[str, int]
    """Rows by data class."""
    blobs: int
    proofs: list[str]


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """What stays of a user whose data were erased: enough to know them again, and nothing to know them by."""

    erasure: str
    project: str
    salt: str
    user_hash: str
    quoted_hash: str
    """Of the id as a JSON text, which some senders write."""
    at_us: int
    """Data of before this moment are erased; what the user does later is new."""
    sessions: bool = False
    keep_costs: bool = True
    marks: list[str] = []
    """Salted hashes of its traces and sessions, where they are not in the columns."""


def plain(value: Any) -> Any:
    """Return a Struct as plain values that JSON has."""
    return msgspec.to_builtins(value)
