"""The views that statements may name: stable names and columns over the tables, the newest version of each row only.

A view is a SELECT with the project bound as a parameter. `{within}` is where a view lets a stretch of time narrow what it
reads; it only spares reading, the statement's own condition decides.
"""

from typing import Literal

import msgspec

from gimbal.axis.sql.shown import ERASED, EXPIRED, TIME, TOKENS, WEIGHT, WHO, Column, moment
from gimbal.axis.traces.counting import IS_CALL, REPEATED, WASTED, repeats
from gimbal.engines.storage.columns import DATABASE

_ID = "sipHash64(trace_id, span_id)"
_HERE = "project = {project:String}"
# Before anything that a statement computes: conditions of one SELECT are tried in whatever order seems fast, and what one
# of them says of a row that another would leave out is seen in its errors.
_OURS = f"PREWHERE {_HERE}"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One view."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    time: str
    """The column by which time narrows what is read; empty where nothing does."""
    base: Literal["spans", "calls", "traces", "sessions", "events", "table"]
    """How it is made: from spans in one of several ways, or from a table by itself."""
    table: str = "spans"
    at: str = "start_us"
    """The table's column behind `time`, in microseconds."""


class State(msgspec.Struct, frozen=True):
    """What there is among the spans of a stretch of time: what is not there need not be looked for."""

    twice: bool = True
    """Whether some spans are stored in several versions."""
    parts: bool = True
    """Whether parts of a trace came in requests of their own."""


_IDS = (
    Column("trace_id", "String", "Trace, 32 hexadecimal digits."),
    Column("span_id", "String", "Span, 16 hexadecimal digits; unique in its trace."),
)
_START = Column("start_time", TIME, "When it began, UTC.", moment("start_us"))
_DURATION = Column("duration_ms", "Float64", "Milliseconds from start to end.", "(end_us - start_us) / 1000")
_FIRST = Column(
    "first_token_ms", "Nullable(Float64)", "Milliseconds to the first token, of streams.", "(first_token_us - start_us) / 1000"
)  # fmt: skip

