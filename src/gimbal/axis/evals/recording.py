"""Answers from outside: taken as they come, stored before that is said, and judged by a job once their run is finished.

A run is opened, gets answers, and is finished; from then on it is one like all others. What is stored without a judgement
is marked so, and that mark is where a judging that was cut off goes on.

Finishing a run and opening it again each begin a generation of it, and rows are stored as of the generation that their writer
saw: an answer that arrives after its judgement, held up on its way, does not undo it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec
import sqlalchemy as sa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals import reading
from gimbal.axis.evals.answers import (
    MOST_ANSWERS,
    NOT_ANSWERED,
    OpenEvaluation,
    RecordAnswers,
    RecordedAnswer,
    check_answer,
)
from gimbal.axis.evals.judging import Judging, foreseen_judging
from gimbal.axis.evals.metering import judges_of, metered
from gimbal.axis.evals.model import EvaluationOptions, EvaluationResult, EvaluationRun, Example
from gimbal.axis.evals.purse import Purse
from gimbal.axis.evals.results import TABLE, Answer, output_of, said_elsewhere, tally_of, to_rows
from gimbal.axis.evals.running import check_amount, check_cap, judged
from gimbal.axis.evals.runs import JUDGE_JOB
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.store import evaluations
from gimbal.axis.evals.subject import asked_as
from gimbal.axis.evals.suites import Suites, applied, scorers_of
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.scores.asking import Priced
from gimbal.axis.scores.model import ScoreValue
from gimbal.axis.scores.scorer import Applied
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy, Conflict
from gimbal.kernel.ids import new_id
from gimbal.kernel.money import ZERO
from gimbal.kernel.refs import Ref

OnJudged = Callable[[int, int], Awaitable[None]]
_PART = 100
"""Answers that are judged and stored together: so many are judged again after a crash, at most."""
_SUITES = 4
_NAMED = 5
_ROUNDS = 5
"""How often it is looked whether an answer has come while others were judged."""
_WRITES = 60
_LONGEST_NAME = 200
_MOST_SCORES = 50


class _Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A suite as answers are checked by it."""

    examples: list[Example]
    places: dict[str, int]
    scorers: frozenset[str]


