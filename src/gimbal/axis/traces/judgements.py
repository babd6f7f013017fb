"""Judgements that come with traces: `gen_ai.evaluation.result` events, and OpenInference's annotations of spans.

They are scores, but scores stand above traces: this room reads them and hands them to whoever keeps them, by the
Protocol below, before a request is answered. Each has an id that follows from what it says it is, so that one that is
sent again is the same. Sources: open-telemetry/semantic-conventions-genai, events; Arize-ai/openinference, annotations.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from gimbal.axis.traces.dialects.reading import json_value, numbered, real, text
from gimbal.axis.traces.finding_model import Judgement
from gimbal.axis.traces.model import Span
from gimbal.kernel.context import Context
from gimbal.kernel.ids import derived_id

EVENT = "gen_ai.evaluation.result"
_LONGEST_WORD = 200
_LONGEST_TEXT = 20_000
_json = msgspec.json.Encoder(enc_hook=str, order="deterministic")
_FORMS = ("annotation", "evaluation")
# Prefixes of the attributes by what they judge.
_PREFIXES = {
    f"{before}{form}s.": (kind, f".{form}.")
    for kind, before in (("span", ""), ("trace", "trace."), ("session", "session."))
    for form in _FORMS
}
# The convention numbers them from zero: a span without a first one has none.
_FIRST = frozenset(f"{prefix}0{field}name" for prefix, (_, field) in _PREFIXES.items())
# Instead of a value, in the question for scores: any that there is, a score without one, no score at all.
ANY, MISSING, UNSCORED = "*", "missing", "unscored"
_SOURCES = {"HUMAN": "human", "LLM": "judge", "CODE": "code"}


class ScoreTest(msgspec.Struct, frozen=True, kw_only=True):
    """What some score of a trace, or of one of its spans, must be."""

    name: str = ""
    """Empty for any."""
    test: str = ANY
    """`<`, `<=`, `>`, `>=` or `=`; `*` for any value or word, `missing` for none, `unscored` where there is no score."""
    bound: float | None = None
    text: str = ""
    """What `=` compares: a word, or a number in `bound`, too."""
    source: str = ""
    """Who judged; empty for anybody."""
    expected: bool | None = None
    """Whether it says what an output should have been; None for either."""


class Judgements(Protocol):
    """Keeps judgements; the room of scores does."""

    async def keep(self, ctx: Context, found: Sequence[Judgement]) -> None:
        """Store them durably, each once by its id; raise Busy or Unavailable, then none is stored."""
        ...

    async def of_trace(
        self, ctx: Context, trace_id: str, span_ids: Sequence[str], session_id: str
    ) -> Sequence[Judgement]:
        """Return those of a trace, of spans of it and of its session, newest first."""
        ...

    async def of_many(
        self, ctx: Context, kind: Literal["trace", "session"], ids: Sequence[str]
    ) -> Mapping[str, Sequence[Judgement]]:
        """Return the newest of each of some traces or sessions, those of a trace's spans among them where told."""
        ...

    def judged(self, test: ScoreTest, place: str) -> tuple[str, dict[str, Any]]:
        """Return a statement with its parameters, whose names begin with `place`; `project` is bound.

        Its rows have the `kind`, the `target` and, of a span, the `trace` of all that was judged as `test` says.
        """
        ...


async def keep(ctx: Context, spans: Iterable[Span]) -> None:
    """Store the judgements that spans bear durably. Raise Busy or Unavailable; then none is stored."""
    project, found, unreadable = ctx.project or "default", list[Judgement](), 0
    for span in spans:
        if span.events or not _FIRST.isdisjoint(span.attributes):
            for one in of_span(project, span):
                if one is None:
                    unreadable += 1
                else:
                    found.append(one)
    await store(ctx, found, unreadable)


async def store(ctx: Context, found: Sequence[Judgement], unreadable: int = 0) -> None:
    """Hand judgements to who keeps them, and count them with those that could not be read."""
    if found:
        await ctx.get(Judgements).keep(ctx, found)
    for outcome, number in (("stored", len(found)), ("unreadable", unreadable)):
        if number:
            ctx.count("gimbal_ingest_scores_total", "Scores that came in by OTLP.", number, outcome=outcome)


