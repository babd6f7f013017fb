"""Tables of studies in the catalog. A trial is a row here and a run: parameters, tags and metrics are that one's, too.

Attributes are kept as the JSON texts that they came as: Optuna's may hold NaN and Infinity, which are no JSON.
"""

import sqlalchemy as sa

from gimbal.axis.runs.store import Key
from gimbal.engines.storage.catalog import Json, Utc, metadata

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("key", Key, primary_key=True, autoincrement=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.slug"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("experiment_key", Key, sa.ForeignKey("experiments.key"), nullable=False),
    sa.Column("directions", Json, nullable=False),
    # How many trials there are, from which the next one has its number, and how often any of them changed.
    # Whoever changes a trial changes this row first: revisions are committed in their order.
    sa.Column("trials", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
    sa.UniqueConstraint("project", "name"),
    # Numbers of deleted studies are not given again.
    sqlite_autoincrement=True,
)

study_attrs = sa.Table(
    "study_attrs",
    metadata,
    sa.Column("study_key", Key, sa.ForeignKey("studies.key"), primary_key=True, autoincrement=False),
    # `user` or `system`.
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

study_params = sa.Table(
    "study_params",
    metadata,
    # What each parameter was drawn from first.
    sa.Column("study_key", Key, sa.ForeignKey("studies.key"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("distribution", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("key", Key, primary_key=True, autoincrement=True),
    sa.Column("study_key", Key, sa.ForeignKey("studies.key"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("run_key", Key, sa.ForeignKey("runs.key"), nullable=False, unique=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("values", Json, nullable=True),
    sa.Column("params", Json, nullable=False),
    sa.Column("user_attrs", Json, nullable=False),
    sa.Column("system_attrs", Json, nullable=False),
    # Who began or claimed it, so that a repeated claim is the same one.
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("started_at", Utc, nullable=True),
    sa.Column("ended_at", Utc, nullable=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("study_key", "number"),
    sa.Index("ix_trials_study_key_revision", "study_key", "revision"),
    sqlite_autoincrement=True,
)

trial_reports = sa.Table(
    "trial_reports",
    metadata,
    sa.Column("trial_key", Key, sa.ForeignKey("trials.key"), primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    # Null where it is no number (NaN): SQLite knows none.
    sa.Column("value", sa.Double, nullable=True),
    sqlite_with_rowid=False,
)
