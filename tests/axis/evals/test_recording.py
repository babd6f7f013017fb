"""Answers from outside: stored before that is said, once however often they come, judged as all others are."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.evaluating import SUBJECT, SUITE, evaluate, examples, store_subject, store_suite

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.answers import MOST_ANSWERS, OpenEvaluation, RecordAnswers, RecordedAnswer
from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.functions import RegisterFunction
from gimbal.axis.evals.model import EvaluationRun, Example, ResumeEvaluation
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.axis.scores.scorer import AskingScorer
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.worker import Worker
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref
from gimbal.testing.clock import FrozenClock

HUGE = "päron\x00 " * 600_000
CODE = 'def answer(question: str) -> str:\n    return "word"\n'
judging = asyncio.Event()
"""Set where a scorer that waits may go on."""
seen: list[str] = []
"""What the scorer that waits was asked for."""


async def slow(ctx: Context, expected: object, output: Any) -> ScoreValue:
    """Judge at once what is among the first hundred, the rest when it may."""
    seen.append(output["text"])
    if int(output["text"].removeprefix("word")) >= 100:
        await judging.wait()
    return ScoreValue(value=1.0)


SCORERS.add("test_slow", AskingScorer(ScorerCard(name="test_slow", title="Slow"), slow))


@pytest.fixture
def recorder(evaluations: Evaluations, axis: Services) -> AnswerRecorder:
    """Give what takes answers from outside."""
    found = AnswerRecorder(axis.get(Columns), axis.get(Writer), axis.get(Assets), axis.get(Suites), evaluations)
    axis.register(AnswerRecorder, found)
    return found


@pytest.fixture
async def worker(recorder: AnswerRecorder, services: Services) -> AsyncIterator[Worker]:
    """Give a worker of this process that carries jobs out until the test ends."""
    services.register(Clock, SystemClock())
    services.register(Jobs, Jobs(services.get(Catalog), SystemClock()))
    found = Worker(services, name="w")
    stop = asyncio.Event()
    task = asyncio.create_task(found.run(stop))
    yield found
    stop.set()
    await task


async def registered(ctx: Context, **fields: Any) -> str:
    body = RegisterFunction(**{"name": "help/mine", "function": "answer", "module": "shop", "source": CODE} | fields)
    return str((await invoke(find("functions.register"), ctx, {"project": "default", "body": body})).ref)


async def opened(ctx: Context, **options: Any) -> EvaluationRun:
    body = OpenEvaluation(**{"suite": SUITE, "subject": await registered(ctx), "client": "a test"} | options)
    return await invoke(find("evaluations.open"), ctx, {"project": "default", "body": body})


async def record(ctx: Context, run: EvaluationRun, answers: list[RecordedAnswer]) -> EvaluationRun:
    body = RecordAnswers(answers=answers)
    return await invoke(find("evaluations.record"), ctx, {"project": "default", "id": run.id, "body": body})


def right(number: int, **fields: Any) -> RecordedAnswer:
    return RecordedAnswer(**{"example_id": f"q{number}", "text": f"word{number}"} | fields)


async def finished(ctx: Context, run: EvaluationRun) -> EvaluationRun:
    await ctx.get(AnswerRecorder).finish(ctx, run.id, ctx.get(Jobs))
    return await ctx.get(AnswerRecorder).judge(ctx, run.id)


async def test_answers_from_outside_become_a_run_like_all_others(
    evaluations: Evaluations, recorder: AnswerRecorder, ctx: Context
) -> None:
    """Judged by the suite's scorers, summed up with their clusters and costs, and compared with one that was asked here."""
    await store_suite(ctx, examples(30, clusters=6), ["exact_match", "latency"])
    run = await opened(ctx)
    answers = [right(i, latency_ms=5.0, cost=Decimal("0.01"), input_tokens=3) for i in range(30)]
    answers[3] = right(3, text="no idea", latency_ms=5.0)
    answers[4] = RecordedAnswer(example_id="q4", error="No answer within 1 s.", failure="timed_out")
    await record(ctx, run, answers[:20])
    part = await record(ctx, run, answers[20:])
    asked = await evaluate(ctx, await store_subject(ctx, 1))
    done = await finished(ctx, run)
    comparison = await compare_runs(ctx, evaluations, asked.id, done.id, 0.02)
    rows = await evaluations.results(ctx, run.id)

    assert (part.status, part.open, part.done, part.total, part.client) == ("running", True, 30, 30, "a test")
    assert (done.status, done.open, done.done) == ("done", False, 30)
    assert done.summaries[0].estimate.value == pytest.approx(28 / 29)
    assert done.summaries[0].estimate.clusters == 6
    assert [one.missing for one in done.summaries] == [{"timed_out": 1}, {"timed_out": 1}]
    assert (done.cost, done.unpriced) == (Decimal("0.28"), 2)
    assert comparison.scorers[0].paired == 29
    assert [row.example_id for row in rows] == [f"q{i}" for i in range(30)]
    assert (rows[0].scores["latency"], rows[0].input_tokens, rows[4].failure) == (5.0, 3, "timed_out")
    assert all(row.judged for row in rows)


