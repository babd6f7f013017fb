"""What evaluations and gates are tried on: a kind of asset whose versions answer as a test says, suites, the services."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

import gimbal.axis.evals.work  # noqa: F401  # pyright: ignore[reportUnusedImport] - declares the job
from gimbal.axis.assets.model import AssetKind, GatePolicy, Version, register_kind
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import CreateSuite, EvaluationRun, Example, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.target import TARGETS, Foreseen, TargetOutput
from gimbal.axis.gates.service import Gates
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Services
from gimbal.testing.clock import FrozenClock

SUITE = "suite:help/questions"
SUBJECT = "answerer:help/answer"

Answer = Callable[[Version, Example], Awaitable[TargetOutput]]


class Answers:
    """How the versions of the kind `answerer` answer; a test may put a function of its own in place of `answer`."""

    def __init__(self) -> None:
        self.answer: Answer = self.right_but
        self.foreseen = Foreseen()
        self.asked: list[tuple[int, str]] = []
        """Version number and example of every call, in the order of the calls."""

    async def right_but(self, version: Version, example: Example) -> TargetOutput:
        """Say what is expected, but not for the examples that the version's manifest calls `wrong`."""
        wrong = example.id in version.manifest.get("wrong", ())
        return TargetOutput(text="no idea" if wrong else str(example.expected.get("answer", "")), latency_ms=10.0)


class AnswererTarget:
    """Asks the Answers at hand."""

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        """Say what the test says of calls."""
        return ctx.get(Answers).foreseen

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Note the call and answer it."""
        answers = ctx.get(Answers)
        answers.asked.append((version.number, example.id))
        await asyncio.sleep(0)
        return await answers.answer(version, example)


register_kind(AssetKind(name="answerer", title="Answerers", ring="axis"))
TARGETS.add("answerer", AnswererTarget())


def examples(count: int, clusters: int | None = None) -> list[Example]:
    """Return examples q0, q1 … that expect the answers `word0`, `word1` …, dealt out to clusters in turn."""
    return [
        Example(
            id=f"q{i}",
            input={"question": f"What is number {i}?"},
            expected={"answer": f"word{i}"},
            cluster=f"page{i % clusters}" if clusters else None,
        )
        for i in range(count)
    ]


async def store_suite(
    ctx: Context,
    rows: Sequence[Example],
    scorers: Sequence[str | ScorerSetting] = ("exact_match",),
    name: str = "help/questions",
    **more: Any,
) -> Version:
    """Store a suite."""
    body = CreateSuite(name=name, examples=list(rows), scorers=list(scorers), **more)
    return await ctx.get(Suites).create(ctx, body)


async def store_subject(ctx: Context, number: int, wrong: Sequence[str] = ()) -> Version:
    """Store a version that answers everything right but `wrong`; `number` makes it another one."""
    return await ctx.get(Assets).add_version(
        ctx, kind="answerer", name="help/answer", manifest={"number": number, "wrong": list(wrong)}
    )


async def evaluate(ctx: Context, subject: Version, suite: str = SUITE, **options: Any) -> EvaluationRun:
    """Put a version through a suite, here and now."""
    evaluations = ctx.get(Evaluations)
    options.setdefault("concurrency", 64)
    run = await evaluations.start(ctx, StartEvaluation(suite=suite, subject=str(subject.ref), **options))
    return await evaluations.run(ctx, run.id)


@pytest.fixture
def answers(axis: Services) -> Answers:
    """Give the answers of the versions under test."""
    found = Answers()
    axis.register(Answers, found)
    return found


@pytest.fixture
def evaluations(axis: Services, answers: Answers, clock: FrozenClock) -> Evaluations:
    """Give the evaluations of an installation, with suites and jobs."""
    suites = Suites(axis.get(Assets), axis.get(Blobs))
    axis.register(Suites, suites)
    axis.register(Jobs, Jobs(axis.get(Catalog), clock))
    found = Evaluations(axis.get(Catalog), axis.get(Columns), axis.get(Writer), axis.get(Assets), suites)
    axis.register(Evaluations, found)
    return found


@pytest.fixture
def gates(axis: Services, evaluations: Evaluations) -> Gates:
    """Give the gates of an installation; its assets ask them."""
    found = Gates(axis.get(Catalog), axis.get(Assets))
    axis.register(Gates, found)
    axis.register(GatePolicy, found)
    return found
