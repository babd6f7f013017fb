"""The operations on questions in SQL, and exports of what lists show."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from gimbal.axis.sql import exports
from gimbal.axis.sql.model import Format, SqlColumn, SqlQuery, SqlResult, SqlView
from gimbal.axis.sql.service import Sql
from gimbal.axis.sql.views import VIEWS
from gimbal.axis.traces.filters import narrow
from gimbal.axis.traces.score_filter import read_tests, with_scores
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.http import Download
from gimbal.kernel.operations import describe, operation

describe("sql", "Questions in SQL over a project's spans, calls, scores and more, read-only.")


@operation("GET", "/projects/{project}/sql/views", name="sql.views", allow=Permission.VIEW)
async def list_views(ctx: Context, project: str) -> list[SqlView]:
    """List the views that statements may name, with every column, its type and what it means."""
    return [
        SqlView(
            name=view.name,
            meaning=view.meaning,
            columns=[SqlColumn(name=one.name, type=one.type, meaning=one.meaning) for one in view.columns],
        )
        for view in VIEWS.values()
    ]


@operation("POST", "/projects/{project}/sql", name="sql.query", allow=Permission.VIEW, audited=True)
async def query_sql(ctx: Context, project: str, body: SqlQuery) -> SqlResult:
    """Answer one SELECT over the views with its first rows.

    Only this project's rows are there. A statement that takes too long, too much memory or too many rows is ended, and
    the error says which limit it was. The audit log keeps the statement.
    """
    ctx.audit(query=body.query)
    return await ctx.get(Sql).query(ctx, body.query, body.parameters, body.limit)


@operation("GET", "/projects/{project}/sql", name="sql.export", allow=Permission.VIEW, audited=True)
async def export_sql(
    ctx: Context,
    project: str,
    query: Annotated[str, "One SELECT over the views."],
    parameter: Annotated[
        list[str] | None, "Value for {name:Type} in it, as name=value; may be given several times."
    ] = None,
    format: Annotated[Format, "csv, jsonl, arrow (IPC stream) or parquet."] = "csv",  # noqa: A002 - the word for it
) -> Download:
    """Answer one SELECT over the views with all of its rows, as a file that streams.

    What breaks off half-way is no whole transfer to any HTTP client; leaving ends the statement.
    """
    return await ctx.get(Sql).export(ctx, query, _pairs(parameter or []), format)


def _pairs(given: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or name in found:
            raise BadInput(f"{one!r} gives no parameter.", where="parameter", todo="Write name=value, each name once.")
        found[name] = value
    return found


@operation("GET", "/projects/{project}/traces/export", name="traces.export", allow=Permission.VIEW, audited=True)
async def export_traces(
    ctx: Context,
    project: str,
    rows: Annotated[exports.Rows, "traces, or spans for every span of them."] = "traces",
    format: Annotated[Format, "csv, jsonl, arrow (IPC stream) or parquet."] = "jsonl",  # noqa: A002 - the word for it
    since: Annotated[datetime | None, "Started at or after this."] = None,
    until: Annotated[datetime | None, "Started before this; now when left out."] = None,
    status: Annotated[
        str | None, "Only traces that ended so: error when any span failed, else the root's status."
    ] = None,
    kind: Annotated[str | None, "Only roots of this kind: llm, chain, agent …"] = None,
    model: Annotated[str | None, "Only traces with a call of this model."] = None,
    feature: Annotated[str | None, "Only of this feature."] = None,
    user: Annotated[str | None, "Only of this end user."] = None,
    session: Annotated[str | None, "Only of this session."] = None,
    text: Annotated[str | None, "Only roots whose name contains this."] = None,
    provider: Annotated[str | None, "Only traces of this provider."] = None,
    endpoint: Annotated[str | None, "Only traces of this endpoint."] = None,
    key: Annotated[str | None, "Only traces of calls with the API key of this id."] = None,
    tag: Annotated[
        list[str] | None, "Only traces with this tag, team:search, or any of a key, team; may be repeated."
    ] = None,
    ref: Annotated[str | None, "Only traces that used this version."] = None,
    attribute: Annotated[
        list[str] | None, "Only traces with this attribute, as key:value; may be given several times."
    ] = None,
    search: Annotated[str | None, "Only traces with all of these words in input, output, documents or errors."] = None,
    unpriced: Annotated[str | None, "Only traces with a call that has no cost, for this reason or any."] = None,
    min_ms: Annotated[float | None, "Only traces that took at least so long."] = None,
    max_ms: Annotated[float | None, "Only traces that took at most so long."] = None,
    min_usd: Annotated[Decimal | None, "Only traces that are known to cost at least so much."] = None,
    max_usd: Annotated[Decimal | None, "Only traces that are known to cost at most so much."] = None,
    min_tokens: Annotated[int | None, "Only traces with at least so many tokens, in and out."] = None,
    max_tokens: Annotated[int | None, "Only traces with at most so many tokens, in and out."] = None,
    score: Annotated[
        list[str] | None, "Only traces with this score: helpful:<0.5, tone:rude; may be given several times."
    ] = None,
    scored_by: Annotated[str | None, "Only scores by human, judge, code or user; alone: any score by those."] = None,
) -> Download:
    """Export the traces that a list with the same filters shows, newest first, each once while others arrive.

    It streams at any length. When it breaks off, ask again with `until` at the start of the last row that came.
    """
    narrowed = narrow(
        since=since,
        until=until or ctx.now(),
        status=status,
        kind=kind,
        model=model,
        feature=feature,
        user=user,
        session=session,
        text=text,
        provider=provider,
        endpoint=endpoint,
        key=key,
        tag=tag,
        ref=ref,
        attribute=attribute,
        search=search,
        unpriced=unpriced,
        ms=(min_ms, max_ms),
        usd=(min_usd, max_usd),
        tokens=(min_tokens, max_tokens),
    )
    return await exports.traces(ctx, with_scores(ctx, narrowed, read_tests(score, scored_by)), rows, format)
