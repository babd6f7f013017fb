"""Suites out of traces over SQLite, chDB and blobs in a folder; each test has a project of its own."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.axis.scores.conftest import here, scores, traces
from tests.axis.traces.test_aggregate import HOUR, NOON, keep, step

import gimbal.axis.evals.building.operations
import gimbal.axis.evals.building.work
import gimbal.axis.jobs.operations  # noqa: F401 - fill the tables of operations and jobs
from gimbal.axis.evals.building.model import BuiltSuite, FromTraces, RunFromTraces, SuiteDraw
from gimbal.axis.evals.building.service import carry_out
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.scores.model import NewScore, ScoreSource, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.compute.jobs import Jobs
from gimbal.kernel.context import Context
from gimbal.kernel.operations import find, invoke

__all__ = ["here", "scores", "traces"]

Build = Callable[..., Any]
WORDS = (
    "apples", "bicycles", "cathedrals", "dolphins", "envelopes", "festivals", "glaciers", "harbours", "islands", "jackets",
    "kettles", "lanterns", "mountains", "notebooks", "oysters", "pianos", "quilts", "rivers", "saddles", "tunnels",
    "umbrellas", "violins", "windmills", "yachts",
)  # fmt: skip


def question(number: int) -> str:
    """Return a question that shares hardly two words in a row with those of other numbers."""
    first, second = WORDS[number % len(WORDS)], WORDS[(number * 7 + number // len(WORDS) + 3) % len(WORDS)]
    return f"{number} {first} bring {second} {number + 1}"


def asked(number: int, said: Any = None, *, answer: Any = "", hour: int = 0, **more: Any) -> Span:
    """Return the root of a trace in which something was asked."""
    given = {"question": question(number)} if said is None else said
    return step(
        number + 1,
        trace=number,
        at_us=NOON + hour * HOUR + number * 1000,
        input=_json(given),
        output=_json(answer) if answer != "" else "",
        **more,
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def trace_id(number: int) -> str:
    """Return the id of the trace of a number."""
    return f"{number:032x}"


async def judge(here: Context, number: int, name: str, **said: Any) -> None:
    """Let an end user say something of a trace."""
    said.setdefault("source", ScoreSource.USER)
    new = NewScore(target_kind=ScoreTarget.TRACE, target_id=trace_id(number), name=name, **said)
    await here.get(Scores).record(here, [new])


def wanted(**said: Any) -> FromTraces:
    """Return what is asked for."""
    return FromTraces(**({"name": "help/real", "scorers": ["exact_match"]} | said))


async def begun(here: Context, **said: Any) -> SuiteDraw:
    """Ask for a suite, as a job."""
    return await invoke(find("suites.from_traces"), here, {"project": here.project, "body": wanted(**said)})


class Steps:
    """What the steps of a job have stored, and how far it said to be."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}
        self.told: list[tuple[int, int, str]] = []

    async def step(self, name: str, run: Callable[[], Any]) -> Any:
        """Run a step once."""
        if name not in self.stored:
            self.stored[name] = msgspec.json.decode(msgspec.json.encode(await run(), enc_hook=str))
        return self.stored[name]

    async def tell(self, done: int, total: int, message: str) -> None:
        """Note it."""
        self.told.append((done, total, message))


async def carried(here: Context, draw: SuiteDraw, steps: Steps | None = None) -> BuiltSuite:
    """Carry a job out here and now, by what it was given."""
    job = await here.get(Jobs).get(here, draw.job_id)
    steps = steps or Steps()
    return await carry_out(here, msgspec.convert(job.payload, RunFromTraces), steps.step, steps.tell)


@pytest.fixture
def build(here: Context, evaluations: Evaluations, traces: Traces, scores: Scores) -> Build:
    """Give a function that asks for a suite of the test's traces."""

    async def ask(**said: Any) -> BuiltSuite:
        return await carried(here, await begun(here, **said))

    return ask


__all__ += ["Steps", "asked", "begun", "build", "carried", "judge", "keep", "question", "trace_id"]