class AnswerRecorder:
    """Takes answers from outside and has them judged."""

    def __init__(
        self, columns: Columns, writer: Writer, assets: Assets, suites: Suites, evaluations: Evaluations
    ) -> None:
        self._columns = columns
        self._writer = writer
        self._assets = assets
        self._suites = suites
        self._evaluations = evaluations
        self._runs = evaluations.runs
        # A run of ten thousand answers comes in a hundred calls: its examples are not read anew for each.
        self._known: dict[str, _Suite] = {}

    async def open(self, ctx: Context, body: OpenEvaluation) -> EvaluationRun:
        """Note a run that waits for answers.

        Raise NotFound or BadInput when suite or subject do not fit, Unpriced for a cap that cannot be held.
        """
        suite = await self._assets.resolve(ctx, Ref.parse(body.suite, kind="suite"))
        if suite.kind != "suite":
            raise BadInput(f"{suite.ref} is not a suite.", where="suite", todo="Give one: suite:help/questions.")
        subject = await self._assets.resolve(ctx, Ref.parse(body.subject))
        options = EvaluationOptions(repeats=body.repeats, max_cost=body.max_cost)
        check_amount(body.max_cost)
        scorers = applied(scorers_of(suite))
        if body.max_cost is not None:
            await _foreseen(ctx, options, scorers, await self._suites.examples(suite))
        repeats = body.repeats or int(suite.manifest.get("repeats", 1))
        run = EvaluationRun(
            id=new_id(),
            suite=suite.ref,
            subject=subject.ref,
            asked=asked_as(body.subject, subject.ref),
            status="running",
            done=0,
            total=int(suite.manifest["examples"]) * repeats,
            repeats=repeats,
            options=options,
            client=body.client,
            started_at=ctx.now(),
            started_by=ctx.principal.name,
        )
        await self._runs.add(ctx, run)
        return run

    async def record(self, ctx: Context, run_id: str, body: RecordAnswers) -> EvaluationRun:
        """Store answers durably; the same again replaces itself.

        Raise Conflict where the run takes none, BadInput that names what does not fit; then nothing is stored.
        """
        run = await self._runs.get(ctx, run_id)
        _check_open(run)
        suite = await self._suite(ctx, run)
        _check(body.answers, suite, run.repeats)
        await self._write(ctx, run, [_unjudged(one, suite, run.repeats) for one in body.answers])
        done = await reading.count(self._columns, ctx, run.id)
        # Not before they are stored. Whoever finishes a run while answers are on their way hears that it is finished.
        of_run = (evaluations.c.status == "running", evaluations.c.job_id.is_(None))
        at_least = sa.case((evaluations.c.done < done, done), else_=evaluations.c.done)
        await self._runs.note(run.id, *of_run, done=at_least, answered_at=ctx.now())
        found = await self._runs.get(ctx, run.id)
        _check_open(found)
        if found.generation != run.generation:
            # What was stored is of before, and whatever was judged since then counts instead.
            raise Conflict(
                "The evaluation was finished and opened again meanwhile.", where="id", todo="Send the same again."
            )
        return found

    async def finish(self, ctx: Context, run_id: str, jobs: Jobs) -> EvaluationRun:
        """Take no more answers, and enqueue the job that judges those that came; once more changes nothing.

        Raise Conflict for a run that this server asks for, and for one that failed or was cancelled.
        """
        run = await self._runs.get(ctx, run_id)
        if run.client and run.status in {"running", "done"} and not run.open:
            return run
        _check_open(run)
        running = evaluations.c.status == "running"
        following = run.generation + 1
        return await self._runs.hand_on(ctx, run, running, job=JUDGE_JOB, jobs=jobs, generation=following)

    async def judge(self, ctx: Context, run_id: str, *, progress: OnJudged | None = None) -> EvaluationRun:
        """Judge what is stored and not judged, note what nobody answered, and sum up; cut off, it goes on where it was."""
        return await self._evaluations.carry(ctx, run_id, lambda run: self._judge(ctx, run, progress))

    async def _judge(self, ctx: Context, run: EvaluationRun, progress: OnJudged | None) -> None:
        scorers = await self._evaluations.scorers(ctx, run)
        suite = await self._suite(ctx, run)
        purse = await self._purse(ctx, run, suite, scorers)
        for _ in range(_ROUNDS):
            await self._judge_stored(ctx, run, suite, scorers, purse, progress)
            await self._note_unanswered(ctx, run, suite, scorers)
            # An answer whose sender hears only now that the run was finished may have come between.
            if purse.stopped or not await reading.count(self._columns, ctx, run.id, judged=False):
                break
        status = "stopped" if purse.stopped else "done"
        await self._evaluations.finish(ctx, run, scorers, status=status, error=purse.stopped)

    async def _purse(self, ctx: Context, run: EvaluationRun, suite: _Suite, scorers: Sequence[Applied]) -> Purse:
        """Return the money for judges; raise Unpriced for a cap that cannot be held any more."""
        cap, stored = run.options.max_cost, await reading.spending(self._columns, ctx, run.id)
        judges = None if cap is None else await _foreseen(ctx, run.options, scorers, suite.examples)
        seen = stored.judging if judges_of(scorers) else ZERO
        return Purse(cap, spent=stored.judges, dearest=ZERO, seen=seen, foreseen=judges, judges=stored.judges)

    async def _judge_stored(
        self,
        ctx: Context,
        run: EvaluationRun,
        suite: _Suite,
        scorers: Sequence[Applied],
        purse: Purse,
        progress: OnJudged | None,
    ) -> None:
        left = await reading.count(self._columns, ctx, run.id, judged=False)
        done, after = 0, -1
        while part := await reading.unjudged(self._columns, ctx, run.id, after=after, limit=_PART):
            outputs = await self._with_costs(ctx, run, [output_of(row) for _, row in part])
            asking = asyncio.Semaphore(run.options.concurrency)

            async def one(
                position: int, row: EvaluationResult, output: TargetOutput, asking: asyncio.Semaphore = asking
            ) -> Answer | None:
                example = suite.examples[suite.places[row.example_id]]
                tally = tally_of(row)
                async with asking:
                    if (share := await purse.keep(asking=False)) is None:
                        return None
                    try:
                        scores = await judged(metered(ctx, scorers, tally, share), scorers, example, output)
                    finally:
                        purse.judged(share, tally)
                return Answer(
                    position=position,
                    repeat=row.repeat,
                    example=example,
                    output=output,
                    scores=({} if tally.refused else scores) | said_elsewhere(row),
                    tally=tally,
                    judged=not tally.refused,
                )

            answers = await asyncio.gather(
                *(one(position, row, output) for (position, row), output in zip(part, outputs, strict=True))
            )
            await self._write(ctx, run, [answer for answer in answers if answer is not None])
            after, done = part[-1][0], done + len(part)
            if progress:
                await progress(done, max(left, done))

    async def _note_unanswered(
        self, ctx: Context, run: EvaluationRun, suite: _Suite, scorers: Sequence[Applied]
    ) -> None:
        """Store that nobody answered, where that is so: it is missing, and not less to be done."""
        there = await reading.positions(self._columns, ctx, run.id)
        lost = [place for place in range(len(suite.examples) * run.repeats) if place not in there]
        output = TargetOutput(error=NOT_ANSWERED)
        for start in range(0, len(lost), _PART):
            answers: list[Answer] = []
            for position in lost[start : start + _PART]:
                place, repeat = divmod(position, run.repeats)
                example = suite.examples[place]
                scores = await judged(ctx, scorers, example, output)
                answers.append(Answer(position=position, repeat=repeat, example=example, output=output, scores=scores))
            await self._write(ctx, run, answers)

    async def _suite(self, ctx: Context, run: EvaluationRun) -> _Suite:
        key = f"{ctx.project} {run.suite}"
        if (known := self._known.pop(key, None)) is None:
            version: Version = await self._assets.resolve(ctx, Ref.parse(str(run.suite)))
            examples = await self._suites.examples(version)
            known = _Suite(
                examples=examples,
                places={example.id: place for place, example in enumerate(examples)},
                scorers=frozenset(one.name for one in applied(scorers_of(version))),
            )
        self._known[key] = known
        while len(self._known) > _SUITES:
            del self._known[next(iter(self._known))]
        return known

    async def _write(self, ctx: Context, run: EvaluationRun, answers: Sequence[Answer]) -> None:
        """Store answers as of the generation of `run`: however late they arrive, they replace nothing of a later one."""
        rows = to_rows(ctx.project or "default", run.id, answers, generation=run.generation)
        for attempt in range(1, _WRITES + 1):
            try:
                return await self._writer.write(TABLE, rows)
            except Busy as problem:
                if attempt == _WRITES:
                    raise
                await asyncio.sleep(min(problem.retry_after or 0.1, 1.0))
        raise AssertionError

    async def _with_costs(
        self, ctx: Context, run: EvaluationRun, outputs: Sequence[TargetOutput]
    ) -> list[TargetOutput]:
        """Return outputs with what their traces say of cost and tokens, where they do not say it themselves."""
        told = [one.trace_id for one in outputs if one.trace_id and one.cost is None]
        if not told or not ctx.services.has(Traces):
            return list(outputs)
        # Of a trace that several answers share nobody knows whose cost it is.
        shared = await reading.shared_traces(self._columns, ctx, run.id, told)
        found = await ctx.get(Traces).summaries(ctx, [one for one in told if one not in shared])
        return [
            _priced(one, found[one.trace_id]) if one.cost is None and one.trace_id in found else one for one in outputs
        ]