async def test_what_can_be_called_from_here_is_believed_when_it_was(
    evaluations: Evaluations, recorder: AnswerRecorder, ctx: Context
) -> None:
    """Answers that somebody brought for a version that can be asked are no evidence for gates; those of a function are."""
    await store_suite(ctx, examples(3))
    subject = await store_subject(ctx, 1)
    suite, version = (await ctx.get(Assets).resolve(ctx, Ref.parse(SUITE))).ref, subject.ref
    brought = await opened(ctx, subject=str(version))
    await record(ctx, brought, [right(number) for number in range(3)])
    assert (await finished(ctx, brought)).status == "done"
    assert await evaluations.runs.latest(ctx, suite, version) == (None, 0)
    asked = await evaluate(ctx, subject)
    found, looks = await evaluations.runs.latest(ctx, suite, version)
    assert (found and found.id, looks) == (asked.id, 1)

    function = await opened(ctx)
    await record(ctx, function, [right(number) for number in range(3)])
    await finished(ctx, function)
    found, looks = await evaluations.runs.latest(ctx, suite, function.subject)
    assert (found and found.id, looks) == (function.id, 1)


async def test_an_open_run_says_that_it_is_open_and_when_it_was_last_answered(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context, clock: FrozenClock
) -> None:
    """Its answers are there, and carry no score until they are judged."""
    await store_suite(ctx, examples(3))
    run = await opened(ctx)
    clock.advance(minutes=5)
    await record(ctx, run, [right(0)])
    shown = await evaluations.runs.get(ctx, run.id)
    rows = await evaluations.results(ctx, run.id)

    assert (run.answered_at, shown.answered_at) == (None, ctx.now())
    assert (shown.status, shown.open, shown.job_id, shown.summaries) == ("running", True, None, [])
    assert [(row.text, row.scores, row.missing, row.judged) for row in rows] == [("word0", {}, {}, False)]


