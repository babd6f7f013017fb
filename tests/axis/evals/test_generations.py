"""Which row of a place counts: that of the later generation of its run, however late another one arrives."""

import asyncio

import pytest
from tests.axis.evals.test_recording import finished, opened, record, recorder, right
from tests.axis.evals.test_recording_late import Held, beside
from tests.axis.evaluating import SUITE, Answers, examples, store_subject, store_suite

import gimbal.axis.evals.retained  # noqa: F401  # pyright: ignore[reportUnusedImport] - declares the data class
from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import EvaluationRun, Example, ResumeEvaluation, StartEvaluation
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.results import MOST_GENERATIONS, TABLE, Answer, to_rows
from gimbal.axis.evals.running import Progress
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.retention.classes import CLASSES
from gimbal.axis.scores.model import ScoreValue
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Rows, Writer
from gimbal.kernel.clock import SystemClock, to_us
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import Conflict
from gimbal.kernel.ids import new_id

__all__ = ["recorder"]
DAY_US = 86_400_000_000


async def judged_in_part(ctx: Context, run: EvaluationRun) -> None:
    """Judge what there is of a run, and let the job die before its end."""

    async def died(done: int, total: int) -> None:
        raise RuntimeError("the worker is gone")

    recorder = ctx.get(AnswerRecorder)
    await recorder.finish(ctx, run.id, ctx.get(Jobs))
    with pytest.raises(RuntimeError, match="the worker is gone"):
        await recorder.judge(ctx, run.id, progress=died)


async def opened_again(ctx: Context, run: EvaluationRun) -> EvaluationRun:
    evaluations = ctx.get(Evaluations)
    await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
    return await evaluations.resume(ctx, run.id, ResumeEvaluation(), ctx.get(Jobs))


async def test_what_is_given_anew_replaces_what_was_judged_and_what_is_late_does_not(
    recorder: AnswerRecorder, evaluations: Evaluations, axis: Services, ctx: Context
) -> None:
    """The late one was written while the run was open the first time, and arrives when it is open the second time."""
    await store_suite(ctx, examples(2))
    run = await opened(ctx)
    await record(ctx, run, [right(0, text="first")])
    held = Held(axis.get(Writer))
    axis.register(AnswerRecorder, beside(axis, evaluations, held))
    late = asyncio.create_task(record(ctx, run, [right(0, text="late"), right(1, text="late")]))
    await held.asked.wait()
    axis.register(AnswerRecorder, recorder)
    await judged_in_part(ctx, run)
    (before, *_) = await evaluations.results(ctx, run.id)
    again = await opened_again(ctx, run)
    await record(ctx, run, [right(0, text="second"), right(1)])
    held.may.set()
    with pytest.raises(Conflict, match=r"finished and opened again meanwhile.*Send the same again"):
        await late
    waiting = await evaluations.results(ctx, run.id)
    done = await finished(ctx, run)
    rows = await evaluations.results(ctx, run.id)

    assert (before.text, before.judged) == ("first", True)
    assert (again.open, again.generation) == (True, 2)
    assert [(row.text, row.judged) for row in waiting] == [("second", False), ("word1", False)]
    assert [(row.text, row.judged) for row in rows] == [("second", True), ("word1", True)]
    assert (done.status, done.done, done.generation) == ("done", 2, 3)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_what_is_written_in_the_same_microsecond_the_judged_one_counts(
    evaluations: Evaluations, ctx: Context, order: tuple[int, int]
) -> None:
    """Rows that are committed together have the same time."""
    run_id = new_id()
    rows: list[tuple[object, ...]] = []
    for generation in order:
        answer = Answer(
            position=0,
            repeat=0,
            example=Example(id="q0", input={}),
            output=TargetOutput(text=f"{generation}"),
            scores={"exact_match": ScoreValue(value=1.0)} if generation else {},
            judged=bool(generation),
        )
        rows += to_rows("default", run_id, [answer], generation=generation).values
    fields = to_rows("default", run_id, []).fields
    await ctx.get(Writer).write(TABLE, Rows(fields, rows, 0))
    (row,) = await evaluations.results(ctx, run_id)

    assert (row.text, row.judged, row.scores) == ("1", True, {"exact_match": 1.0})


async def test_within_a_generation_the_later_answer_counts(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """Also of one that was opened again, whose times begin where others end."""
    await store_suite(ctx, examples(1))
    run = await opened(ctx)
    await opened_again(ctx, run)
    await record(ctx, run, [right(0, text="first")])
    await record(ctx, run, [right(0, text="second")])
    rows = await evaluations.results(ctx, run.id)

    assert [row.text for row in rows] == ["second"]


async def test_a_row_is_as_old_as_it_is_in_any_generation(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """What counts most is not the youngest: terms are kept by the time."""
    await store_suite(ctx, examples(1))
    run = await opened(ctx)
    await opened_again(ctx, run)
    await record(ctx, run, [right(0)])
    await finished(ctx, run)
    (table,) = CLASSES.get("eval_results").tables
    rows = await ctx.get(Columns).query(
        f"SELECT generation, {table.clock} AS at FROM {table.name} FINAL WHERE evaluation_id = {{id:String}}",
        {"id": run.id},
    )

    assert [row["generation"] for row in rows] == [2]
    assert abs(rows[0]["at"] - to_us(SystemClock().now())) < DAY_US


async def test_a_run_is_not_opened_more_often_than_rows_can_tell(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    await store_suite(ctx, examples(1))
    run = await opened(ctx)
    await evaluations.runs.note(run.id, generation=MOST_GENERATIONS - 3)
    last = await opened_again(ctx, run)
    await record(ctx, run, [right(0)])
    await judged_in_part(ctx, run)
    rows = await evaluations.results(ctx, run.id)
    await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
    with pytest.raises(Conflict, match=r"gone on with too often.*Start another one"):
        await evaluations.resume(ctx, run.id, ResumeEvaluation(), ctx.get(Jobs))

    assert last.generation == MOST_GENERATIONS - 2
    assert [(row.text, row.judged) for row in rows] == [("word0", True)]


async def test_a_worker_that_was_taken_for_dead_changes_nothing_of_the_run_that_goes_on_without_it(
    evaluations: Evaluations, ctx: Context, answers: Answers
) -> None:
    """Cancelled and gone on with meanwhile, it is another job's to say what becomes of it and what is answered."""
    waiting, may = asyncio.Event(), asyncio.Event()
    answer = answers.answer

    async def slow(version: Version, example: Example) -> TargetOutput:
        waiting.set()
        await may.wait()
        return TargetOutput(text="late")

    answers.answer = slow
    await store_suite(ctx, examples(1))
    subject = await store_subject(ctx, 1)
    run = await evaluations.start(ctx, StartEvaluation(suite=SUITE, subject=str(subject.ref)), ctx.get(Jobs))
    zombie = asyncio.create_task(evaluations.run(ctx, run.id))
    await waiting.wait()
    await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
    resumed = await evaluations.resume(ctx, run.id, ResumeEvaluation(), ctx.get(Jobs))
    answers.answer = answer
    held = asyncio.Event()

    async def progress(now: Progress) -> None:
        may.set()
        await zombie
        held.set()

    done = await evaluations.run(ctx, run.id, progress=progress)
    rows = await evaluations.results(ctx, run.id)

    assert held.is_set()
    assert (zombie.result().status, zombie.result().job_id) == ("running", resumed.job_id)
    assert (done.status, done.summaries[0].estimate.value) == ("done", 1.0)
    assert [row.text for row in rows] == ["word0"]
