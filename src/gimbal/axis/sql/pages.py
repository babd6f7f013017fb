"""The console's page of questions in SQL. The address holds the statement, so that a question can be shared."""

import re
from typing import Any

from gimbal.axis.sql.model import SqlQuery, SqlResult
from gimbal.axis.sql.views import VIEWS
from gimbal.engines.console.pages import PageRequest, View, page, with_query
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.operations import PREFIX, find, invoke

_ROWS = 100
_MOST_PAGES = 50
_LONGEST = 6_000
_PLACE = re.compile(r"line (\d+), column (\d+)")
EXAMPLES: dict[str, str] = {
    "Cost by model, last 7 days": (
        "SELECT model, count() AS calls, sum(cost) AS usd, countIf(unpriced != '') AS unpriced\nFROM calls\n"
        "WHERE start_time >= now() - INTERVAL 7 DAY\nGROUP BY model\nORDER BY usd DESC"
    ),
    "p95 latency by hour, last day": (
        "SELECT toStartOfHour(start_time) AS hour, count() AS calls, quantile(0.95)(duration_ms) AS p95_ms\nFROM calls\n"
        "WHERE start_time >= now() - INTERVAL 1 DAY\nGROUP BY hour\nORDER BY hour"
    ),
    "Users whose traces fail most": (
        "SELECT user_id, count() AS traces, countIf(status = 'error') AS failed\nFROM traces\n"
        "WHERE start_time >= now() - INTERVAL 7 DAY AND user_id != ''\nGROUP BY user_id\nHAVING failed > 0\n"
        "ORDER BY failed DESC\nLIMIT 20"
    ),
    "Badly judged answers with what was asked": (
        "SELECT s.name AS score, s.value AS value, t.name AS trace, t.trace_id AS trace_id\nFROM scores AS s\n"
        "INNER JOIN traces AS t ON t.trace_id = s.target_id\nWHERE s.target_kind = 'trace' AND s.value < 0.5\n"
        "ORDER BY value\nLIMIT 50"
    ),
    "Dearest sessions": "SELECT session_id, traces, calls, cost\nFROM sessions\nORDER BY cost DESC NULLS LAST\nLIMIT 20",
}


@page("/sql", title="SQL", nav="SQL", order=79, icon="search")
async def sql_page(ctx: Context, request: PageRequest) -> View:
    """Show the editor, the views, and the answer to the statement in the address."""
    text = request.query.get("q", "").strip()
    first = min(max(request.number("page", 1), 1), _MOST_PAGES)
    answer: SqlResult | None = None
    problem: GimbalError | None = None
    if text:
        body = SqlQuery(query=text, limit=first * _ROWS)
        try:
            answer = await invoke(find("sql.query"), ctx, {"project": request.project, "body": body})
        except GimbalError as error:
            problem = error
    data: dict[str, Any] = {
        "text": text,
        "answer": answer,
        "rows": answer.rows[(first - 1) * _ROWS :] if answer else [],
        "numbers": {place for place, one in enumerate(answer.columns) if _is_number(one.type)} if answer else set(),
        "page": first,
        "before": (first - 1) * _ROWS,
        "more": answer is not None and answer.truncated and first < _MOST_PAGES,
        "problem": problem,
        "spot": _spot(text, problem.where) if problem else "",
        "examples": EXAMPLES,
        "views": VIEWS.values(),
        "downloads": _downloads(request.project, text) if answer and len(text) < _LONGEST else {},
    }
    return View("sql/ask.html", data)


def _is_number(kind: str) -> bool:
    return kind.removeprefix("Nullable(").startswith(("Int", "UInt", "Float", "Decimal"))


def _downloads(project: str, text: str) -> dict[str, str]:
    base = f"{PREFIX}/projects/{project}/sql"
    return {
        label: with_query(base, {"query": text, "format": format_})
        for label, format_ in (("CSV", "csv"), ("JSON lines", "jsonl"), ("Arrow", "arrow"), ("Parquet", "parquet"))
    }


def _spot(text: str, where: str) -> str:
    """Return the line that an error is about, with a mark beneath the place; empty where it has none."""
    found = _PLACE.match(where)
    lines = text.splitlines()
    if found is None or not 0 < int(found[1]) <= len(lines):
        return ""
    column = max(min(int(found[2]), len(lines[int(found[1]) - 1]) + 1), 1)
    return f"{lines[int(found[1]) - 1]}\n{' ' * (column - 1)}^"