async def test_the_same_answers_again_are_stored_once(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """A sender that heard nothing sends again; the newest of two answers to one repeat counts."""
    await store_suite(ctx, examples(3), repeats=2)
    run = await opened(ctx)
    for text in ("wrong", "word0", "word0"):
        await record(ctx, run, [right(0, text=text), right(0, repeat=1)])
    again = await record(ctx, run, [right(1)])
    done = await finished(ctx, run)
    finish = find("evaluations.finish")
    twice = await invoke(finish, ctx, {"project": "default", "id": run.id})

    assert (again.done, again.total) == (3, 6)
    assert [(row.example_id, row.repeat, row.text) for row in await evaluations.results(ctx, run.id)][:2] == [
        ("q0", 0, "word0"),
        ("q0", 1, "word0"),
    ]
    assert done.summaries[0].estimate.value == 1.0
    assert twice == done


async def test_what_nobody_answered_is_missing_and_never_dropped(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    await store_suite(ctx, examples(4), repeats=2)
    run = await opened(ctx)
    await record(ctx, run, [right(1), right(1, repeat=1), right(3, repeat=1)])
    done = await finished(ctx, run)
    rows = await evaluations.results(ctx, run.id)

    assert (done.done, done.total, len(rows), done.unpriced) == (8, 8, 8, 3)
    assert done.summaries[0].missing == {"error": 5}
    assert (done.summaries[0].worst, done.summaries[0].best) == (pytest.approx(1.5 / 4), 1.0)
    assert [(row.example_id, row.repeat) for row in rows if row.error == "not answered"] == [
        ("q0", 0), ("q0", 1), ("q2", 0), ("q2", 1), ("q3", 0),
    ]  # fmt: skip


async def test_what_does_not_fit_is_named_and_nothing_is_stored(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    await store_suite(ctx, examples(3), repeats=2)
    run = await opened(ctx)
    many = [right(0, example_id=f"x{i}") for i in range(7)]

    for answers, told in (
        ([right(0), *many], "'x0', 'x1', 'x2', 'x3', 'x4' and 2 more"),
        ([right(0), right(1, repeat=2)], "there is no 'q1 repeat 2'"),
        ([right(0), right(1, repeat=-1)], "'q1 repeat -1'"),
        ([right(0), right(0)], "two answers to 'q0' repeat 0"),
        ([right(0, trace_id="../x")], "32 hex digits"),
        ([right(0, cost=Decimal(-1))], "dollars from 0"),
        ([right(0, cost=Decimal("1e30"))], "dollars from 0"),
        ([right(0, cost=Decimal("NaN"))], "dollars from 0"),
        ([right(0, scores={"exact_match": 1.0})], "is a scorer of the suite"),
        ([right(0, scores={"x" * 201: 1.0})], "200 characters"),
        ([], f"1 to {MOST_ANSWERS}"),
        ([right(0)] * (MOST_ANSWERS + 1), f"1 to {MOST_ANSWERS}"),
    ):
        with pytest.raises(BadInput, match=told):
            await record(ctx, run, answers)
    assert await evaluations.results(ctx, run.id) == []
    assert (await evaluations.runs.get(ctx, run.id)).answered_at is None


async def test_a_run_takes_answers_only_while_it_is_open(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """Not one that this server asks for, nor one that is being judged, done or cancelled."""
    await store_suite(ctx, examples(2))
    own = await evaluate(ctx, await store_subject(ctx, 1))
    run = await opened(ctx)
    await recorder.finish(ctx, run.id, ctx.get(Jobs))
    being_judged = await evaluations.runs.get(ctx, run.id)

    for refused, told in ((own, "asked for by the server"), (run, "being judged")):
        with pytest.raises(Conflict, match=told):
            await record(ctx, refused, [right(0)])
    with pytest.raises(Conflict, match="asked for by the server"):
        await recorder.finish(ctx, own.id, ctx.get(Jobs))
    await recorder.judge(ctx, run.id)
    with pytest.raises(Conflict, match="is done"):
        await record(ctx, run, [right(0)])
    with pytest.raises(NotFound):
        await record(ctx.within("flights"), run, [right(0)])

    assert (being_judged.status, being_judged.open) == ("running", False)


async def test_a_cancelled_run_keeps_its_answers_and_is_opened_again(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    await store_suite(ctx, examples(3))
    run = await opened(ctx)
    await record(ctx, run, [right(0)])
    cancelled = await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
    with pytest.raises(Conflict, match="is cancelled"):
        await record(ctx, run, [right(1)])
    with pytest.raises(Conflict, match="is cancelled"):
        await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
    again = await evaluations.resume(ctx, run.id, ResumeEvaluation(), ctx.get(Jobs))
    await record(ctx, run, [right(1), right(2)])
    done = await finished(ctx, run)

    assert (cancelled.status, cancelled.done, cancelled.finished_at) == ("cancelled", 1, ctx.now())
    assert (again.open, again.finished_at, again.job_id) == (True, None, None)
    assert (done.status, done.summaries[0].estimate.n) == ("done", 3)


async def test_a_judging_that_was_cut_off_goes_on_where_it_was(
    recorder: AnswerRecorder, evaluations: Evaluations, worker: Worker, ctx: Context
) -> None:
    """A worker judges in parts; cancelled in the second one it keeps the first, and judges only the second again."""
    judging.clear()
    seen.clear()
    await store_suite(ctx, examples(120), ["test_slow"])
    run = await opened(ctx)
    await record(ctx, run, [right(i) for i in range(120)])
    await recorder.finish(ctx, run.id, ctx.get(Jobs))
    async with asyncio.timeout(20):
        while len(seen) <= 100:  # noqa: ASYNC110 - the scorer tells no one
            await asyncio.sleep(0.02)
        await evaluations.cancel(ctx, run.id, ctx.get(Jobs))
        while (cut := await evaluations.runs.get(ctx, run.id)).status == "running" or not cut.summaries:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    before = len(seen)
    judging.set()
    await evaluations.resume(ctx, run.id, ResumeEvaluation(), ctx.get(Jobs))
    await recorder.finish(ctx, run.id, ctx.get(Jobs))
    async with asyncio.timeout(20):
        while (done := await evaluations.runs.get(ctx, run.id)).status == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    assert (cut.status, cut.done, cut.summaries[0].estimate.n) == ("cancelled", 120, 100)
    assert (done.status, done.summaries[0].estimate.n) == ("done", 120)
    assert sorted(seen[before:]) == sorted(f"word{i}" for i in range(100, 120))


async def test_texts_of_any_kind_come_back_as_they_were(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """Five million characters with NUL bytes, nothing at all, and structures."""
    await store_suite(ctx, examples(4))
    run = await opened(ctx)
    value = {"late": 0.25, "名前": [None, "\x00", 2**63]}
    await record(
        ctx, run, [right(0, text=HUGE), right(1, text=""), right(2, text=None, value=value), right(3, text="\u2028")]
    )
    done = await finished(ctx, run)
    rows = await evaluations.results(ctx, run.id)

    assert done.status == "done"
    assert [row.text for row in rows] == [HUGE, "", None, "\u2028"]
    assert rows[2].value == value
    assert rows[2].missing["exact_match"] == "no_output"


async def test_scores_of_others_stand_beside_ours(
    recorder: AnswerRecorder, evaluations: Evaluations, ctx: Context
) -> None:
    """Under the names that they came with, before the judging and after it; nobody knows which end of them is better."""
    await store_suite(ctx, examples(3))
    run = await opened(ctx)
    said = [{"scores": {"tool/score": 0.5}}, {"scores": {"tool/score": 1.0}, "labels": {"tool/score": "C"}}, {"missing": {"tool/score": "no_output"}}]  # fmt: skip
    await record(ctx, run, [right(i, **said[i]) for i in range(3)])
    before = await evaluations.results(ctx, run.id)
    done = await finished(ctx, run)
    ours, theirs = done.summaries
    rows = await evaluations.results(ctx, run.id)

    assert [row.scores for row in before] == [{"tool/score": 0.5}, {"tool/score": 1.0}, {}]
    assert (ours.scorer, ours.estimate.n, ours.missing) == ("exact_match", 3, {})
    assert (theirs.scorer, theirs.estimate.value, theirs.estimate.n) == ("tool/score", 0.75, 2)
    assert (theirs.missing, theirs.better, theirs.labels) == ({"no_output": 1}, "neither", {"C": 1})
    assert rows[1].scores == {"exact_match": 1.0, "tool/score": 1.0}
    assert rows[1].labels["tool/score"] == "C"


async def test_the_same_code_is_the_same_version(evaluations: Evaluations, ctx: Context) -> None:
    """Another source is another one; so is another name, and an external model has neither."""
    same = [await registered(ctx), await registered(ctx, note="again")]
    changed = await registered(ctx, source=CODE.replace("word", "words"))
    external = await registered(
        ctx, name="models/gpt", language="external", module="promptfoo", function="openai/gpt", source=""
    )
    shown = await ctx.get(Assets).resolve(ctx, Ref.parse(changed))

    assert same == ["function:help/mine@v1"] * 2
    assert (changed, external) == ("function:help/mine@v2", "function:models/gpt@v1")
    assert [file.path for file in shown.files] == ["source.py"]
    with pytest.raises(BadInput, match="manifest of a function"):
        await ctx.get(Assets).add_version(ctx, kind="function", name="help/mine", manifest={"lang": "python"})


async def test_a_suite_or_subject_that_does_not_fit_opens_nothing(
    evaluations: Evaluations, recorder: AnswerRecorder, ctx: Context
) -> None:
    await store_suite(ctx, [Example(id="q0", input={})])
    await store_subject(ctx, 1)

    for options, error in (
        ({"suite": "suite:help/none"}, NotFound),
        ({"suite": SUBJECT}, BadInput),
        ({"subject": "function:help/none"}, NotFound),
    ):
        with pytest.raises(error):
            await opened(ctx, **options)
    assert (await evaluations.runs.page(ctx)).items == []
