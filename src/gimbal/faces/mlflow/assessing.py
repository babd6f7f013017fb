"""Assessments of MLflow as scores, and scores as its clients read them.

A number is the score's value, a word its label, yes and no are both; what a score cannot hold, lists and maps, errors,
overrides and MLflow's own metadata, is beside it under `mlflow`. What is expected is no judgement: it has a label and no
value. What another one overrides is missing as `overridden`, so that nobody counts it.
"""

import math
import uuid
from datetime import datetime
from typing import Any, Literal

import msgspec

from gimbal.axis.traces.finding_model import Judgement
from gimbal.faces.mlflow.names import invalid
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.ids import new_id

MARK = "mlflow"
OVERRIDDEN = "overridden"
_PREFIX = "a-"
_SOURCES = {"HUMAN": "human", "LLM_JUDGE": "judge", "AI_JUDGE": "judge", "CODE": "code"}
_SHOWN = {"human": "HUMAN", "user": "HUMAN", "judge": "LLM_JUDGE", "code": "CODE"}
_LONGEST_NAME, _LONGEST_WORD, _LONGEST_TEXT, _MOST_BYTES = 250, 200, 20_000, 65_536
_LONGEST_RATIONALE = 100_000
_LAST_US = 253_402_300_799_000_000


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who judged."""

    source_type: str = ""
    source_id: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why there is no value."""

    error_code: str = ""
    error_message: str = ""
    stack_trace: str = ""


class Feedback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was thought of an output."""

    value: Any = None
    error: Problem | None = None


class Serialized(msgspec.Struct, frozen=True, kw_only=True):
    """A value as JSON text."""

    serialization_format: str = ""
    value: str = ""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an output should have been."""

    value: Any = None
    serialized_value: Serialized | None = None


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """An assessment as clients send it."""

    assessment_id: str = ""
    assessment_name: str = ""
    trace_id: str = ""
    span_id: str = ""
    source: Source = Source()
    create_time: datetime | None = None
    last_update_time: datetime | None = None
    feedback: Feedback | None = None
    expectation: Expectation | None = None
    issue: dict[str, Any] | None = None
    rationale: str = ""
    error: Problem | None = None
    metadata: dict[str, str] = {}
    overrides: str = ""
    valid: bool = True


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of an assessment beside what a score says."""

    kind: Literal["feedback", "expectation"] = "feedback"
    value: Any = None
    label: str = ""
    """The word that a score of another sender has beside its number."""
    error: Problem | None = None
    source: Source = Source()
    metadata: dict[str, str] = {}
    overrides: str = ""
    valid: bool = True
    updated_us: int = 0


def own_id(assessment_id: str) -> str:
    """Return the id of a score by that of an assessment; raise NotFound for what can be none."""
    try:
        return str(uuid.UUID(assessment_id.removeprefix(_PREFIX)))
    except ValueError:
        raise NotFound(f"Assessment with ID '{assessment_id[:200]}' not found", where="assessment_id") from None


def shown_id(score_id: str) -> str:
    """Return the id of an assessment by that of its score."""
    return _PREFIX + score_id.replace("-", "")


def judgement_of(given: Assessment, trace_id: str, now_us: int, *, fallback: str) -> Judgement:
    """Return a new assessment as a judgement of its trace or span; `fallback` is who judged where nobody is named.

    Raise BadInput for one that cannot be.
    """
    if given.issue is not None or (given.feedback is None) == (given.expectation is None):
        raise BadInput(
            "Exactly one of `expectation` or `feedback` should be specified.",
            where="assessment",
            kept="nothing",
            todo="Issues are not kept here.",
        )
    kept = Kept(
        kind="feedback" if given.feedback is not None else "expectation",
        value=given.feedback.value if given.feedback is not None else expected(given.expectation),
        error=(given.feedback.error if given.feedback is not None else None) or given.error,
        source=given.source,
        metadata=given.metadata,
        overrides=given.overrides,
        valid=given.valid,
        updated_us=_us(given.last_update_time, now_us),
    )
    own = own_id(given.assessment_id) if given.assessment_id else new_id()
    base = Judgement(
        id=own,
        target_kind="span" if given.span_id else "trace",
        target_id=given.span_id or trace_id,
        trace_id=trace_id if given.span_id else "",
        name=given.assessment_name,
        source=_SOURCES.get(given.source.source_type.upper(), "code"),
        author=given.source.source_id[:_LONGEST_WORD] or fallback,
        at_us=_us(given.create_time, now_us),
    )
    return said(base, kept, given.rationale)


def said(base: Judgement, kept: Kept, rationale: str) -> Judgement:
    """Return a judgement that says what an assessment says; raise BadInput for what is too long or has no name."""
    if not 1 <= len(base.name) <= _LONGEST_NAME or not base.name.isprintable():
        raise invalid("assessment.assessment_name", base.name, f"a name has 1 to {_LONGEST_NAME} characters.")
    if len(rationale) > _LONGEST_RATIONALE:
        raise invalid("assessment.rationale", rationale[:80], f"it has more than {_LONGEST_RATIONALE} characters.")
    metadata = {**base.metadata, MARK: msgspec.to_builtins(kept)}
    if len(msgspec.json.encode(metadata)) > _MOST_BYTES:
        raise invalid("assessment", base.name, f"value and metadata have more than {_MOST_BYTES} bytes.")
    value, label = _measured(kept.value)
    label, explanation = kept.label or label, rationale
    if kept.kind == "expectation":
        value, label = None, label or _text(kept.value)[:_LONGEST_WORD]
        explanation = _text(kept.value)[:_LONGEST_TEXT]
    why = ""
    if kept.error is not None:
        value, label, why = None, "", kept.error.error_code or "error"
        explanation = explanation or kept.error.error_message[:_LONGEST_TEXT]
    elif value is None and not label:
        why = "no_value"
    if not kept.valid:
        value, label, why = None, "", OVERRIDDEN
    return msgspec.structs.replace(
        base, value=value, label=label, explanation=explanation, missing=why[:_LONGEST_WORD], metadata=metadata
    )


def kept_of(one: Judgement) -> Kept:
    """Return what is beside a score; of one that is no assessment of MLflow, what its clients would have written."""
    if MARK in one.metadata:
        try:
            return msgspec.convert(one.metadata[MARK], Kept)
        except msgspec.ValidationError:
            # Somebody else wrote something of this name.
            pass
    rest = {name: _text(value) for name, value in one.metadata.items()}
    return Kept(
        value=one.value if one.value is not None else one.label or None,
        label=one.label if one.value is not None else "",
        error=Problem(error_code=one.missing) if one.missing else None,
        source=Source(source_type=_SHOWN.get(one.source, "CODE"), source_id=one.author or "default"),
        metadata=rest,
    )


def shown_assessment(one: Judgement, trace_id: str) -> dict[str, Any]:
    """Return a judgement of a trace, or of a span of it, in MLflow's form."""
    kept = kept_of(one)
    found: dict[str, Any] = {
        "assessment_id": shown_id(one.id),
        "assessment_name": one.name,
        "trace_id": f"tr-{trace_id}",
        "source": {
            "source_type": kept.source.source_type or _SHOWN.get(one.source, "CODE"),
            "source_id": kept.source.source_id or one.author or "default",
        },
        "create_time": _time(one.at_us),
        "last_update_time": _time(kept.updated_us or one.at_us),
        "valid": kept.valid,
    }
    if kept.kind == "expectation":
        found["expectation"] = _expectation(kept.value)
    else:
        found["feedback"] = {"value": kept.value} | (
            {} if kept.error is None else {"error": msgspec.to_builtins(kept.error)}
        )
        if rationale := rationale_of(one, kept):
            found["rationale"] = rationale
    more = {
        "span_id": one.target_id if one.target_kind == "span" else "",
        "metadata": kept.metadata,
        "overrides": kept.overrides,
    }
    return found | {name: value for name, value in more.items() if value}


