"""What makes a sum over spans right: the newest version of each counts, and of several reports of a call one.

The statements here are parts of others. Each names the spans `s` and takes the parameters `project` and those of its
stretch of time.
"""

# A hash of the two ids is compared faster than the ids.
NEWEST = "ORDER BY written_us DESC LIMIT 1 BY sipHash128(trace_id, span_id)"
# What was paid for in vain is part of the cost.
WASTED = "s.billable = 1 AND s.status IN ('error', 'cancelled')"
IS_CALL = "s.billable = 1 AND (isNotNull(s.input_tokens) OR s.unpriced != '')"
# Of a call's reports the most complete counts, then the earliest, as `tree` has it.
_RANK = (
    "isNull(s.input_tokens) * 2 + s.estimated, -((s.input_tokens > 0) + (s.output_tokens > 0) + (s.cache_read_tokens > 0) "
    "+ (s.cache_write_tokens > 0) + (s.reasoning_tokens > 0) + length(s.usage_classes)), -s.start_us, s.span_id"
)
CALL = (
    "trace_id", "span_id", "parent_id", "billable", "input_tokens", "cost", "unpriced", "weight", "start_us", "response_id",
    "estimated", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_classes", "cached",
)  # fmt: skip
# Spans that a span in another request counts: such traces have several heads.
REPEATED = (
    "(s.trace_id, s.span_id) IN (SELECT * FROM wrappers) "
    "OR (s.trace_id, s.span_id) IN (SELECT trace_id, span_id FROM twins WHERE place > 1)"
)


def repeats(within: str, *, resent: bool = True) -> str:
    """Return the queries behind WITH that `REPEATED` needs: what only repeats a call one or two spans beneath it.

    Or one with the same answer; what came in the same request as the call was told apart when it was stored. `resent`
    where some came again: then what another counts may have come alone the second time.

    A wrapper three or more levels above its call that came in another request than all of what is beneath it counts until
    `settling` has marked it, some seconds later: each level more would read the spans once more for every level above it.
    """
    again = (
        f" UNION ALL SELECT any(s.trace_id) FROM spans AS s WHERE {within} AND (s.kind = 'llm' OR isNotNull(s.input_tokens)) "
        "GROUP BY sipHash64(s.trace_id, s.span_id) HAVING count() > 1"
    )
    return (
        f"parts AS (SELECT trace_id FROM spans WHERE {within} AND is_root = 1 AND parent_id != ''{again if resent else ''}), "
        f"spans_there AS (SELECT {', '.join(CALL)} "
        f"FROM spans WHERE {within} AND trace_id IN (SELECT trace_id FROM parts) {NEWEST}), "
        f"above AS (SELECT trace_id, parent_id FROM spans_there AS s WHERE {IS_CALL} AND parent_id != ''), "
        "further AS (SELECT trace_id, parent_id FROM spans_there WHERE parent_id != '' "
        "AND (trace_id, span_id) IN (SELECT * FROM above)), "
        "wrappers AS (SELECT * FROM above UNION ALL SELECT * FROM further), "
        f"twins AS (SELECT trace_id, span_id, row_number() OVER (PARTITION BY trace_id, response_id, cached ORDER BY {_RANK}) "
        f"AS place FROM spans_there AS s WHERE {IS_CALL} AND s.response_id != '' "
        "AND (trace_id, span_id) NOT IN (SELECT * FROM wrappers))"
    )
