"""The verbs of a replay: tell what it would ask and cost, and begin it."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.answers import MOST_ANSWERS, OpenEvaluation, RecordAnswers, RecordedAnswer
from gimbal.axis.evals.building.from_traces import filter_of
from gimbal.axis.evals.building.model import OWN_FEATURES, TraceSelection
from gimbal.axis.evals.building.sampling import Candidate, look
from gimbal.axis.evals.judging import foreseen_judging
from gimbal.axis.evals.metering import judges_of
from gimbal.axis.evals.model import (
    MOST_AT_ONCE,
    CreateSuite,
    EvaluationOptions,
    EvaluationRun,
    Example,
    StartEvaluation,
)
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.running import check_amount, check_cap
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites, applied
from gimbal.axis.evals.target import Foreseen
from gimbal.axis.scores.builtin.refusal import refused
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces, arrived
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.stats import paired
from gimbal.generative.gateway.foreseeing import foreseen
from gimbal.generative.gateway.replaying.captured import Captured, captured
from gimbal.generative.gateway.replaying.model import Answerer, Replay, ReplayPlan, ReplayRequest
from gimbal.generative.prompts.model import PromptManifest, RetrievalSetting, decode_manifest, format_messages
from gimbal.generative.prompts.service import as_prompt
from gimbal.kernel.clock import iso
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import Latest, Ref, ResolvedRef

_SCORERS: tuple[str, ...] = ("refusal", "length", "latency", "cost")
_FORM = "json_schema"
_CLIENT = "replay"
_AT_ONCE = 4
"""Traces that are read at the same time."""
_MOST_READ = 10
"""Traces that are read for each call that is wanted: where hardly one can be asked again nobody needs more to see it."""


class _Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What was captured, and what will be asked."""

    candidate: Version
    manifest: PromptManifest
    calls: list[Captured]
    traces: int
    share: float
    unused: Counter[str]
    foreseen: Foreseen

    @property
    def examples(self) -> list[Example]:
        """The calls as a suite holds them; where several versions answered each is a slice."""
        several = len({one.version for one in self.calls}) > 1
        form = self.manifest.response
        return [
            Example(
                id=one.id,
                input=one.input,
                expected=_refused(one) | ({"schema": form.schema} if form is not None else {}),
                cluster=one.cluster,
                slice=one.version if several else "",
                metadata={"trace": one.answer.trace_id, "version": one.version},
            )
            for one in self.calls
        ]

    @property
    def clusters(self) -> int:
        """How many sessions, or traces, they are of."""
        return len({one.cluster for one in self.calls})

    @property
    def answered_by(self) -> list[tuple[str, int]]:
        """The versions that answered, with their calls."""
        return Counter(one.version for one in self.calls).most_common()


async def plan(ctx: Context, body: ReplayRequest) -> ReplayPlan:
    """Tell what a replay would ask and cost; nothing is asked or stored. Raise NotFound, or BadInput for what does not fit."""
    drawn = await _drawn(ctx, body)
    count = len(drawn.calls)
    costs = [one.answer.cost for one in drawn.calls if one.answer.cost is not None]
    cost, most = drawn.foreseen.cost, drawn.foreseen.most
    scorers = applied(_scorers(drawn, body))
    judging = await foreseen_judging(ctx, scorers, drawn.examples)
    return ReplayPlan(
        candidate=drawn.candidate.ref,
        traces=drawn.traces,
        share=drawn.share,
        calls=count,
        clusters=drawn.clusters,
        unused=dict(drawn.unused),
        unfit=dict(_unfit(drawn)),
        answered_by=[Answerer(ref=ref, calls=calls) for ref, calls in drawn.answered_by],
        spent=sum(costs, Decimal(0)) if costs else None,
        cost=None if cost is None else cost * count,
        most=None if most is None else most * count,
        unpriced=drawn.foreseen.unpriced,
        judges=judges_of(scorers),
        judge_calls=round(judging.calls * count * 2),
        judge_cost=None if judging.cost is None else judging.cost * count * 2,
        judge_unpriced=judging.unpriced,
        detectable=paired.detectable_share(drawn.clusters),
    )


async def start(ctx: Context, body: ReplayRequest) -> Replay:
    """Store the captured calls as a suite and their answers as an evaluation, and have the candidate asked, as a job.

    Raise NotFound, BadInput where no call can be asked again or the candidate fits none, Unpriced for a cap that cannot be held.
    """
    drawn = await _drawn(ctx, body)
    await _check(ctx, drawn, body)
    suite = await ctx.get(Suites).create(
        ctx,
        CreateSuite(
            name=f"replays/{drawn.candidate.name}",
            examples=drawn.examples,
            scorers=_scorers(drawn, body),
            task=str(drawn.candidate.ref),
            note=_note(drawn, body),
        ),
    )
    before = await _recorded(ctx, suite.ref, drawn, body.max_cost)
    options = {name: getattr(body, name) for name in EvaluationOptions.__struct_fields__}
    asked = str(Ref.parse(body.candidate, kind="prompt"))
    evaluation = StartEvaluation(suite=str(suite.ref), subject=str(drawn.candidate.ref), asked=asked, **options)
    after = await ctx.get(Evaluations).start(ctx, evaluation, ctx.get(Jobs))
    return Replay(suite=suite.ref, before=before, after=after)


