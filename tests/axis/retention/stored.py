"""What tests of retention store and look for."""

import secrets
from typing import Any

from tests.axis.traces import wire

from gimbal.axis.retention.model import EraseUser, Proof
from gimbal.axis.retention.service import Retaining
from gimbal.axis.scores.model import NewScore, ScoreSource, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.facts.model import Fact
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.axis.traces.ingest import ingest
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context

LONG = 300_000
"""Characters of a value that goes to the blobs."""


def canary() -> str:
    """Return a text that is nowhere else."""
    return f"canary-{secrets.token_hex(16)}"


async def chat(ctx: Context, said: str, *, user: str = "", session: str = "", **attributes: Any) -> str:
    """Store a trace of two spans, a root and a call within it that says something; return its id."""
    trace = secrets.token_hex(16)
    given = {
        "gen_ai.input.messages": f'[{{"role":"user","parts":[{{"type":"text","content":"{said}"}}]}}]',
        **attributes,
    }
    root: dict[str, Any] = {}
    if user:
        root["user.id"] = user
    if session:
        root["session.id"] = session
        given["session.id"] = session
    await ingest(ctx, wire.request(wire.span(trace, 1, attributes=root), wire.chat(trace, 2, 1, attributes=given)))
    return trace


async def judge(ctx: Context, kind: ScoreTarget, target: str, said: str, trace: str = "") -> None:
    """Store a score with an explanation."""
    new = NewScore(
        target_kind=kind, target_id=target, trace_id=trace, name="good", value=1.0, explanation=said,
        source=ScoreSource.HUMAN,
    )  # fmt: skip
    await ctx.get(Scores).record(ctx, [new])


async def tell(ctx: Context, trace: str, *facts: Fact) -> None:
    """Store what is said of a trace, whether there are spans of it or not."""
    await TraceFacts(ctx.get(Columns), ctx.get(Writer)).store(ctx, {trace: facts})


async def erase(ctx: Context, user: str, **more: Any) -> Proof:
    """Erase a user, as the job does."""
    retaining = ctx.get(Retaining)
    asked = await retaining.erase(ctx, EraseUser(user=user, reason="a request", **more))
    return await retaining.carry_out(ctx, asked.id, progress)


async def progress(done: int, total: int, message: str) -> None:
    """Tell nobody."""


async def count(ctx: Context, table: str, condition: str = "1", **values: Any) -> int:
    """Return how many stored rows of the project a condition fits."""
    rows = await ctx.get(Columns).query(
        f"SELECT count() AS n FROM {table} WHERE project = {{project:String}} AND ({condition})",
        {"project": ctx.project, **values},
    )
    return int(rows[0]["n"])


async def costs(ctx: Context) -> list[tuple[Any, ...]]:
    """Return calls, tokens and cost by model and hour, each call counted once."""
    rows = await ctx.get(Columns).query(
        "SELECT model, intDiv(start_us, 3600000000) AS hour, countIf(billable = 1 AND cost IS NOT NULL) AS calls, "
        "sumIf(input_tokens, billable = 1) AS tokens, sumIf(cost, billable = 1) AS spent FROM (SELECT * FROM spans "
        "WHERE project = {project:String} ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) "
        "GROUP BY model, hour HAVING calls > 0 ORDER BY model, hour",
        {"project": ctx.project},
    )
    return [tuple(row.values()) for row in rows]
