"""Finding traces by facts, roots and spans: one statement, made of the clauses that are asked for.

A trace is there when a span of it is, or when somebody said that it began. What its sender says of all of it counts before
what its root says.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from gimbal.axis.traces.facts.grammar import ATTRIBUTES, Among
from gimbal.axis.traces.facts.model import EXPERIMENT, METADATA, NAME, PROMPT, RUN, SESSION, SOURCE_RUN, TAG, USER
from gimbal.axis.traces.measures import LIMITED
from gimbal.engines.storage.keyset import Term
from gimbal.kernel.filters import Clause, Ordering

_ID = "trace_id"
"""The key of a clause with our ids of traces."""
_COLUMNS = {
    "timestamp_ms": "start_ms",
    "execution_time_ms": "duration_ms",
    "end_time_ms": "start_ms + ifNull(duration_ms, 0)",
    "status": "state",
    "request_id": "concat('tr-', trace_id)",
    "client_request_id": "client_id",
    "name": "name",
}
# One that goes on stands before all that ended.
_SORTED = _COLUMNS | {
    "execution_time_ms": "ifNull(duration_ms, -1)", "run_id": "run_id", "experiment_id": "experiment",
}  # fmt: skip
_WHOLE_NUMBERS = frozenset({"timestamp_ms", "execution_time_ms", "end_time_ms", "experiment_id"})
KINDS = {
    "llm": "LLM", "chain": "CHAIN", "agent": "AGENT", "tool": "TOOL", "retriever": "RETRIEVER", "reranker": "RERANKER",
    "embedding": "EMBEDDING", "guard": "GUARDRAIL", "evaluator": "EVALUATOR",
}  # fmt: skip
"""MLflow's types of spans by our kinds."""
_HERE = "project = {project:String}"
_FAR = 1e18
"""Milliseconds before and after all times."""
_ABSENT = {"IS NULL": "NOT IN", "IS NOT NULL": "IN"}
_FACTS = f"SELECT trace_id FROM trace_facts FINAL WHERE {_HERE} AND gone = 0 AND "
_WHOLE = f"SELECT DISTINCT trace_id FROM trace_facts WHERE {_HERE} AND name = '{EXPERIMENT}' AND value IN {{of:Array(String)}}"
# A root as its trace's head stands before the heads of parts that came by themselves.
_HEADS = (
    "SELECT s.trace_id AS trace_id, argMin(tuple(s.parent_id, s.remote_parent, s.name, s.status, s.start_us, s.end_us), "
    "tuple(s.parent_id != '', s.start_us, s.span_id)) AS head, max(s.session_id) AS session_id, max(s.user_id) AS user_id "
    "FROM (SELECT trace_id, span_id, parent_id, remote_parent, name, status, start_us, end_us, session_id, user_id, weight "
    f"FROM spans WHERE {_HERE} AND is_root = 1 AND {{among}} ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) AS s "
    "WHERE s.weight > 0 GROUP BY s.trace_id"
)


def _fact(kind: str, name: str) -> str:
    return f"anyIf(x.value, x.kind = '{kind}' AND x.name = '{name}')"