SPANS = View(
    name="spans",
    meaning="One row for each span.",
    time="start_time",
    base="spans",
    columns=(
        *_IDS,
        Column("parent_id", "String", "Span above it; empty for a root."),
        Column("name", "String", "Name, as its sender gave it."),
        Column("kind", "String", "llm, chain, agent, tool, retriever, embedding, …"),
        Column("status", "String", "ok, error, cancelled or unset."),
        Column("status_message", "String", "What its sender said of the status."),
        _START,
        Column("end_time", TIME, "When it ended, UTC.", moment("end_us")),
        _DURATION,
        _FIRST,
        Column("provider", "String", "Provider of the model."),
        Column("model", "String", "Model that answered."),
        *TOKENS,
        Column("billable", "Bool", "Whether its usage counts: false where a span beneath it reports the same call.", "toBool(s.billable)"),
        Column("price_book", "String", "Version of the prices that were used."),
        Column("finish", "String", "Why the model stopped."),
        Column("response_id", "String", "The provider's id of the answer."),
        Column("input", "String", "What went in, as JSON or text; long values are references to blobs."),
        Column("output", "String", "What came out, likewise."),
        Column("documents", "String", "Retrieved documents, as JSON."),
        Column("attributes", "String", "All attributes as they came, as a JSON object."),
        Column("resource", "String", "Attributes of the process that sent it, as a JSON object."),
        Column("scope", "String", "Instrumentation that made it."),
        Column("dialect", "String", "Convention in which it was written."),
        *WHO,
        WEIGHT,
        EXPIRED,
        ERASED,
    ),
)  # fmt: skip
CALLS = View(
    name="calls",
    meaning="One row for each billable call of a model, whichever spans reported it; its cost is that of the call.",
    time="start_time",
    base="calls",
    columns=(
        *_IDS,
        _START,
        _DURATION,
        _FIRST,
        Column("name", "String", "Name of the span."),
        Column("status", "String", "ok, error, cancelled or unset."),
        Column("provider", "String", "Provider of the model."),
        Column("model", "String", "Model that answered."),
        *TOKENS,
        Column("price_book", "String", "Version of the prices that were used."),
        Column("finish", "String", "Why the model stopped."),
        Column("response_id", "String", "The provider's id of the answer."),
        *WHO,
        WEIGHT,
        EXPIRED,
        ERASED,
    ),
)
_COUNTS = "s.billable = 1 AND once"
_SAID = "argMinIf(s.{0}, tuple(s.is_root = 0, s.parent_id != '', s.start_us), s.{0} != '')"
_HEAD = "argMinIf(s.{0}, tuple(s.parent_id != '', s.start_us, s.span_id), s.is_root = 1)"
TRACES = View(
    name="traces",
    meaning="One row for each trace.",
    time="start_time",
    base="traces",
    columns=(
        Column("trace_id", "String", "Trace, 32 hexadecimal digits.", "s.trace_id"),
        Column("name", "String", "Name of its root.", _HEAD.format("name")),
        Column("kind", "String", "Kind of its root.", _HEAD.format("kind")),
        Column("status", "String", "error when any span failed, else that of its root.",
               f"if(countIf(s.status = 'error') > 0, 'error', {_HEAD.format('status')})"),
        Column("start_time", TIME, "When its root began, UTC.", moment(_HEAD.format("start_us"))),
        Column("duration_ms", "Float64", "Milliseconds of its root, from start to end.",
               f"({_HEAD.format('end_us')} - {_HEAD.format('start_us')}) / 1000"),
        Column("spans", "UInt64", "How many spans it has.", "count()"),
        Column("errors", "UInt64", "How many of them failed.", "countIf(s.status = 'error')"),
        Column("calls", "UInt64", "Calls of models, each counted once.", f"countIf({IS_CALL} AND once)"),
        Column("model", "String", "Model of its root, else of the first span that has one.", _SAID.format("model")),
        Column("session_id", "String", "Session, as its root says, else the first span that says one.", _SAID.format("session_id")),
        Column("user_id", "String", "End user, likewise.", _SAID.format("user_id")),
        Column("feature", "String", "Feature, likewise.", _SAID.format("feature")),
        Column("input_tokens", "Nullable(Int64)", "Tokens in of all calls; null where none reported any.", f"sumIf(s.input_tokens, {_COUNTS})"),
        Column("output_tokens", "Nullable(Int64)", "Tokens out.", f"sumIf(s.output_tokens, {_COUNTS})"),
        Column("cost", "Nullable(Decimal(38, 12))", "US dollars of the priced calls; null when none is.", f"sumIf(s.cost, {_COUNTS})"),
        Column("unpriced", "UInt64", "Calls whose cost is unknown.", f"countIf({_COUNTS} AND s.unpriced != '')"),
        Column("saved", "Nullable(Decimal(38, 12))", "US dollars that the application's own cache spared; null where none did.", f"sumIf(s.saved, {_COUNTS})"),
        Column("wasted", "Nullable(Decimal(38, 12))", "Of the cost, what was paid for errors and calls that were stopped; null where nothing was.",
               f"sumIf(s.cost, {WASTED} AND once)"),
        Column("tags", "Array(String)", "Tags of all its spans, in order.", "arraySort(groupUniqArrayArray(s.tags))"),
        Column("refs", "Array(String)", "Versions that its spans used, in order.", "arraySort(groupUniqArrayArray(s.refs))"),
        Column("weight", "Float64", "How many traces it stands for, where sampling left others out.", "min(s.weight)"),
        Column("content_expired", "Bool", "Whether what was said in it is past its term, in part or all.", "toBool(max(s.content_expired))"),
        Column("erased", "Bool", "Whether it is no trace but what stays of one call of an erased user.", f"toBool(max({ERASED.sql}))"),
    ),
)  # fmt: skip
SESSIONS = View(
    name="sessions",
    meaning="One row for each session: the traces of one conversation.",
    time="",
    base="sessions",
    columns=(
        Column("session_id", "String", "Session."),
        Column("user_id", "String", "End user of its first trace that has one.", "argMinIf(t.user_id, t.start_time, t.user_id != '')"),
        Column("start_time", TIME, "When its first trace began, UTC.", "min(t.start_time)"),
        Column("last_time", TIME, "When its last trace began, UTC.", "max(t.start_time)"),
        Column("traces", "UInt64", "How many traces it has.", "count()"),
        Column("errors", "UInt64", "How many of them failed.", "countIf(t.status = 'error')"),
        Column("calls", "UInt64", "Calls of models.", "sum(t.calls)"),
        Column("input_tokens", "Nullable(Int64)", "Tokens in.", "sum(t.input_tokens)"),
        Column("output_tokens", "Nullable(Int64)", "Tokens out.", "sum(t.output_tokens)"),
        Column("cost", "Nullable(Decimal(38, 12))", "US dollars of the priced calls.", "sum(t.cost)"),
        Column("unpriced", "UInt64", "Calls whose cost is unknown.", "sum(t.unpriced)"),
        Column("saved", "Nullable(Decimal(38, 12))", "US dollars that the application's own cache spared.", "sum(t.saved)"),
        Column("wasted", "Nullable(Decimal(38, 12))", "Of the cost, what was paid in vain.", "sum(t.wasted)"),
        Column("tags", "Array(String)", "Tags of all its traces, in order.", "arraySort(groupUniqArrayArray(t.tags))"),
    ),
)  # fmt: skip
SCORES = View(
    name="scores",
    meaning="One row for each score.",
    time="time",
    base="table",
    table="scores",
    at="at_us",
    columns=(
        Column("id", "String", "Its id."),
        Column("target_kind", "String", "What was judged: span, trace, session, example or run."),
        Column("target_id", "String", "Id of what was judged."),
        Column("trace_id", "String", "Trace of the span that was judged, where it was told."),
        Column("name", "String", "What was judged of it."),
        Column("value", "Nullable(Float64)", "Number; null where there is a word only, or none."),
        Column("label", "String", "Word; empty where there is a number only."),
        Column("explanation", "String", "Why."),
        Column("source", "String", "Who judged: human, judge, code or user."),
        Column("author", "String", "Name of who judged."),
        Column("missing", "String", "Why there is neither number nor word; empty where there is."),
        Column("time", TIME, "When it was given, UTC.", moment("at_us")),
    ),
)
EVENTS = View(
    name="events",
    meaning="One row for each event of a span, whether it came with the span or by itself.",
    time="",
    base="events",
    columns=(
        *_IDS,
        Column("time", TIME, "When it happened, UTC."),
        Column("name", "String", "Its name."),
        Column("attributes", "String", "Its attributes, as a JSON object."),
    ),
)
PREDICTIONS = View(
    name="predictions",
    meaning="One row for each prediction of an endpoint.",
    time="event_time",
    base="table",
    table="predictions",
    at="event_us",
    columns=(
        Column("endpoint", "String", "Endpoint."),
        Column("prediction_id", "String", "Its id."),
        Column("time", TIME, "When it was made, UTC.", moment("at_us")),
        Column("event_time", TIME, "When that which it is about happened, UTC.", moment("event_us")),
        Column("entity", "String", "What it is about."),
        Column("version", "String", "Version of the model that made it."),
        Column("numbers", "Map(String, Nullable(Float64))", "Features that are numbers, by name.", "mapFromArrays(arrayMap(n -> toString(n), number_names), numbers)"),
        Column("texts", "Map(String, Nullable(String))", "Features that are words, by name.", "mapFromArrays(arrayMap(n -> toString(n), text_names), texts)"),
        Column("predicted", "String", "What was predicted."),
        Column("score", "Nullable(Float64)", "How sure the model was."),
        Column("trace_id", "String", "Trace of the request; empty where there is none."),
    ),
)  # fmt: skip
RUN_METRICS = View(
    name="run_metrics",
    meaning="One row for each point of a metric of a run.",
    time="time",
    base="table",
    table="metric_points",
    at="at_us",
    columns=(
        Column("run_id", "String", "Run."),
        Column("name", "String", "Metric."),
        Column("step", "Int64", "Step."),
        Column("time", TIME, "When it was measured, UTC.", moment("at_us")),
        Column("value", "Float64", "Value."),
    ),
)
VIEWS: dict[str, View] = {
    view.name: view for view in (TRACES, SPANS, CALLS, SESSIONS, SCORES, EVENTS, PREDICTIONS, RUN_METRICS)
}
COLUMN_NAMES = frozenset(column.name for view in VIEWS.values() for column in view.columns)