def _check_open(run: EvaluationRun) -> None:
    if run.open:
        return
    if not run.client:
        raise Conflict(
            "This evaluation's answers are asked for by the server.",
            where="id",
            todo="Open one of your own with evaluations.open.",
        )
    said = "being judged" if run.status == "running" else run.status
    opens, goes_on = run.status in {"failed", "cancelled"}, run.status == "stopped"
    again = "opens it again" if opens else "goes on judging" if goes_on else ""
    raise Conflict(
        f"The evaluation is {said}: it takes no answers.",
        where="id",
        kept="the answers of before",
        todo=f"`gimbal evaluations resume {run.id}` {again}." if again else "Open another one.",
    )


async def _foreseen(
    ctx: Context, options: EvaluationOptions, scorers: Sequence[Applied], examples: Sequence[Example]
) -> Judging:
    """Return what judging will cost; raise Unpriced where a cap cannot be held."""
    found = await foreseen_judging(ctx, scorers, examples)
    check_cap(options, Priced(cost=ZERO), found)
    return found


def _check(answers: Sequence[RecordedAnswer], suite: _Suite, repeats: int) -> None:
    """Raise BadInput that names which answers do not fit."""
    if not 1 <= len(answers) <= MOST_ANSWERS:
        raise BadInput(
            f"A call has 1 to {MOST_ANSWERS} answers, not {len(answers)}.", where="answers", todo="Send them in parts."
        )
    unknown = dict.fromkeys(one.example_id for one in answers if one.example_id not in suite.places)
    if unknown:
        raise BadInput(f"The suite has no example {_names(unknown)}.", where="answers", todo="Give ids of the suite.")
    beyond = dict.fromkeys(f"{one.example_id} repeat {one.repeat}" for one in answers if not 0 <= one.repeat < repeats)
    if beyond:
        raise BadInput(
            f"Each example is asked {repeats} times, from 0: there is no {_names(beyond)}.",
            where="answers",
            todo="Count repeats from 0.",
        )
    seen: set[tuple[str, int]] = set()
    for index, one in enumerate(answers):
        where = f"answers[{index}]"
        if (key := (one.example_id, one.repeat)) in seen:
            raise BadInput(
                f"There are two answers to {one.example_id!r} repeat {one.repeat}.", where=where, todo="Send one."
            )
        seen.add(key)
        _check_fields(one, suite, where)


