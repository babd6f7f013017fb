"""The runner over a target that answers at once: what it takes for a sample, and how soon a large report opens.

The limit is the same loop that calls the target and the scorers and stores nothing.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from bench.bar import Figure, gimbal_up, median
from gimbal.axis.assets.model import AssetKind, Version, register_kind
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import CreateSuite, Example, StartEvaluation
from gimbal.axis.evals.results import TABLE, Answer, seen_of, to_rows
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites, applied
from gimbal.axis.evals.target import TARGETS, Foreseen, TargetOutput
from gimbal.axis.projects.service import Projects
from gimbal.axis.scores.model import ScoreValue
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server import stores
from gimbal.faces.server.wiring import build_services
from gimbal.kernel.context import Context, Principal, Role
from gimbal.kernel.settings import Settings

SAMPLES, ROWS = 10_000, 100_000
SCORERS = ("exact", "exact_match", "token_f1", "contains", "source_hit")
_OWNER = Principal(kind="owner", id="owner", name="owner", everywhere=Role.ADMIN)
_PER_SAMPLE_MS, _WHOLE_S, _OPEN_MS = 2.0, 60.0, 300.0
_LATENCY_MS = 12.5


class _Echo:
    """Answers what is expected, at once."""

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        return Foreseen(identity=version.digest)

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        return TargetOutput(text=f"It is {example.expected['answer']}.", sources=["page"], latency_ms=_LATENCY_MS)


def examples(count: int) -> list[Example]:
    """Return examples of a page's questions, twenty a page."""
    return [
        Example(
            id=f"q{i}",
            input={"question": f"What is the number {i} of the page {i // 20}?"},
            expected={"answer": f"the number {i}", "contains": f"{i}", "sources": ["page"]},
            cluster=f"page{i // 20}",
        )
        for i in range(count)
    ]


async def _alone(ctx: Context, rows: list[Example]) -> float:
    """Return the seconds of calling and judging alone."""
    target, scorers = TARGETS.get("echo"), applied(SCORERS)
    begun = time.perf_counter()
    for example in rows:
        output = await target(ctx, None, example)  # type: ignore[arg-type] - this target does not look at it
        seen = seen_of(output, example.input)
        for one in scorers:
            await one.judge(ctx, example.expected, seen)
    return time.perf_counter() - begun


async def _measured(data: Path) -> tuple[float, float]:
    """Return the seconds of a whole run, and of its calls and scorers alone; leave a large run in the data folder."""
    settings = Settings(data=str(data))
    async with stores.open_stores(settings, owner=True, link=None) as found:
        services = build_services(settings, found)
        ctx = Context(services, _OWNER, "default")
        await services.get(Projects).ensure_default()
        rows = examples(SAMPLES)
        subject = await services.get(Assets).add_version(ctx, kind="echo", name="echo", manifest={})
        await services.get(Suites).create(ctx, CreateSuite(name="s", examples=rows, scorers=list(SCORERS)))
        evaluations = services.get(Evaluations)
        run = await evaluations.start(ctx, StartEvaluation(suite="suite:s", subject=str(subject.ref), concurrency=16))
        begun = time.perf_counter()
        done = await evaluations.run(ctx, run.id)
        took = time.perf_counter() - begun
        assert (done.status, done.done) == ("done", SAMPLES), done
        await _fill(ctx, run.id)
        return took, await _alone(ctx, rows)


async def _fill(ctx: Context, run_id: str) -> None:
    """Put more answers into a run, up to the size whose report is opened."""
    judged = {name: ScoreValue(value=1.0) for name in SCORERS}
    output = TargetOutput(text="It is the number.", sources=["page"], latency_ms=_LATENCY_MS)
    for start in range(SAMPLES, ROWS, 5_000):
        answers = [
            Answer(position=start + i, repeat=0, example=Example(id=f"q{start + i}", input={"question": "?"}), output=output, scores=judged)
            for i in range(5_000)
        ]  # fmt: skip
        await ctx.get(Writer).write(TABLE, to_rows("default", run_id, answers))


def figures() -> Iterator[Figure]:
    """Measure the runner in this process, then the page of a server over the same data."""
    register_kind(AssetKind(name="echo", title="Echoes", ring="axis"))
    TARGETS.add("echo", _Echo())
    with tempfile.TemporaryDirectory(prefix="gimbal-evals-") as folder:
        data = Path(folder) / "data"
        whole, alone = asyncio.run(_measured(data))
        overhead = (whole - alone) / SAMPLES * 1000
        per = alone / SAMPLES * 1000
        scored = f"{SAMPLES:,} samples × {len(SCORERS)} scorers"
        yield Figure(f"evaluation of {scored}", whole, "s", _WHOLE_S, f"{_WHOLE_S:g} s")
        yield Figure("  overhead of the runner a sample", overhead, "ms", _PER_SAMPLE_MS, f"{_PER_SAMPLE_MS:g} ms")
        yield Figure("  of", whole, "s", alone, f"calling and judging alone ({per:.2f} ms a sample)", physical=True)
        with gimbal_up(data) as up:
            (run,) = httpx.get(f"{up.url}/api/v1/projects/default/evaluations", timeout=60).json()["items"]
            page = f"{up.url}/p/default/evaluations/{run['id']}"
            for what, query in (
                ("", ""),
                (", worst first", "?order=worst"),
                (", below the best", "?only=below&scorer=exact_match"),
            ):
                opened = median(lambda url=page + query: _seconds(url)) * 1000
                yield Figure(f"report of {ROWS:,} rows opens{what}", opened, "ms", _OPEN_MS, f"{_OPEN_MS:g} ms")


def _seconds(url: str) -> float:
    begun = time.perf_counter()
    httpx.get(url, timeout=60).raise_for_status()
    return time.perf_counter() - begun
