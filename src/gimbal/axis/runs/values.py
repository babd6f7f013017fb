"""What is logged: metric points as a batch; parameters (never change) and tags (may) within an open transaction."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.model import LogRun, MetricColumns
from gimbal.axis.runs.points.model import PointBatch
from gimbal.axis.runs.store import run_params, run_tags, runs
from gimbal.kernel.clock import to_us
from gimbal.kernel.errors import BadInput, Conflict, TooLarge

_COUNT = ""
"""Beside parameters how many there are: none has an empty name."""
_OF_RUN = run_params.c.run_key == sa.bindparam("of_run")
_LOCKED = sa.select(runs.c.key).where(runs.c.key == sa.bindparam("of_run")).with_for_update()
# Made once: to put a statement together takes longer than SQLite needs for its answer.
_KNOWN = sa.union_all(
    sa.select(run_params.c.name, run_params.c.value).where(
        _OF_RUN, run_params.c.name.in_(sa.bindparam("names", expanding=True))
    ),
    sa.select(sa.literal(_COUNT), sa.cast(sa.func.count(), sa.Text)).select_from(run_params).where(_OF_RUN),
)


def batch_of(body: LogRun, now_us: int) -> PointBatch:
    """Return the metric points of a request; raise BadInput for columns that do not fit together."""
    rows, columns = body.metrics, body.columns
    names = [one.name for one in rows]
    steps = [one.step for one in rows]
    times = [now_us if one.at is None else to_us(one.at) for one in rows]
    values = [float(one.value) for one in rows]
    if columns is not None:
        names += _names(columns)
        steps += columns.steps
        times += columns.times
        values += map(float, columns.values)
    return PointBatch(names=names, steps=steps, at_us=times, values=values)


def _names(columns: MetricColumns) -> list[str]:
    points = len(columns.index)
    for where in ("steps", "times", "values"):
        if (length := len(getattr(columns, where))) != points:
            raise BadInput(
                f"{where} has {length} entries and index {points}.",
                where=f"columns.{where}",
                kept="nothing of this request",
                todo="Give each point one entry in every column.",
            )
    if points and max(columns.index) >= len(columns.names):
        raise BadInput(
            f"index names place {max(columns.index)}, and there are {len(columns.names)} names.",
            where="columns.index",
            kept="nothing of this request",
            todo="Count places in names from 0.",
        )
    return [columns.names[place] for place in columns.index]


async def put_params(tx: AsyncConnection, key: int, params: Mapping[str, Any], *, most: int) -> None:
    """Add parameters; one that is there with another value raises Conflict, and nothing is added."""
    if not params:
        return
    if tx.dialect.name == "postgresql":
        # The run's row is the lock: two requests that log for one run come one after the other, as all do in SQLite.
        await tx.execute(_LOCKED, {"of_run": key})
    found = await tx.execute(_KNOWN, {"of_run": key, "names": list(params)})
    known: dict[str, str] = {row.name: row.value for row in found}
    total = int(known.pop(_COUNT)) + len(params) - len(known)
    if total > most:
        raise TooLarge(
            f"The run would have {total} parameters; {most} is the most.",
            where="params",
            kept="nothing of this request",
            todo="Store long lists as an artifact, or raise limits.params_per_run.",
        )
    texts = {name: msgspec.json.encode(value).decode() for name, value in params.items()}
    for name, text in texts.items():
        if known.get(name, text) != text:
            raise Conflict(
                f"The parameter {name!r} is {known[name]} already and cannot become {text}.",
                where=f"params.{name}",
                kept="nothing of this request",
                todo="Use another name, or a tag: tags may change.",
            )
    rows = [{"run_key": key, "name": name, "value": text} for name, text in texts.items() if name not in known]
    if rows:
        await tx.execute(run_params.insert(), rows)


async def put_tags(tx: AsyncConnection, key: int, tags: Mapping[str, str]) -> None:
    """Set tags; the last value stays."""
    if not tags:
        return
    # In one order, so that two who set the same tags wait for each other instead of one of them failing.
    rows = [{"run_key": key, "name": name, "value": tags[name]} for name in sorted(tags)]
    await tx.execute(_setting_tags(tx.dialect.name), rows)


@functools.cache
def _setting_tags(dialect: str) -> sa.Insert:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(run_tags)
    return statement.on_conflict_do_update(
        index_elements=[run_tags.c.run_key, run_tags.c.name], set_={"value": statement.excluded.value}
    )


async def remove_tags(tx: AsyncConnection, key: int, names: Sequence[str]) -> int:
    """Take tags away; return how many there were."""
    if not names:
        return 0
    mine = (run_tags.c.run_key == key, run_tags.c.name.in_(list(names)))
    return (await tx.execute(run_tags.delete().where(*mine))).rowcount