def _check_fields(one: RecordedAnswer, suite: _Suite, where: str) -> None:
    check_answer(one, where)
    names = {*one.scores, *one.missing, *one.labels}
    for name, why in one.missing.items():
        if name in one.scores or not why:
            told = "has a value and is missing" if why else "is missing without a reason"
            raise BadInput(
                f"{name[:_LONGEST_NAME]!r} {told}.", where=f"{where}.missing", todo="Give a value, or a reason."
            )
    ours = sorted(names & suite.scorers)
    if ours:
        raise BadInput(
            f"{ours[0]!r} is a scorer of the suite.", where=f"{where}.scores", todo=f"Call it tool/{ours[0]}."
        )
    if len(names) > _MOST_SCORES or any(not 1 <= len(name) <= _LONGEST_NAME for name in names):
        raise BadInput(
            f"An answer has up to {_MOST_SCORES} scores of others, with names of 1 to {_LONGEST_NAME} characters.",
            where=f"{where}.scores",
            todo="Leave some out.",
        )


def _names(found: Iterable[str]) -> str:
    listed = [repr(one[:_LONGEST_NAME]) for one in found]
    return ", ".join(listed[:_NAMED]) + (f" and {len(listed) - _NAMED:,} more" if len(listed) > _NAMED else "")


def _unjudged(one: RecordedAnswer, suite: _Suite, repeats: int) -> Answer:
    place = suite.places[one.example_id]
    said = {
        name: ScoreValue(value=one.scores.get(name), missing=one.missing.get(name, ""), label=one.labels.get(name, ""))
        for name in dict.fromkeys([*one.scores, *one.missing, *one.labels])
    }
    return Answer(
        position=place * repeats + one.repeat,
        repeat=one.repeat,
        example=suite.examples[place],
        output=one,
        scores=said,
        judged=False,
    )


def _priced(output: TargetOutput, trace: TraceSummary) -> TargetOutput:
    tokens = (output.input_tokens, output.output_tokens)
    told = (trace.input_tokens, trace.output_tokens) if tokens == (None, None) else tokens
    # A part of the cost is no cost.
    cost = None if trace.unpriced else trace.cost
    return msgspec.structs.replace(output, cost=cost, input_tokens=told[0], output_tokens=told[1])