async def _check(ctx: Context, drawn: _Drawn, body: ReplayRequest) -> None:
    """Raise BadInput, or Unpriced, before anything is stored."""
    if not 1 <= body.concurrency <= MOST_AT_ONCE:
        raise BadInput(f"The concurrency is 1 to {MOST_AT_ONCE}.", where="concurrency", todo="Choose another.")
    check_amount(body.max_cost)
    if not drawn.calls:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in drawn.unused.items())
        raise BadInput(
            f"No call in {drawn.traces:,} traces can be asked again{f' ({reasons})' if reasons else ''}.",
            where="since",
            kept="nothing was asked or stored",
            todo="Take a longer time, or another prompt with `of`. Calls by prompt:NAME and gimbal.prompt().format() in a "
            "span note what it takes.",
        )
    unfit = _unfit(drawn)
    if unfit.total() == len(drawn.calls):
        reason, _ = unfit.most_common(1)[0]
        raise BadInput(
            f"{drawn.candidate.ref} can be filled with none of {len(drawn.calls):,} captured calls: {reason}",
            where="candidate",
            kept="nothing was asked or stored",
            todo="Give its new variables defaults.",
        )
    check_cap(body, drawn.foreseen, await foreseen_judging(ctx, applied(_scorers(drawn, body)), drawn.examples))


async def _drawn(ctx: Context, body: ReplayRequest) -> _Drawn:
    """Return captured calls by lot, each trace's together, until there are enough."""
    candidate = await ctx.get(Assets).resolve(ctx, as_prompt(Ref.parse(body.candidate, kind="prompt")))
    manifest = decode_manifest(candidate.manifest)
    of = await _asked_of(ctx, body, candidate)
    selection = TraceSelection(
        since=body.since, until=body.until, user=body.user, feature=body.feature, ref=of, score=body.score
    )
    await arrived(ctx)
    looked = await look(ctx, filter_of(ctx, selection), body.seed, _own)
    found = looked.parts.get("", [])
    calls: list[Captured] = []
    unused: Counter[str] = Counter()
    for begin in range(0, min(len(found), body.sample * _MOST_READ), _AT_ONCE):
        for some, others in await asyncio.gather(*(_read(ctx, one, of) for one in found[begin : begin + _AT_ONCE])):
            calls += [call for call in some if body.feature in {None, call.feature}]
            unused.update(others)
        if len(calls) >= body.sample:
            break
    calls = calls[: body.sample]
    examples = [Example(id=one.id, input=one.input) for one in calls]
    return _Drawn(
        candidate=candidate,
        manifest=manifest,
        calls=calls,
        traces=len(found),
        share=looked.share,
        unused=unused,
        foreseen=await foreseen(ctx, candidate, examples),
    )


async def _asked_of(ctx: Context, body: ReplayRequest, candidate: Version) -> str:
    """Return whose calls are meant, as spans name it; raise NotFound."""
    if not body.of:
        return f"prompt:{candidate.name}"
    ref = as_prompt(Ref.parse(body.of, kind="prompt"))
    version = (await ctx.get(Assets).resolve(ctx, ref)).ref
    return version.asset if isinstance(ref.selector, Latest) else str(version)


async def _own(rows: Sequence[TraceSummary]) -> Mapping[str, str]:
    """Lay aside what Gimbal itself asked: a search for a better prompt asks more than a day of production."""
    return {one.trace_id: one.feature for one in rows if one.feature in OWN_FEATURES}


async def _read(ctx: Context, one: Candidate, of: str) -> tuple[list[Captured], list[str]]:
    try:
        trace = await ctx.get(Traces).get(ctx, one.trace_id)
    except NotFound:  # retention took it in the meantime
        return [], []
    found, unused = captured(trace, of)
    return found, [str(reason) for reason in unused]


def _unfit(drawn: _Drawn) -> Counter[str]:
    """Return how many calls the candidate cannot be filled with, by what is wrong."""
    setting: RetrievalSetting | None = drawn.manifest.retrieval
    found: Counter[str] = Counter()
    for one in drawn.calls:
        values = {name: value for name, value in one.input.items() if name in drawn.manifest.variables}
        if setting is not None:
            values[setting.into] = ""
        try:
            format_messages(drawn.manifest, values)
        except BadInput as problem:
            found[problem.message] += 1
    return found


def _refused(one: Captured) -> dict[str, Any]:
    """Return whether the answer of then was a refusal: to refuse more, or less, is the change that needs no other judge."""
    if one.answer.error and one.answer.failure != "refused":
        return {}
    found = refused({}, {"text": one.answer.text, "refused": one.answer.failure == "refused"})
    return {} if found.value is None else {"refuses": bool(found.value)}


def _scorers(drawn: _Drawn, body: ReplayRequest) -> list[str | ScorerSetting]:
    return list(body.scorers) or [*_SCORERS, *([_FORM] if drawn.manifest.response is not None else [])]


def _note(drawn: _Drawn, body: ReplayRequest) -> str:
    until = f" until {iso(body.until)}" if body.until else ""
    drawn_of = "" if len(drawn.calls) < body.sample else f", drawn of {drawn.traces:,} traces with seed {body.seed}"
    return f"{len(drawn.calls):,} calls of {body.of or drawn.candidate.asset} since {iso(body.since)}{until}{drawn_of}"


async def _recorded(ctx: Context, suite: ResolvedRef, drawn: _Drawn, cap: Decimal | None) -> EvaluationRun:
    """Store the answers that were given as an evaluation of the version that gave most of them."""
    recorder, (subject, _) = ctx.get(AnswerRecorder), drawn.answered_by[0]
    opened = OpenEvaluation(suite=str(suite), subject=subject, repeats=1, client=_CLIENT, max_cost=cap)
    run = await recorder.open(ctx, opened)
    answers = [
        RecordedAnswer(example_id=one.id, **{name: getattr(one.answer, name) for name in one.answer.__struct_fields__})
        for one in drawn.calls
    ]
    for begin in range(0, len(answers), MOST_ANSWERS):
        await recorder.record(ctx, run.id, RecordAnswers(answers=answers[begin : begin + MOST_ANSWERS]))
    return await recorder.finish(ctx, run.id, ctx.get(Jobs))
