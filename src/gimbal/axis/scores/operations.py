"""The operations on scores."""

from typing import Annotated

from gimbal.axis.scores.model import RecordScores, Score, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("scores", "Judgements by code, judges, people and users.")


@operation("POST", "/projects/{project}/scores", name="scores.record", allow=Permission.DEVELOP)
async def record_scores(ctx: Context, project: str, body: RecordScores) -> list[Score]:
    """Record judgements of spans, traces, sessions, examples, runs or predictions."""
    return await ctx.get(Scores).record(ctx, body.scores)


@operation("GET", "/projects/{project}/scores", name="scores.list", allow=Permission.VIEW)
async def list_scores(
    ctx: Context,
    project: str,
    target_kind: Annotated[ScoreTarget | None, "Only judgements of this kind of thing."] = None,
    target_id: Annotated[str | None, "Only judgements of this one."] = None,
    name: Annotated[str | None, "Only this score."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Score]:
    """List scores, newest first."""
    return await ctx.get(Scores).page(
        ctx, target_kind=target_kind, target_id=target_id, name=name, cursor=cursor, limit=limit
    )