def of_spans(view: View) -> bool:
    """Tell whether a view reads spans, so that their state decides how."""
    return view.base != "table"


def state(within: str) -> str:
    """Return the statement that tells the state of spans."""
    # Two spans of different traces with the same id only make the slower way be taken.
    return (
        "SELECT count() != uniqExact(sipHash64(span_id)) AS twice, "
        # What came again may have come without what was beneath it.
        "countIf(is_root = 1 AND parent_id != '') > 0 OR twice AS parts "
        f"FROM {DATABASE}.spans WHERE {within}"
    )


def inside(bounds: str) -> str:
    """Return the condition for the rows of the project in a stretch of time."""
    return f"{_HERE} AND {bounds}" if bounds else _HERE


def select(view: View, bounds: str, found: State) -> str:
    """Return the statement behind a view's name; `bounds` are conditions on `view.at`, empty for none."""
    within = inside(bounds)
    shown = ", ".join(column.shown for column in view.columns)
    if view.base == "table":
        return f"SELECT {shown} FROM {DATABASE}.{view.table} FINAL {_OURS} WHERE {within}"
    if view.base == "spans":
        return f"SELECT {shown} FROM {_spans(within)} WHERE {_newest(within, found)}"
    if view.base == "calls":
        shown = ", ".join(f"{column.sql or 's.' + column.name} AS {column.name}" for column in view.columns)
        once = f" AND NOT ({REPEATED})" if found.parts else ""
        return (
            f"{_repeats(within, found)}SELECT {shown} FROM {_spans(within)} "
            f"WHERE {_newest(within, found)} AND {IS_CALL}{once}"
        )
    if view.base == "traces":
        once = f"NOT ({REPEATED})" if found.parts else "true"
        return (
            f"{_repeats(within, found)}SELECT {shown} FROM (SELECT *, {once} AS once FROM {_spans(within)} "
            f"WHERE {_newest(within, found)}) AS s GROUP BY s.trace_id"
        )
    if view.base == "sessions":
        return f"SELECT {shown} FROM ({select(TRACES, bounds, found)}) AS t WHERE session_id != '' GROUP BY session_id"
    own = "arrayJoin(JSONExtractArrayRaw(events)) AS event"
    return (
        f"SELECT trace_id, span_id, {moment('at')} AS time, name, attributes FROM (SELECT trace_id, span_id, "
        f"{own}, JSONExtractInt(event, 'at_us') AS at, JSONExtractString(event, 'name') AS name, "
        f"JSONExtractRaw(event, 'attributes') AS attributes FROM {_spans(within)} "
        f"WHERE {_newest(within, found)} AND events != '') UNION ALL SELECT trace_id, span_id, "
        f"{moment('intDiv(at_ns, 1000)')} AS time, name, attributes FROM {DATABASE}.span_events FINAL {_OURS} WHERE {_HERE}"
    )


def _spans(within: str) -> str:
    """Return what stands behind FROM for the stored spans of the project."""
    return f"{DATABASE}.spans AS s PREWHERE {within}"


def _newest(within: str, found: State) -> str:
    """Return the condition for the newest version of each span that is not hidden."""
    if not found.twice:
        return f"{within} AND weight > 0"
    several = f"FROM {DATABASE}.spans WHERE {within} GROUP BY 1 HAVING count() > 1"
    return (
        f"{within} AND ({_ID} NOT IN (SELECT {_ID} {several}) "
        f"OR ({_ID}, written_us) IN (SELECT {_ID}, max(written_us) {several})) AND weight > 0"
    )


def _repeats(within: str, found: State) -> str:
    """Return what stands before SELECT where some calls are reported twice."""
    return f"WITH {repeats(within).replace('FROM spans ', f'FROM {DATABASE}.spans ')} " if found.parts else ""
