"""What a trial changes of its run and its study, within an open transaction."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.model import MAX_NAME, MAX_TAG_BYTES
from gimbal.axis.runs.model import check_values as check_logged
from gimbal.axis.runs.store import run_params, runs
from gimbal.axis.runs.studies.model import ENDED, Attrs, CreateTrial, Report, UpdateTrial
from gimbal.axis.runs.studies.store import studies, trial_reports
from gimbal.axis.runs.values import put_params, put_tags
from gimbal.kernel.context import Context
from gimbal.kernel.errors import NotFound
from gimbal.kernel.settings import Settings

STATUSES = {
    "waiting": "scheduled",
    "running": "running",
    "complete": "finished",
    # It was stopped on purpose, and what it measured stands.
    "pruned": "finished",
    "fail": "failed",
}
"""The status of a run by the state of its trial."""


async def next_revision(ctx: Context, tx: AsyncConnection, study: int, *, trials: int = 0) -> int:
    """Count a change of a study, and so many new trials; hold its row until the transaction ends."""
    values = {
        "revision": studies.c.revision + 1, "trials": studies.c.trials + trials, "updated_at": ctx.now(),
    }  # fmt: skip
    counted = studies.update().where(studies.c.key == study).values(values).returning(studies.c.revision)
    revision = (await tx.execute(counted)).scalar_one_or_none()
    if revision is None:
        raise NotFound("The study was deleted.", where="study", kept="nothing of this request", todo="Create it again.")
    return int(revision)


async def insert_run(
    ctx: Context,
    tx: AsyncConnection,
    study: Mapping[str, Any],
    number: int,
    run_id: str,
    body: CreateTrial,
    *,
    started: datetime | None,
    ended: datetime | None,
) -> int:
    """Insert the run of a trial; return its key."""
    now = ctx.now()
    values = {
        "id": run_id,
        "project": study["project"],
        "experiment_key": study["experiment_key"],
        "name": f"{study['name'][: MAX_NAME - 20]} {number}".strip(),
        "status": STATUSES[body.state],
        "stage": "active",
        "user": ctx.principal.name,
        "started_at": started or now,
        "ended_at": ended,
        "updated_at": now,
        "parent_id": None,
        "group": study["name"],
        "created_by": ctx.principal.name,
        "error": "",
        "note": "",
        "beat_at": now if body.beat_s else None,
        "beat_s": body.beat_s,
    }
    key = int((await tx.execute(runs.insert().values(values).returning(runs.c.key))).scalar_one())
    await put_tags(tx, key, {"study": study["name"], "trial": str(number), "trial.state": body.state})
    return key


async def turn_run(
    ctx: Context, tx: AsyncConnection, row: Mapping[str, Any], body: UpdateTrial, times: Mapping[str, Any]
) -> None:
    """Let the run of a trial have the status that the trial's new state means."""
    state = body.state or ""
    values: dict[str, Any] = {"status": STATUSES[state], "updated_at": ctx.now(), "error": body.error}
    if state in ENDED:
        values["ended_at"] = times["ended_at"]
    elif state == "running":
        values |= {"started_at": times["started_at"], "beat_at": ctx.now()}
        if body.beat_s is not None:
            values["beat_s"] = body.beat_s
    await tx.execute(runs.update().where(runs.c.key == row["run_key"]).values(values))
    await put_tags(tx, row["run_key"], {"trial.state": state})


async def put_run_params(ctx: Context, tx: AsyncConnection, row: Mapping[str, Any], params: dict[str, Any]) -> None:
    """Set parameters of the run; one that a trial sets again has its new value."""
    most = ctx.get(Settings).limits.params_per_run
    check_logged(params, {}, most_params=most)
    again = [name for name in params if name in row["params"]]
    if again:
        mine = (run_params.c.run_key == row["run_key"], run_params.c.name.in_(again))
        await tx.execute(run_params.delete().where(*mine))
    await put_params(tx, row["run_key"], params, most=most)


async def tag_run(tx: AsyncConnection, run_key: int, attrs: Attrs) -> None:
    """Show attributes as tags of the run: texts without their quotes."""
    await put_tags(tx, run_key, {name: _plain(text)[:MAX_TAG_BYTES] for name, text in attrs.items()})


def _plain(text: str) -> str:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value.replace("\0", "�") if isinstance(value, str) else text


async def put_reports(tx: AsyncConnection, trial: int, reports: Sequence[Report]) -> None:
    """Keep intermediate values; the last of a step stays."""
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    by_step = {one.step: float(one.value) for one in reports}
    rows = [
        # NaN is what is not itself.
        {"trial_key": trial, "step": step, "value": value if value == value else None}  # noqa: PLR0124
        for step, value in by_step.items()
    ]
    statement = insert(trial_reports).values(rows)
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=[trial_reports.c.trial_key, trial_reports.c.step], set_={"value": statement.excluded.value}
        )
    )
