"""Traces by what was said of them: a score's name, its value or word, and who judged.

Scores stand above traces. Whoever keeps them tells by a Protocol of `judgements` where they are; the condition that is made of it
stands in the same statement as all others, so that pages, sorts and sums are as exact as without it.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.traces.filters import Condition, TraceFilter
from gimbal.axis.traces.judgements import ANY, MISSING, UNSCORED, Judgements, ScoreTest
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

SOURCES = ("human", "judge", "code", "user")
_BOUNDS = ("<=", ">=", "<", ">")
_LONGEST = 200
_MOST = 5
_HOW = "Write it like helpful:<0.5, tone:rude, helpful:unscored, helpful:missing, or helpful alone for any value."


def read_tests(scores: Sequence[str] | None, source: str | None) -> tuple[ScoreTest, ...]:
    """Return what callers wrote; raise BadInput."""
    if source and source not in SOURCES:
        raise BadInput(f"Nobody judges as {source!r}.", where="scored_by", todo=f"Choose one of {', '.join(SOURCES)}.")
    given = list(dict.fromkeys(scores or ()))
    if len(given) > _MOST:
        raise BadInput(f"{len(given)} scores are too many to ask for.", where="score", todo=f"Give at most {_MOST}.")
    if not given and source:
        return (ScoreTest(source=source),)
    return tuple(_read(text, source or "") for text in given)


def _read(text: str, source: str) -> ScoreTest:
    name, colon, test = (part.strip() for part in text.rpartition(":"))
    if not colon:
        name, test = test, ANY
    if not name or not test or len(text) > 2 * _LONGEST or "\0" in text:
        raise BadInput(f"{text[:_LONGEST]!r} says nothing of a score.", where="score", todo=_HOW)
    if test in {ANY, UNSCORED, MISSING}:
        return ScoreTest(name=name, test=test, source=source)
    for sign in _BOUNDS:
        if test.startswith(sign):
            bound = _number(test.removeprefix(sign))
            if bound is None:
                raise BadInput(f"{text!r} compares with no number.", where="score", todo=_HOW)
            return ScoreTest(name=name, test=sign, bound=bound, source=source)
    word = test.removeprefix("=").strip()
    return ScoreTest(name=name, test="=", bound=_number(word), text=word, source=source)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def with_scores(ctx: Context, narrowed: TraceFilter, tests: Sequence[ScoreTest]) -> TraceFilter:
    """Return a filter that asks for scores, too. Raise BadInput where nobody keeps any."""
    if not tests:
        return narrowed
    if not ctx.services.has(Judgements):
        raise BadInput("No scores are kept here.", where="score", todo="Leave the score out.")
    found = tuple(_condition(ctx.get(Judgements), test, f"score{place}") for place, test in enumerate(tests))
    return msgspec.structs.replace(narrowed, judged=(*narrowed.judged, *found))


def _condition(judgements: Judgements, test: ScoreTest, place: str) -> Condition:
    """Return what `trace_id` must fulfil."""
    traces, values = traces_judged(judgements, test, place)
    return Condition(f"trace_id {'NOT IN' if test.test == UNSCORED else 'IN'} ({traces})", values, ("trace_id",))


def traces_judged(judgements: Judgements, test: ScoreTest, place: str) -> tuple[str, dict[str, Any]]:
    """Return the statement of the traces that were judged so, or of which a span was; its parameters begin with `place`."""
    sql, values = judgements.judged(test, place)
    # Span ids are unique in their trace only, and a score may have come without it: then all that bear the id are meant.
    return (
        f"SELECT if(kind = 'trace', target, trace) FROM ({sql}) WHERE kind = 'trace' OR trace != '' "
        "UNION ALL SELECT trace_id FROM spans WHERE project = {project:String} AND span_id IN ("
        f"SELECT target FROM ({sql}) WHERE kind = 'span' AND trace = '')"
    ), values
