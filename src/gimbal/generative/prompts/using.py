"""Who used which version of a prompt, and when, as the stored spans tell: a span names what it used in its references.

What a trace says once (its feature, its key, the prompt that a program filled itself) holds for the calls in it, and a call
counts once whichever spans report it, as in every sum over spans.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from gimbal.axis.assets.service import Assets
from gimbal.axis.traces import measures
from gimbal.axis.traces.dimensions import Plan, check_choice, plan
from gimbal.axis.traces.filters import TraceFilter
from gimbal.engines.storage.columns import Columns
from gimbal.generative.prompts.model.usage import PromptUsage, PromptUse
from gimbal.generative.prompts.service import as_prompt
from gimbal.kernel.clock import Clock, from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Latest, Ref

DAYS = 30
MOST = 1000
CALLERS = ("key", "feature", "service", "user")
_USUAL = ("key", "feature", "service")
# Column by caller; what a trace says once is asked of the trace.
_COLUMNS = {"key": "key_id", "feature": "feature", "service": "resource", "user": "user_id"}
_OF_TRACE = frozenset({"refs", "feature", "user_id", "key_id"})
_SAID = {
    "key": "toString(s.key_id)",
    "feature": "toString(s.feature)",
    "service": "JSONExtractString(s.resource, 'service.name')",
    "user": "toString(s.user_id)",
}
_VERSIONS = "arrayFilter(r -> r = {ref:String} OR startsWith(r, concat({ref:String}, '@')), s.refs)"
# The traces are found first, by time and by what stands in them: the rest is asked of those alone.
_IN_TRACES = (
    "trace_id IN (SELECT trace_id FROM spans WHERE project = {project:String} AND start_us >= {near_since:Int64} "
    "AND arrayExists(r -> r = {ref:String} OR startsWith(r, concat({ref:String}, '@')), refs))"
)


async def usage(
    ctx: Context, ref: Ref, *, since: datetime | None = None, by: Sequence[str] | None = None, limit: int = 50
) -> PromptUsage:
    """Return who used a prompt (or one version of it) since a moment, 30 days ago unless told, the latest use first.

    Raise BadInput, and DeadlineExceeded when it takes too long.
    """
    callers = tuple(dict.fromkeys(by or _USUAL))
    for name in callers:
        check_choice("by", name, CALLERS)
    if not 1 <= limit <= MOST:
        raise BadInput(f"There cannot be {limit} callers.", where="limit", todo=f"Ask for 1 to {MOST}.")
    begin = since or ctx.get(Clock).now() - timedelta(days=DAYS)
    columns = ctx.get(Columns)
    version = (await ctx.get(Assets).resolve(ctx, as_prompt(ref))).ref
    asked = version.asset if isinstance(ref.selector, Latest) else str(version)
    reading = _reading(ctx.project or "default", TraceFilter(ref=asked, since_us=to_us(begin)), callers)
    state = (await columns.query(reading.state(), reading.values))[0]
    reading, sums = reading.over(state), measures.sums(weighted=state["weighted"], cached=False, parts=False)
    keys = [f"k{place}" for place in range(len(callers) + 1)]
    table = await columns.arrow(
        f"{reading.head()} SELECT {', '.join(keys)}, {', '.join(one.at_once for one in sums)}, "
        f"uniqExactIf(s.user, s.user != '') AS users, min(s.start_us) AS first_us, max(s.start_us) AS last_us "
        f"FROM (SELECT *, k{len(keys)} AS user FROM ({reading.spans()})) AS s GROUP BY {', '.join(keys)} "
        f"ORDER BY last_us DESC, {', '.join(keys)} LIMIT {{most:UInt32}}{measures.LIMITED}",
        {**reading.values, "most": limit + 1},
    )
    groups = measures.groups(table, keys)
    more = {name: table.column(name).to_pylist() for name in ("users", "first_us", "last_us")}
    uses = [
        PromptUse(
            ref=group.group[0] or asked,
            **dict(zip(callers, group.group[1:], strict=True)),
            users=more["users"][place],
            traces=group.traces,
            calls=group.calls,
            errors=group.errors,
            cost=group.cost,
            unpriced=group.unpriced,
            first_at=from_us(more["first_us"][place]),
            last_at=from_us(more["last_us"][place]),
        )
        for place, group in enumerate(groups[:limit])
    ]
    return PromptUsage(since=begin, uses=uses, more=len(groups) > limit)


def _reading(project: str, narrowed: TraceFilter, callers: Sequence[str]) -> Plan:
    """Return how the spans are read: the version and the callers are their keys, the end user stands behind them."""
    whole = plan(project, (), narrowed, roots=False)
    named = frozenset(_COLUMNS[name] for name in (*callers, "user"))
    return msgspec.structs.replace(
        whole,
        keys=(f"toString(arrayJoin({_VERSIONS}))", *(_SAID[name] for name in callers), _SAID["user"]),
        reads=whole.reads | named,
        of_trace=whole.of_trace | (named & _OF_TRACE),
        within=f"{whole.within} AND {_IN_TRACES}",
        around=f"{whole.around} AND {_IN_TRACES}",
    )
