"""Data classes: which tables hold what of a project, and by which clock a row is old.

Rooms above this one add theirs to `CLASSES` where they declare what they store.
"""

from typing import Literal

import msgspec

from gimbal.axis.traces.facts.model import INFO, METADATA, OLD_PREVIEWS, REQUEST, RESPONSE
from gimbal.kernel.plugins import Registry


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One column table of a class; all have a column `project`."""

    name: str
    clock: str
    """Expression of the microsecond that a row is from."""
    only: str = ""
    """Further condition for the rows that are of the class; empty for all."""
    owned: str = ""
    """Further condition for rows that are an erased user's: `{traces:target_id}` is the test whether the column has the
    id of an erased trace, `{sessions:…}` of a session, `{users:…}` of the user. `trace_id` and `user_id` are looked at
    anyway; `{keys:Array(String)}` are the names under which senders name users."""


class DataClass(msgspec.Struct, frozen=True, kw_only=True):
    """What has one term."""

    name: str
    meaning: str
    tables: tuple[Table, ...]
    how: Literal["delete", "empty"] = "delete"
    """`empty` takes out what the rows hold and leaves the rows."""


CLASSES: Registry[DataClass] = Registry("data_classes")


def add(one: DataClass) -> DataClass:
    """Register a class under its name."""
    return CLASSES.add(one.name, one)


SPANS = Table(name="spans", clock="start_us")
EVENTS = Table(name="span_events", clock="intDiv(at_ns, 1000)")
_FACTS = "trace_facts"
# What a trace began with and what came of it, as its sender says it of all of the trace.
_PREVIEWS = (
    f"(kind = '{INFO}' AND name IN ('{REQUEST}', '{RESPONSE}')) OR (kind = '{METADATA}' AND name IN {OLD_PREVIEWS})"
)

CONTENT = add(
    DataClass(
        name="content",
        meaning="What was said: inputs, outputs, documents, events, texts in attributes, previews, payloads and media. "
        "The spans stay, with their times, tokens and costs.",
        tables=(SPANS, EVENTS, Table(name=_FACTS, clock="written_us", only=_PREVIEWS)),
        how="empty",
    )
)
TRACES = add(
    DataClass(
        name="traces",
        meaning="Spans with everything in them, costs included, their events, verdicts of sampling, and what else was said "
        "of traces: tags, metadata, links.",
        tables=(
            SPANS,
            EVENTS,
            Table(name="trace_verdicts", clock="round"),
            Table(name=_FACTS, clock="written_us", owned="name IN {keys:Array(String)} AND {users:value}"),
        ),
    )
)
SCORES = add(
    DataClass(
        name="scores",
        meaning="Scores and judgements of spans, traces, sessions and runs.",
        tables=(
            Table(
                name="scores",
                clock="at_us",
                owned="(target_kind = 'trace' AND {traces:target_id}) OR (target_kind = 'session' AND {sessions:target_id})",
            ),
        ),
    )
)
RUN_METRICS = add(
    DataClass(
        name="run_metrics",
        meaning="Histories of the metrics of runs; the last value of each stays with its run.",
        tables=(Table(name="metric_points", clock="at_us"),),
    )
)
DELETED_RUNS = add(
    DataClass(
        name="deleted_runs",
        meaning="Runs, logged models and experiments that were deleted, from that day on: then they go for good, with "
        "parameters, tags, metrics, inputs, scores and files.",
        # They stand in the catalog: `retention.runs` takes them, in all tables.
        tables=(),
    )
)
COSTS = add(
    DataClass(
        name="cost_changes",
        meaning="What costs were before they were corrected, with the reasons.",
        tables=(Table(name="cost_changes", clock="changed_us"),),
    )
)
