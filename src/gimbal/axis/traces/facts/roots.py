"""What facts write on the root span of their trace: what lists, filters and pages of traces look at."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.traces.derive import derived
from gimbal.axis.traces.facts.model import (
    EXPERIMENT,
    FIXED,
    MAX_NAME,
    METADATA,
    MODEL_ID,
    PROMPT,
    REFS,
    SENT_TAG,
    SESSION,
    SOURCE_RUN,
    SPANS,
    TAG,
    TAGS,
    USER,
    Fact,
    Facts,
)
from gimbal.axis.traces.model import Span

SHOWN = frozenset({TAGS, SESSION, USER, SOURCE_RUN, MODEL_ID, REFS})
"""The attributes that are written."""
_OWN = "mlflow."


def is_root(span: Span) -> bool:
    """Tell whether a span begins its trace."""
    return not span.parent_id


def sent(spans: Sequence[Span], experiment: int | None) -> dict[str, list[Fact]]:
    """Return by trace what spans bring along, and to which experiment their traces belong, where that is told."""
    said: dict[str, list[Fact]] = {}
    for span in spans:
        if experiment is not None and span.trace_id not in said:
            said[span.trace_id] = [Fact(kind=SPANS, name=EXPERIMENT, value=str(experiment))]
        if is_root(span) and (facts := brought(span)):
            said.setdefault(span.trace_id, []).extend(facts)
    return said


def brought(span: Span) -> list[Fact]:
    """Return the tags that a root span brings along, those that can be tags."""
    tags = {name[len(SENT_TAG) :]: value for name, value in span.attributes.items() if name.startswith(SENT_TAG)}
    return [
        Fact(kind=TAG, name=name, value=value if isinstance(value, str) else _text(value))
        for name, value in tags.items()
        if 1 <= len(name) <= MAX_NAME and name not in FIXED
    ]


def marked(span: Span, facts: Facts) -> Span:
    """Return a root span that says what the facts of its trace say; facts win over what it said before."""
    attributes = dict(span.attributes)
    tags = [f"{name}:{value}" for name, value in facts.get(TAG, {}).items() if not name.startswith(_OWN)]
    _put(attributes, TAGS, tags)
    for name in (SESSION, USER, SOURCE_RUN, MODEL_ID):
        if value := facts.get(METADATA, {}).get(name):
            attributes[name] = value
    said: Any = attributes.get(REFS)
    before: list[str] = [str(one) for one in said] if isinstance(said, list) else []
    _put(attributes, REFS, list(dict.fromkeys([*before, *filter(None, facts.get(PROMPT, {}).values())])))
    if attributes == span.attributes:
        return span
    new = derived(msgspec.structs.replace(span, attributes=attributes))
    if new.tags or not tags:
        return new
    # Of a span that Gimbal recorded itself nothing is read from attributes.
    return msgspec.structs.replace(new, tags=tags)


def _put(attributes: dict[str, Any], name: str, found: Sequence[str]) -> None:
    if found:
        attributes[name] = list(found)
    else:
        attributes.pop(name, None)


def _text(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def any_shown(facts: Mapping[str, Mapping[str, str]]) -> bool:
    """Tell whether there is something to write on a root."""
    return any(facts.get(kind) for kind in (TAG, METADATA, PROMPT))