_SAID = (
    f"SELECT x.trace_id AS trace_id, {_fact('info', EXPERIMENT)} AS said, {_fact('spans', EXPERIMENT)} AS sent, "
    f"{_fact('info', 'start_ms')} AS start_ms, {_fact('info', 'duration_ms')} AS duration_ms, "
    f"{_fact('info', 'state')} AS state, {_fact('info', 'client_request_id')} AS client_id, "
    f"{_fact('tag', NAME)} AS name, {_fact('metadata', SOURCE_RUN)} AS run_id, "
    f"{_fact('metadata', SESSION)} AS session_id, {_fact('metadata', USER)} AS user_id "
    f"FROM (SELECT trace_id, kind, name, value FROM trace_facts FINAL WHERE {_HERE} AND gone = 0 AND {{among}}) AS x "
    "GROUP BY x.trace_id"
)
_ONGOING = "IN_PROGRESS"
_TRACES = (
    "SELECT if(h.trace_id != '', h.trace_id, f.trace_id) AS trace_id, h.trace_id != '' AS has_spans, "
    "toInt64OrZero(if(f.said != '', f.said, f.sent)) AS experiment, "
    "if(f.start_ms != '', toInt64OrZero(f.start_ms), intDiv(h.head.5, 1000)) AS start_ms, "
    f"multiIf(f.state NOT IN ('', '{_ONGOING}'), f.state, h.trace_id = '' OR (h.head.1 != '' AND h.head.2 = 0), "
    f"'{_ONGOING}', h.head.4 IN ('error', 'cancelled'), 'ERROR', 'OK') AS state, "
    "multiIf(f.duration_ms != '', toInt64OrNull(f.duration_ms), state = 'IN_PROGRESS' OR h.trace_id = '', NULL, "
    "intDiv(h.head.6, 1000) - intDiv(h.head.5, 1000)) AS duration_ms, "
    "if(f.name != '', f.name, h.head.3) AS name, f.client_id AS client_id, f.run_id AS run_id, "
    "if(h.session_id != '', h.session_id, f.session_id) AS session_id, "
    "if(h.user_id != '', h.user_id, f.user_id) AS user_id, f.said != '' AS begun "
    "FROM ({heads}) AS h FULL OUTER JOIN ({said}) AS f ON h.trace_id = f.trace_id"
)
# What sampling left out is not there, whatever was said of it.
_THERE = (
    f"(has_spans OR (begun AND trace_id NOT IN (SELECT trace_id FROM trace_verdicts WHERE {_HERE} AND weight = 0)))"
)
_SPANS = (
    "SELECT trace_id FROM (SELECT trace_id, span_id, name, kind, status, input, output, attributes, events, weight FROM spans "
    f"WHERE {_HERE} AND {{among}} ORDER BY written_us DESC LIMIT 1 BY trace_id, span_id) WHERE weight > 0 AND "
)
_TYPE = (
    "if(JSONHas(attributes, 'mlflow.spanType'), trimBoth(JSONExtractString(attributes, 'mlflow.spanType'), '\"'), "
    f"transform(kind, {list(KINDS)}, {list(KINDS.values())}, 'UNKNOWN'))"
)
_OF_SPAN = {
    "name": "name",
    "type": _TYPE,
    "status": "multiIf(status = 'ok', 'OK', status IN ('error', 'cancelled'), 'ERROR', 'UNSET')",
    "content": "concat(name, '\\n', input, '\\n', output, '\\n', attributes, '\\n', events)",
}


class TraceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces, in which order, and which page of them."""

    experiments: Sequence[int] | None = None
    """Their numbers, 0 for traces of which nobody said one; None for all."""
    clauses: Sequence[Clause] = ()
    among: Sequence[Among] = ()
    orders: Sequence[Ordering] = ()
    """The newest first when nothing is said."""
    limit: int = 100
    after: Sequence[int | float | str | None] = ()
    """The values of `terms` at which the page before ended."""


class Condition(NamedTuple):
    """A part of a statement and its parameters."""

    sql: str
    values: dict[str, Any]


def rows_of(trace_ids: Sequence[str]) -> TraceQuery:
    """Return the question for some traces."""
    clause = Clause(key=_ID, op="IN", value=tuple(trace_ids))
    return TraceQuery(clauses=(clause,), limit=len(trace_ids))


def terms(query: TraceQuery) -> list[Term]:
    """Return the columns of an order, those among them that tell traces apart."""
    found = [Term(_SORTED[one.key], one.ascending, int if one.key in _WHOLE_NUMBERS else str) for one in query.orders]
    if not any(one.key == "timestamp_ms" for one in query.orders):
        found.append(Term("start_ms", ascending=False))
    return [*found, Term("trace_id", ascending=True, kind=str)]


def statement(project: str, query: TraceQuery) -> tuple[str, dict[str, Any]]:
    """Return the statement of a question and its parameters; its rows have the values of `terms` as `place`."""
    values: dict[str, Any] = {"project": project, "limit": query.limit}
    within, where = ["1"], [_THERE]
    if query.experiments is not None:
        where.append("experiment IN {experiments:Array(Int64)}")
        values["experiments"] = list(query.experiments)
        if 0 not in query.experiments:
            within.append(f"trace_id IN ({_WHOLE})")
            values["of"] = [str(one) for one in query.experiments]
    on_spans: list[str] = []
    for place, clause in enumerate(query.clauses):
        sql, own = _MAKES[clause.entity](clause, f"c{place}")
        values |= own
        (on_spans if clause.entity == "span" else where).append(sql)
        if clause.key == _ID:
            within.append(sql)
    only = " AND ".join(within)
    if on_spans:
        # All of them must be true of one span.
        where.append(f"trace_id IN ({_SPANS.replace('{among}', only)}{' AND '.join(on_spans)})")
    for one in query.among:
        where.append(f"trace_id {'IN' if one.among else 'NOT IN'} ({one.sql})")
        values |= one.values
    order = terms(query)
    if query.after:
        sql, own = _behind(order, query.after)
        where.append(sql)
        values |= own
    traces = _TRACES.replace("{heads}", _HEADS).replace("{said}", _SAID).replace("{among}", only)
    columns = ", ".join(f"{one.column} {'ASC' if one.ascending else 'DESC'}" for one in order)
    return (
        "SELECT trace_id, experiment, start_ms, duration_ms, state, name, session_id, user_id, has_spans, "
        f"tuple({', '.join(one.column for one in order)}) AS place "
        f"FROM ({traces}) WHERE {' AND '.join(where)} ORDER BY {columns} LIMIT {{limit:UInt32}}{LIMITED}"
    ), values


def _behind(order: Sequence[Term], place: Sequence[Any]) -> Condition:
    found: list[str] = []
    same: list[str] = []
    values: dict[str, Any] = {}
    for number, (term, value) in enumerate(zip(order, place, strict=True)):
        values[f"after{number}"] = value
        bound = f"{{after{number}:{'Int64' if term.kind is int else 'String'}}}"
        found.append(" AND ".join([*same, f"{term.column} {'>' if term.ascending else '<'} {bound}"]))
        same.append(f"{term.column} = {bound}")
    return Condition(f"(({') OR ('.join(found)}))", values)


def _compared(expression: str, clause: Clause, place: str) -> Condition:
    op, value = clause.op, clause.value
    if isinstance(value, tuple):
        return Condition(f"{expression} {op} {{{place}:Array(String)}}", {place: list(value)})
    if isinstance(value, int | float):
        # The planner does not end where a number is beyond all that the column can be.
        return Condition(f"{expression} {op} {{{place}:Float64}}", {place: min(max(float(value), -_FAR), _FAR)})
    # In a pattern a backslash is none but itself, as in MLflow's.
    text = str(value).replace("\\", "\\\\") if op in {"LIKE", "ILIKE"} else str(value)
    return Condition(f"{expression} {op} {{{place}:String}}", {place: text})


def _of_attribute(clause: Clause, place: str) -> Condition:
    return _compared("trace_id" if clause.key == _ID else _COLUMNS[clause.key], clause, place)


def _named(kind: str) -> Callable[[Clause, str], Condition]:
    """Return what makes conditions on the facts of a kind."""

    def make(clause: Clause, place: str) -> Condition:
        values = {f"{place}_name": clause.key}
        facts = f"{_FACTS}kind = '{kind}' AND name = {{{place}_name:String}}"
        if clause.op in _ABSENT:
            return Condition(f"trace_id {_ABSENT[clause.op]} ({facts})", values)
        sql, own = _compared("value", clause, f"{place}_value")
        return Condition(f"trace_id IN ({facts} AND {sql})", values | own)

    return make


def _of_metadata(clause: Clause, place: str) -> Condition:
    if clause.key in {SESSION, USER}:
        column = "session_id" if clause.key == SESSION else "user_id"
        if clause.op in _ABSENT:
            return Condition(f"{column} {'=' if clause.op == 'IS NULL' else '!='} ''", {})
        sql, values = _compared(column, clause, place)
        return Condition(f"({column} != '' AND {sql})", values)
    return _named(METADATA)(clause, place)


def _of_run(clause: Clause, place: str) -> Condition:
    """Traces that began in a run, and those that were linked to it."""
    mine, values = _compared("value", clause, f"{place}_value")
    linked, more = _compared("name", clause, f"{place}_name")
    return Condition(
        f"trace_id IN ({_FACTS}((kind = '{METADATA}' AND name = '{SOURCE_RUN}' AND {mine}) "
        f"OR (kind = '{RUN}' AND {linked})))",
        values | more,
    )


def _of_prompt(clause: Clause, place: str) -> Condition:
    sql, values = _compared("name", clause, place)
    return Condition(f"trace_id IN ({_FACTS}kind = '{PROMPT}' AND {sql})", values)


def _of_span(clause: Clause, place: str) -> Condition:
    if not clause.key.startswith(ATTRIBUTES):
        return _compared(_OF_SPAN[clause.key], clause, place)
    name = f"{{{place}_key:String}}"
    text = f"if(JSONType(attributes, {name}) = 'String', JSONExtractString(attributes, {name}), JSONExtractRaw(attributes, {name}))"
    # MLflow's values are JSON texts.
    plain = f"if(startsWith({text}, '\"'), JSONExtractString({text}), {text})"
    sql, values = _compared(plain, clause, place)
    return Condition(
        f"(JSONHas(attributes, {name}) AND {sql})", values | {f"{place}_key": clause.key.removeprefix(ATTRIBUTES)}
    )


_MAKES: dict[str, Callable[[Clause, str], Condition]] = {
    "attribute": _of_attribute,
    "tag": _named(TAG),
    "metadata": _of_metadata,
    "run": _of_run,
    "prompt": _of_prompt,
    "span": _of_span,
}
