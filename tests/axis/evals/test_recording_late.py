"""Answers from outside that come late, share a trace or contradict themselves: nothing that was judged is undone by them."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.evals.test_recording import finished, opened, record, recorder, right
from tests.axis.evaluating import SUITE, examples, store_subject, store_suite

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import EvaluationRun, ResumeEvaluation, StartEvaluation
from gimbal.axis.evals.reading import WORST
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.summing import MOST_OTHERS
from gimbal.axis.pricing.model import Usage
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Rows, Writer
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput, Busy, Conflict

__all__ = ["recorder"]
SHARED, OWN = "a" * 32, "b" * 32


class Held:
    """A writer that says how often it is asked, is busy for so many times, and then waits until it may write."""

    def __init__(self, writer: Writer, *, busy: bool = False) -> None:
        self._writer = writer
        self.busy = busy
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def write(self, table: str, rows: Rows) -> None:
        self.asked.set()
        if self.busy and not self.may.is_set():
            raise Busy("Full.", retry_after=0.01)
        await self.may.wait()
        await self._writer.write(table, rows)


def beside(axis: Services, evaluations: Evaluations, writer: Any) -> AnswerRecorder:
    """Return a recorder with a writer of its own, as another process has."""
    return AnswerRecorder(axis.get(Columns), writer, axis.get(Assets), axis.get(Suites), evaluations)


@pytest.mark.parametrize("busy", [True, False])
async def test_an_answer_that_arrives_after_its_run_was_judged_undoes_nothing(
    recorder: AnswerRecorder, evaluations: Evaluations, axis: Services, ctx: Context, *, busy: bool
) -> None:
    """Sent twice because nobody answered, and judged meanwhile; the one that waits is told that it came too late."""
    await store_suite(ctx, examples(2))
    run = await opened(ctx)
    held = Held(axis.get(Writer), busy=busy)
    axis.register(AnswerRecorder, beside(axis, evaluations, held))
    late = asyncio.create_task(record(ctx, run, [right(0, text="late"), right(1)]))
    await held.asked.wait()
    axis.register(AnswerRecorder, recorder)
    await record(ctx, run, [right(0)])
    done = await finished(ctx, run)
    held.may.set()
    with pytest.raises(Conflict, match="takes no answers"):
        await late
    rows = await evaluations.results(ctx, run.id)

    assert (done.status, done.summaries[0].missing) == ("done", {"error": 1})
    assert [(row.text, row.judged, row.error) for row in rows] == [("word0", True, ""), (None, True, "not answered")]


async def test_an_answer_that_is_stored_while_others_are_judged_is_judged_as_well(
    recorder: AnswerRecorder, evaluations: Evaluations, axis: Services, ctx: Context
) -> None:
    """Its sender hears that the run was finished; whatever is in the run has been seen by its scorers."""
    await store_suite(ctx, examples(3))
    run = await opened(ctx)
    await record(ctx, run, [right(1), right(2)])
    held = Held(axis.get(Writer))
    axis.register(AnswerRecorder, beside(axis, evaluations, held))
    late = asyncio.create_task(record(ctx, run, [right(0)]))
    await held.asked.wait()

    async def progress(done: int, total: int) -> None:
        held.may.set()
        with pytest.raises(Conflict, match="being judged"):
            await late

    await recorder.finish(ctx, run.id, ctx.get(Jobs))
    done = await recorder.judge(ctx, run.id, progress=progress)
    rows = await evaluations.results(ctx, run.id)

    assert (done.status, done.done, done.summaries[0].missing) == ("done", 3, {})
    assert done.summaries[0].estimate.n == 3
    assert [(row.text, row.judged) for row in rows] == [("word0", True), ("word1", True), ("word2", True)]


async def test_a_trace_that_answers_share_is_the_cost_of_none_of_them(
    recorder: AnswerRecorder, evaluations: Evaluations, axis: Services, ctx: Context
) -> None:
    """However far apart they are in the suite."""
    prices = PriceBook.read()
    axis.register(PriceSource, prices)
    axis.register(Traces, Traces(axis.get(Columns), axis.get(Writer), prices))
    for number, trace_id in enumerate((SHARED, OWN)):
        span = Span(
            trace_id=trace_id, span_id=f"{number + 1:016x}", name="ask", kind="llm", start_us=1_700_000_000_000_000,
            end_us=1_700_000_001_000_000, model="m1", provider="p1", cost=Decimal("0.25"), usage=Usage.of(input_tokens=5, output_tokens=2),
        )  # fmt: skip
        await ctx.get(Traces).record(ctx, [span])
    await store_suite(ctx, examples(130))
    run = await opened(ctx)
    await record(ctx, run, [right(0, trace_id=SHARED), right(1, trace_id=OWN), right(120, trace_id=SHARED)])
    done = await finished(ctx, run)
    rows = await evaluations.results(ctx, run.id)

    assert [rows[place].cost for place in (0, 1, 120)] == [None, Decimal("0.25"), None]
    assert (done.cost, done.unpriced) == (Decimal("0.25"), 2)


async def test_a_value_that_is_missing_as_well_is_refused(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    await store_suite(ctx, examples(1))
    run = await opened(ctx)
    with pytest.raises(BadInput, match="'tool/score' has a value and is missing"):
        await record(ctx, run, [right(0, scores={"tool/score": 1.0}, missing={"tool/score": "error"})])
    with pytest.raises(BadInput, match="'tool/score' is missing without a reason"):
        await record(ctx, run, [right(0, missing={"tool/score": ""})])
    assert await evaluations.results(ctx, run.id) == []


async def test_names_without_end_are_not_summed_up_without_end(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """A tool that puts an id into the name of each score has its most frequent names summed up; answers keep all."""
    await store_suite(ctx, examples(40))
    run = await opened(ctx)
    said = [{f"tool/{i}-{n}": 1.0 for n in range(5)} | {"tool/usual": 0.5} for i in range(40)]
    await record(ctx, run, [right(i, scores=said[i]) for i in range(40)])
    done = await finished(ctx, run)
    rows = await evaluations.results(ctx, run.id)

    assert len(done.summaries) == 1 + MOST_OTHERS
    assert [one.scorer for one in done.summaries[:2]] == ["exact_match", "tool/usual"]
    assert len(rows[39].scores) == 7


async def test_what_nobody_judged_yet_comes_before_the_worst(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """It has no value, and none is not 0."""
    await store_suite(ctx, examples(3))
    run = await opened(ctx)
    await record(ctx, run, [right(0, scores={"tool/mood": -3.0}), right(1), right(2, scores={"tool/mood": 2.0})])
    page = await evaluations.results_page(ctx, run, order=WORST)

    assert [row.example_id for row in page.items] == ["q1", "q0", "q2"]


async def test_a_run_is_gone_on_with_once(evaluations: Evaluations, ctx: Context) -> None:
    """Two who resume at the same time do not have its examples asked twice."""
    await store_suite(ctx, examples(2))
    subject = await store_subject(ctx, 1)
    body = StartEvaluation(suite=SUITE, subject=str(subject.ref))
    run = await evaluations.start(ctx, body, ctx.get(Jobs))
    await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
    both = await asyncio.gather(
        *(evaluations.resume(ctx, run.id, ResumeEvaluation(), ctx.get(Jobs)) for _ in range(2)), return_exceptions=True
    )
    queued = await ctx.get(Jobs).page(ctx, status="queued")

    assert sorted(type(one).__name__ for one in both) == ["Conflict", "EvaluationRun"]
    assert [job.id for job in queued.items] == [(await evaluations.runs.get(ctx, run.id)).job_id]


async def test_a_run_that_somebody_finishes_meanwhile_is_cancelled_with_its_job(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever cancels has seen it open; it must not be judged all the same."""
    await store_suite(ctx, examples(2))
    run = await opened(ctx)
    look = evaluations.runs.get

    async def before_it_was_finished(ctx: Context, run_id: str) -> EvaluationRun:
        found = await look(ctx, run_id)
        monkeypatch.setattr(evaluations.runs, "get", look)
        await recorder.finish(ctx, run_id, ctx.get(Jobs))
        return found

    monkeypatch.setattr(evaluations.runs, "get", before_it_was_finished)
    cancelled = await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
    jobs = await ctx.get(Jobs).page(ctx)

    assert cancelled.status == "cancelled"
    assert [job.status for job in jobs.items] == ["cancelled"]
