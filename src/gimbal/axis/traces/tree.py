"""The tree of a trace: who is whose parent, however broken it came, and which spans report usage a second time."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Any, NamedTuple

from gimbal.axis.pricing.model import TOTALS, Usage
from gimbal.axis.traces.model import Span

# Span ids are unique in their trace only.
Key = tuple[str, str]
_totals = attrgetter(*TOTALS)
_Rank = tuple[bool, int, int, int, str]


class Call(NamedTuple):
    """A span that reports a call of a model, with the provider's id of the answer."""

    key: Key
    response_id: str
    cached: bool
    rank: _Rank
    """Of several reports of one call that with the least counts."""


def parents(links: Iterable[tuple[str, str, str]]) -> dict[Key, Key | None]:
    """Return the parent of each of `(trace id, span id, parent id)`; None where it has none among them.

    A cycle is cut at one of its spans, so that walking up always ends.
    """
    given = {(trace, span): parent for trace, span, parent in links}
    found: dict[Key, Key | None] = {
        key: (key[0], parent) if parent and (key[0], parent) in given else None for key, parent in given.items()
    }
    done: set[Key] = set()
    for key in found:
        path: dict[Key, None] = {}
        at: Key | None = key
        while at is not None and at not in done:
            if at in path:
                found[at] = None
                break
            path[at] = None
            at = found[at]
        done.update(path)
    return found


def covered(above: dict[Key, Key | None], used: AbstractSet[Key]) -> set[Key]:
    """Return every span that has a span with usage beneath it: what it reports itself is a repetition."""
    found: set[Key] = set()
    for key in used:
        at = above[key]
        while at is not None and at not in found:
            found.add(at)
            at = above[at]
    return found


def links_of(spans: Iterable[Span]) -> dict[Key, Key | None]:
    """Return the parents of spans."""
    return parents((span.trace_id, span.span_id, span.parent_id) for span in spans)


def _rank(billable: object, estimated: object, said: int | None, start_us: int, span_id: str) -> _Rank:
    """Return which place a report of a call has among several: the most complete first, then the one nearest to the wire.

    Of several instrumentations the innermost begins last, and sees what really came. What was found to be a repetition
    when it came was stored without a cost, and stays one. What somebody counted stands before what was estimated. `said`
    is how many things the usage tells; None without one.
    """
    doubt = 2 if said is None else int(bool(estimated))
    return not billable, doubt, -(said or 0), -start_us, span_id


def _said(usage: Usage | None) -> int | None:
    return None if usage is None else sum(count > 0 for count in _totals(usage)) + len(usage.others())


def _said_in(row: dict[str, Any]) -> int | None:
    if row["input_tokens"] is None:
        return None
    return sum((row[name] or 0) > 0 for name in TOTALS) + len(row["usage_classes"])


def twins(above: dict[Key, Key | None], wrappers: AbstractSet[Key], calls: Iterable[Call]) -> set[Key]:
    """Return the calls that another span of the trace counts: it bears the same id of the provider's answer.

    `wrappers` are the spans with a span with usage beneath them. Where one of a call's reports is such a span and none
    of the others is beneath it, what is beneath it counts for all of them.
    """
    groups: dict[tuple[str, str, bool], list[Call]] = {}
    for call in calls:
        groups.setdefault((call.key[0], call.response_id, call.cached), []).append(call)
    found: set[Key] = set()
    for group in groups.values():
        lowest = sorted((call for call in group if call.key not in wrappers), key=lambda call: call.rank)
        if len(group) == 1 or not lowest:
            continue
        outer = {call.key for call in group if call.key in wrappers}
        for call in lowest:
            at = above[call.key]
            while at is not None and outer:
                outer.discard(at)
                at = above[at]
        found.update(call.key for call in lowest[0 if outer else 1 :])
    return found


def repeated(spans: Iterable[Span]) -> set[Key]:
    """Return the spans that only say again, or do not know, what another span has counted.

    That is a span beneath them, or one beside them that reports the same answer of the provider.
    """
    # The same span may be there twice: it does not repeat itself.
    spans = list({(span.trace_id, span.span_id): span for span in spans}.values())
    used = {(span.trace_id, span.span_id) for span in spans if span.usage is not None}
    above = links_of(spans)
    wrappers = covered(above, used)
    answers = [(span.trace_id, span.response_id) for span in spans if span.response_id]
    if len(set(answers)) == len(answers):
        return wrappers
    calls = [
        Call(
            (span.trace_id, span.span_id),
            span.response_id,
            span.cached,
            _rank(span.billable, span.estimated, _said(span.usage), span.start_us, span.span_id),
        )
        for span in spans
        if span.response_id and (span.usage is not None or span.kind == "llm")
    ]
    return wrappers | twins(above, wrappers, calls)


def repeated_rows(rows: Sequence[dict[str, Any]]) -> set[Key]:
    """Return the same of rows as they are stored."""
    calls = [
        Call(
            (row["trace_id"], row["span_id"]),
            row["response_id"],
            bool(row["cached"]),
            _rank(row["billable"], row["estimated"], _said_in(row), row["start_us"], row["span_id"]),
        )
        for row in rows
        if row["response_id"] and (row["input_tokens"] is not None or row["kind"] == "llm")
    ]
    used = {(row["trace_id"], row["span_id"]) for row in rows if row["input_tokens"] is not None}
    above = parents((row["trace_id"], row["span_id"], row["parent_id"]) for row in rows)
    wrappers = covered(above, used)
    return wrappers | twins(above, wrappers, calls)


def heads(spans: Sequence[Span]) -> list[bool]:
    """Tell of each span whether it heads a part of its trace: no parent, one elsewhere, or one that is not here."""
    above = links_of(spans)
    return [span.remote_parent or above[span.trace_id, span.span_id] is None for span in spans]


def in_order(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Return the spans of one trace with their depth, children behind their parents, in the given order otherwise."""
    above = links_of(spans)
    children: dict[Key | None, list[Span]] = {}
    for span in spans:
        children.setdefault(above[span.trace_id, span.span_id], []).append(span)
    found: list[tuple[Span, int]] = []
    todo = [(span, 0) for span in reversed(children.get(None, []))]
    while todo:
        span, depth = todo.pop()
        found.append((span, depth))
        todo += [(child, depth + 1) for child in reversed(children.get((span.trace_id, span.span_id), []))]
    return found
