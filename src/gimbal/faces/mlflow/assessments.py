"""MLflow's calls on assessments: feedback and expectations of a trace or a span, which are scores here."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.retention.service import Retaining
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.finding_model import Judgement
from gimbal.faces.mlflow import assessing
from gimbal.faces.mlflow.assessing import Assessment, Kept
from gimbal.faces.mlflow.names import invalid
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.trace_reading import MOST_ASSESSMENTS, own_trace_id, shown_trace_id, trace_of
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.ids import derived_id
from gimbal.kernel.operations import AuditEntry, AuditTrail

_ALL = "/mlflow/traces/{trace_id}/assessments"
_ONE = _ALL + "/{assessment_id}"
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
_UPDATED = frozenset({"assessment_name", "feedback", "expectation", "rationale", "metadata"})


class NewAssessment(msgspec.Struct, frozen=True, kw_only=True):
    """An assessment to keep."""

    trace_id: str = ""
    assessment: Assessment = Assessment()


class OneAssessment(msgspec.Struct, frozen=True, kw_only=True):
    """An assessment by its id."""

    trace_id: str = ""
    assessment_id: str = ""


class ChangedAssessment(OneAssessment, frozen=True, kw_only=True):
    """What shall be changed of an assessment."""

    assessment: Assessment = Assessment()
    update_mask: str | dict[str, list[str]] = ""


@call("POST", _ALL, NewAssessment, allow=Permission.DEVELOP, version=3)
async def create(ctx: Context, asked: NewAssessment) -> dict[str, Any]:
    """Keep an assessment; one that it overrides counts no more."""
    trace_id = (await trace_of(ctx, asked.trace_id)).trace_id
    given = msgspec.structs.replace(asked.assessment, assessment_id="")
    made = _made(ctx, trace_id, given, await _all(ctx, trace_id) if given.overrides else {})
    await ctx.get(Scores).keep(ctx, made)
    return {"assessment": assessing.shown_assessment(made[-1], trace_id)}


@call("GET", _ONE, OneAssessment, allow=Permission.VIEW, version=3)
async def get(ctx: Context, asked: OneAssessment) -> dict[str, Any]:
    """Show an assessment."""
    trace_id, one = await _found(ctx, asked)
    return {"assessment": assessing.shown_assessment(one, trace_id)}


@call("PATCH", _ONE, ChangedAssessment, allow=Permission.DEVELOP, version=3)
async def update(ctx: Context, asked: ChangedAssessment) -> dict[str, Any]:
    """Change what an assessment says; who judged and what stay as they are. A legal hold keeps what was said."""
    trace_id, one = await _found(ctx, asked)
    await ctx.get(Retaining).must_not_be_held(ctx)
    given, names, kept = asked.assessment, _mask(asked.update_mask), assessing.kept_of(one)
    if {"feedback", "expectation"} <= names:
        raise BadInput("Cannot specify both `expectation` and `feedback` parameters.", where="update_mask")
    for kind, other in (("feedback", "Expectation"), ("expectation", "Feedback")):
        if kind in names and kept.kind != kind:
            raise BadInput(f"Cannot update {kind} value on an {other} assessment.", where=f"assessment.{kind}")
    changes: dict[str, Any] = {"updated_us": to_us(ctx.now())}
    if "feedback" in names:
        feedback = given.feedback or assessing.Feedback()
        changes |= {"value": feedback.value, "label": "", "error": feedback.error}
    if "expectation" in names:
        changes["value"] = assessing.expected(given.expectation)
    if "metadata" in names:
        changes["metadata"] = kept.metadata | given.metadata
    named = msgspec.structs.replace(one, name=given.assessment_name if "assessment_name" in names else one.name)
    new = assessing.said(
        named,
        msgspec.structs.replace(kept, **changes),
        given.rationale if "rationale" in names else assessing.rationale_of(one, kept),
    )
    await ctx.get(Scores).keep(ctx, [new])
    if new.name != one.name:
        await ctx.get(Scores).forget(ctx, one)
    return {"assessment": assessing.shown_assessment(new, trace_id)}


@call("DELETE", _ONE, OneAssessment, allow=Permission.DEVELOP, version=3)
async def delete(ctx: Context, asked: OneAssessment) -> None:
    """Delete an assessment; what it overrode counts again. A second time changes nothing; a legal hold refuses it."""
    await trace_of(ctx, asked.trace_id)
    await ctx.get(Retaining).must_not_be_held(ctx)
    try:
        trace_id, one = await _found(ctx, asked)
    except NotFound:
        return
    if overridden := assessing.kept_of(one).overrides:
        before = (await _all(ctx, trace_id)).get(assessing.own_id(overridden))
        if before is not None:
            await ctx.get(Scores).keep(ctx, [_valid(before, valid=True)])
    await ctx.get(Scores).forget(ctx, one)
    await ctx.get(AuditTrail).record(_entry(ctx, trace_id, one))


async def keep_sent(ctx: Context, trace_id: str, given: Sequence[Assessment]) -> None:
    """Store the assessments that came with what is said of a trace, each once however often its sender comes.

    Those that cannot be kept keep no others away: afterwards the first error of them is raised.
    """
    known = await _all(ctx, trace_id) if any(one.overrides for one in given) else {}
    found: dict[str, Judgement] = {}
    chosen: set[str] = set()
    wrong: list[GimbalError] = []
    times: Counter[str] = Counter()
    for one in given:
        said = (one.span_id, one.assessment_name, one.source.source_type, one.source.source_id, str(one.create_time))
        own = derived_id(ctx.project or "default", trace_id, *said)
        times[own] += 1
        named = one.assessment_id or derived_id(own, str(times[own]))
        try:
            made = _made(ctx, trace_id, msgspec.structs.replace(one, assessment_id=named), known)
        except (BadInput, NotFound) as error:
            wrong.append(error)
        else:
            found |= {each.id: each for each in made}
            if one.assessment_id:
                chosen.add(made[-1].id)
    if found:
        await ctx.get(Scores).keep(ctx, list(found.values()), named=chosen)
    if wrong:
        wrong[0].kept = f"the trace, and {len(given) - len(wrong)} of its {len(given)} assessments"
        raise wrong[0]


def _made(ctx: Context, trace_id: str, one: Assessment, known: Mapping[str, Judgement]) -> list[Judgement]:
    """Return what an assessment overrides, as it is from now on, and the assessment; `known` are those of the trace.

    Raise BadInput for what cannot be one, NotFound for overriding what is not there.
    """
    if one.span_id and not _SPAN_ID.fullmatch(one.span_id):
        raise invalid("assessment.span_id", one.span_id, "it is not the id of a span: 16 hex digits.")
    made = [assessing.judgement_of(one, trace_id, to_us(ctx.now()), fallback=ctx.principal.name)]
    if one.overrides:
        before = known.get(assessing.own_id(one.overrides))
        if before is None:
            raise _missing(one.overrides, trace_id)
        made.insert(0, _valid(before, valid=False))
    return made


def _valid(one: Judgement, *, valid: bool) -> Judgement:
    kept: Kept = assessing.kept_of(one)
    return assessing.said(one, msgspec.structs.replace(kept, valid=valid), one.explanation)


async def _all(ctx: Context, trace_id: str) -> dict[str, Judgement]:
    found = await ctx.get(Scores).of_many(ctx, "trace", [trace_id], each=MOST_ASSESSMENTS)
    return {one.id: one for one in found.get(trace_id, ())}


async def _found(ctx: Context, asked: OneAssessment) -> tuple[str, Judgement]:
    trace_id = own_trace_id(asked.trace_id)
    own = assessing.own_id(asked.assessment_id)
    found = (await _all(ctx, trace_id)).get(own)
    if found is None:
        await trace_of(ctx, asked.trace_id)
        raise _missing(asked.assessment_id, trace_id)
    return trace_id, found


def _missing(assessment_id: str, trace_id: str) -> NotFound:
    return NotFound(
        f"Assessment with ID '{assessment_id[:200]}' not found for trace '{shown_trace_id(trace_id)}'",
        where="assessment_id",
    )


def _entry(ctx: Context, trace_id: str, one: Judgement) -> AuditEntry:
    return AuditEntry(
        at=ctx.now(), project=ctx.project, actor_kind=ctx.principal.kind, actor_id=ctx.principal.id,
        actor_name=ctx.principal.name, action="scores.delete", outcome="done", origin=ctx.origin, client=ctx.client,
        details={"trace_id": trace_id, "score": one.id, "name": one.name},
    )  # fmt: skip


def _mask(given: str | dict[str, list[str]]) -> frozenset[str]:
    """Return the fields of an update; protobuf writes them in camel case, between commas."""
    paths = given.split(",") if isinstance(given, str) else given.get("paths", [])
    names = {re.sub(r"[A-Z]", lambda one: f"_{one[0].lower()}", path.strip()) for path in paths} - {""}
    if unknown := sorted(names - _UPDATED):
        raise invalid("update_mask", unknown, f"fields that can be updated are {sorted(_UPDATED)}.")
    return frozenset(names)
