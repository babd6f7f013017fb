"""Sessions: the traces of one conversation, with what they come to together.

A trace belongs to the session that its head names, else to that of the first span that names one, as lists show it. The
list is ordered by the newest span that names the session; sums are of all that is stored of it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.traces.dimensions import Plan, plan
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.finding_model import SessionSummary
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.measures import LIMITED
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.pages import Page, check_limit, cursor_number, cursor_text, encode_cursor

MOST_SESSIONS = 200
_EVER_US = 2**63 - 1
_SUMMED = ("trace_id", "span_id", "parent_id", "is_root", "start_us", "end_us", "status", "weight", "billable", "input_tokens",
           "output_tokens", "cost", "unpriced", "session_id", "user_id", "name")  # fmt: skip
_OF_TRACE = "tuple(s.is_root = 0, s.parent_id != '', s.start_us)"
_SAYS = f"argMinIf(s.session_id, {_OF_TRACE}, s.session_id != '')"
_MEMBERS = "trace_id IN (SELECT trace_id FROM spans WHERE project = {project:String} AND session_id IN {sessions:Array(String)})"


async def page(
    ctx: Context, narrowed: TraceFilter, *, cursor: str | None = None, limit: int = 50
) -> Page[SessionSummary]:
    """Return sessions, the one that spoke last first; each is on one page only, whatever comes in. Raise BadInput."""
    if check_limit(limit) > MOST_SESSIONS:
        raise BadInput(f"{limit} sessions are too many.", where="limit", todo=f"Ask for at most {MOST_SESSIONS}.")
    # Sessions that speak again while somebody leafs through would come twice: a page tells of what was at the first.
    # No clock says what that is: senders' clocks may be ahead of ours.
    moment = cursor_number(cursor, "until") if cursor else _EVER_US
    upto = moment if narrowed.until_us is None else min(moment, narrowed.until_us)
    values: dict[str, Any] = {"project": ctx.project or "default", "until": upto, "most": limit + 1}
    conditions = ["project = {project:String}", "session_id != ''", "weight > 0", "start_us < {until:Int64}"]
    for name, sql, kind in (
        ("since_us", "start_us >= {}", "Int64"),
        ("session_id", "session_id = {}", "String"),
        ("text", "positionCaseInsensitiveUTF8(session_id, {}) > 0", "String"),
    ):
        if given := getattr(narrowed, name):
            conditions.append(sql.format(f"{{{name}:{kind}}}"))
            values[name] = given
    for name in ("user_id", "feature", "model"):
        if given := getattr(narrowed, name):
            # Any span of a trace may say so, also one that does not name the session.
            conditions.append(
                f"trace_id IN (SELECT trace_id FROM spans WHERE project = {{project:String}} AND {name} = {{{name}:String}})"
            )
            values[name] = given
    if narrowed.status:
        conditions.append(
            "trace_id IN (SELECT trace_id FROM spans WHERE project = {project:String} AND status = {status:String})"
        )
        values["status"] = narrowed.status
    behind = ""
    if cursor:
        behind = "HAVING (last, id) < ({at:Int64}, {id:String}) "
        values |= {"at": cursor_number(cursor, "at"), "id": cursor_text(cursor, "id")}
    rows = await ctx.get(Columns).query(
        f"SELECT session_id AS id, max(start_us) AS last FROM spans WHERE {' AND '.join(conditions)} "
        f"GROUP BY session_id {behind}ORDER BY last DESC, id DESC LIMIT {{most:UInt32}}{LIMITED}",
        values,
    )
    shown = [row["id"] for row in rows[:limit]]
    found = await summaries(ctx, shown)
    more = None
    if len(rows) > limit:
        until = moment if cursor else rows[0]["last"] + 1
        more = encode_cursor({"at": rows[limit - 1]["last"], "id": shown[-1], "until": until})
    return Page(items=[found[own] for own in shown if own in found], next=more)


async def summaries(ctx: Context, ids: Sequence[str]) -> dict[str, SessionSummary]:
    """Return what those sessions come to that there are."""
    if not ids:
        return {}
    reading, values = await _reading(ctx, ids)
    once = reading.once()
    rows = await ctx.get(Columns).query(
        f"{reading.head()} SELECT session AS id, argMaxIf(user, first, user != '') AS user_id, min(first) AS first_us, "
        "max(last) AS last_us, count() AS traces, countIf(errors > 0) AS failed, sum(paid) AS cost, sum(taken) AS "
        "input_tokens, sum(given) AS output_tokens, sum(unknown) AS unpriced FROM ("
        f"SELECT {_SAYS} AS session, argMinIf(s.user_id, {_OF_TRACE}, s.user_id != '') AS user, min(s.start_us) AS first, "
        "max(s.end_us) AS last, countIf(s.status = 'error') AS errors, "
        f"sumIf(s.cost, {once}) AS paid, sumIf(s.input_tokens, {once}) AS taken, sumIf(s.output_tokens, {once}) AS given, "
        f"countIf({once} AND s.unpriced != '') AS unknown "
        f"FROM ({reading.newest(', '.join(sorted(_SUMMED)), reading.within)}) AS s WHERE s.weight > 0 GROUP BY s.trace_id) "
        f"WHERE session IN {{sessions:Array(String)}} GROUP BY session{LIMITED}",
        values,
    )
    said = await ctx.get(Judgements).of_many(ctx, "session", ids) if ctx.services.has(Judgements) else {}
    found: dict[str, SessionSummary] = {}
    for row in rows:
        first, last = row.pop("first_us"), row.pop("last_us")
        cost: Decimal | None = row.pop("cost")
        found[row["id"]] = SessionSummary(
            **row,
            cost=None if cost is None else cost.normalize() + 0,
            first=from_us(first),
            last=from_us(last),
            scores=list(said.get(row["id"], ())),
        )
    return found


async def show(ctx: Context, session: str) -> SessionSummary:
    """Return what a session comes to; raise NotFound."""
    found = await summaries(ctx, [session]) if session else {}
    if session not in found:
        raise NotFound(
            f"There is no session {session[:200]!r}.", where="id", todo="It may be of another project, or not sent yet."
        )
    return found[session]


async def turns(ctx: Context, session: str, *, cursor: str | None = None, limit: int = 50) -> Page[TraceSummary]:
    """Return the traces of a session in the order in which they began."""
    check_limit(limit)
    reading, values = await _reading(ctx, [session])
    behind = ""
    if cursor:
        behind = "AND (first, id) > ({at:Int64}, {id:String}) "
        values |= {"at": cursor_number(cursor, "at"), "id": cursor_text(cursor, "id")}
    # The head's own start, as lists have it; with two heads that of the one without a parent.
    rows = await ctx.get(Columns).query(
        f"SELECT id, first FROM (SELECT s.trace_id AS id, {_SAYS} AS session, "
        "argMinIf(s.start_us, tuple(s.parent_id != '', s.start_us, s.span_id), s.is_root = 1) AS first "
        f"FROM ({reading.newest(', '.join(sorted(_SUMMED)), reading.within)}) AS s WHERE s.weight > 0 GROUP BY s.trace_id) "
        f"WHERE session IN {{sessions:Array(String)}} {behind}ORDER BY first, id LIMIT {{most:UInt32}}{LIMITED}",
        values | {"most": limit + 1},
    )
    shown = rows[:limit]
    found = await ctx.get(Traces).summaries(ctx, [row["id"] for row in shown])
    more = encode_cursor({"at": shown[-1]["first"], "id": shown[-1]["id"]}) if len(rows) > limit else None
    return Page(items=[found[row["id"]] for row in shown if row["id"] in found], next=more)


async def _reading(ctx: Context, ids: Sequence[str]) -> tuple[Plan, dict[str, Any]]:
    """Return how to read the spans of the traces that name one of the sessions."""
    project = ctx.project or "default"
    within = f"project = {{project:String}} AND {_MEMBERS}"
    found = msgspec.structs.replace(
        plan(project, (), TraceFilter(), roots=False), within=within, around=within, of_trace=frozenset()
    )
    values: dict[str, Any] = {"project": project, "sessions": list(ids)}
    state = (await ctx.get(Columns).query(found.state(), values))[0]
    return found.over(state), values