def of_span(project: str, span: Span) -> Iterator[Judgement | None]:
    """Yield the judgements that a span bears; None for one that cannot be told."""
    for event in span.events:
        if event["name"] == EVENT:
            yield of_event(project, span.trace_id, span.span_id, event["at_us"], event["attributes"])
    if not _FIRST.isdisjoint(span.attributes):
        yield from _annotations(project, span)


def of_event(project: str, trace_id: str, span_id: str, at_us: int, attributes: Mapping[str, Any]) -> Judgement | None:
    """Return what an evaluation event judges: its span, or the trace where it has none; None without a name."""
    name = text(attributes.get("gen_ai.evaluation.name"))
    if not 1 <= len(name) <= _LONGEST_WORD:
        return None
    # Two evaluations of one name at one moment differ in what they say.
    digest = hashlib.sha256(_json.encode(attributes)).hexdigest()
    return _judgement(
        derived_id(project, trace_id, span_id, name, str(at_us), digest),
        ("span", span_id) if span_id else ("trace", trace_id),
        trace_id,
        at_us,
        {
            "name": name,
            "score": attributes.get("gen_ai.evaluation.score.value"),
            "label": attributes.get("gen_ai.evaluation.score.label"),
            "explanation": attributes.get("gen_ai.evaluation.explanation"),
            "error": attributes.get("error.type"),
        },
    )


def annotation(
    project: str, target: tuple[str, str], trace_id: str, at_us: int, fields: Mapping[str, Any], *, key: str = ""
) -> Judgement | None:
    """Return an annotation by OpenInference's fields; None without a name.

    The same name, target, `identifier` and `key` are the same judgement.
    """
    name, identifier = text(fields.get("name")), text(fields.get("identifier"))
    if not 1 <= len(name) <= _LONGEST_WORD or not 1 <= len(target[1]) <= _LONGEST_WORD:
        return None
    return _judgement(derived_id(project, *target, name, identifier, key), target, trace_id, at_us, fields)


def _annotations(project: str, span: Span) -> Iterator[Judgement | None]:
    groups: dict[tuple[str, int], dict[str, Any]] = {}
    for attribute, value in span.attributes.items():
        for prefix, (kind, before) in _PREFIXES.items():
            if attribute.startswith(prefix):
                index, field = numbered(attribute.removeprefix(prefix), before)
                if index is not None:
                    groups.setdefault((kind + before, index), {})[field] = value
    targets = {"span": span.span_id, "trace": span.trace_id, "session": span.session_id}
    seen: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (group, _), fields in sorted(groups.items(), key=lambda one: one[0]):
        kind = group.partition(".")[0]
        said = seen.setdefault((kind, text(fields.get("name"))), [])
        # Both terms may carry the same result.
        if fields in said:
            continue
        said.append(fields)
        if fields.get("identifier"):
            # Span ids are unique in their trace only.
            key = span.trace_id if kind == "span" else ""
        else:
            # Which of several of one name it is, and on which span: nothing else tells them apart.
            key = f"{span.trace_id} {span.span_id} {len(said)}"
        yield annotation(project, (kind, targets[kind]), span.trace_id, span.end_us, fields, key=key)


def _judgement(own: str, target: tuple[str, str], trace_id: str, at_us: int, fields: Mapping[str, Any]) -> Judgement:
    value, label = real(fields.get("score")), text(fields.get("label"))[:_LONGEST_WORD]
    missing = ""
    if value is None:
        if fields.get("error"):
            missing = text(fields["error"])[:_LONGEST_WORD]
        elif fields.get("score") is not None:
            missing = "not_a_number"
        elif not label:
            missing = "no_value"
    return Judgement(
        id=own,
        target_kind=target[0],
        target_id=target[1],
        trace_id=trace_id if target[0] == "span" else "",
        name=text(fields["name"]),
        value=value,
        label=label,
        explanation=text(fields.get("explanation"))[:_LONGEST_TEXT],
        source=_SOURCES.get(text(fields.get("annotator_kind")), "code"),
        missing=missing,
        metadata=_metadata(fields.get("metadata")),
        at_us=at_us,
    )


def _metadata(value: Any) -> dict[str, Any]:
    """Return what came with a judgement as a map; what is longer than anybody reads stays where it came from."""
    found = json_value(value)
    return found if isinstance(found, dict) and len(_json.encode(found)) <= _LONGEST_TEXT else {}
