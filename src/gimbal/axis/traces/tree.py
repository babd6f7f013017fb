"""The tree of a trace: who is whose parent, however broken it came, and which spans report usage a second time."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from gimbal.axis.traces.model import Span

# Span ids are unique in their trace only.
Key = tuple[str, str]


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


def repeated(spans: Iterable[Span]) -> set[Key]:
    """Return the spans that only say again, or do not know, what a span beneath them has counted."""
    spans = list(spans)
    used = {(span.trace_id, span.span_id) for span in spans if span.usage is not None}
    return covered(links_of(spans), used)


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