def rationale_of(one: Judgement, kept: Kept) -> str:
    """Return why somebody judged so: an error that had no rationale is explained by its own message."""
    own = kept.error is not None and one.explanation == kept.error.error_message[:_LONGEST_TEXT]
    return "" if own else one.explanation


def expected(given: Expectation | None) -> Any:
    """Return what an expectation says; raise BadInput for one that says nothing."""
    if given is None:
        return None
    text = given.serialized_value
    if text is None:
        value = given.value
    elif text.serialization_format != "JSON_FORMAT":
        raise invalid("assessment.expectation", text.serialization_format, "only JSON_FORMAT is read.")
    else:
        try:
            value = msgspec.json.decode(text.value)
        except (msgspec.DecodeError, RecursionError):
            raise invalid("assessment.expectation", text.value[:80], "it is not valid JSON.") from None
    if value is None:
        raise invalid("assessment.expectation", None, "The `value` field must be specified.")
    return value


def _expectation(value: Any) -> dict[str, Any]:
    if isinstance(value, bool | int | float | str):
        return {"value": value}
    return {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": _text(value)}}


def _measured(value: Any) -> tuple[float | None, str]:
    """Return what a score says of a value."""
    if isinstance(value, bool):
        return float(value), str(value).lower()
    if isinstance(value, int | float):
        return (float(value), "") if math.isfinite(value) else (None, str(value))
    return None, "" if value is None else _text(value)[:_LONGEST_WORD]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _us(at: datetime | None, otherwise: int) -> int:
    return otherwise if at is None else min(max(to_us(at), 1), _LAST_US)


def _time(us: int) -> str:
    return from_us(us).isoformat().replace("+00:00", "Z")
