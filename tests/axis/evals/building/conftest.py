"""Suites out of traces over SQLite, chDB and blobs in a folder; each test has a project of its own."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.axis.scores.conftest import here, scores, traces
from tests.axis.traces.test_aggregate import HOUR, NOON, keep, step

import gimbal.axis.evals.building.operations  # noqa: F401 - fills the operation table
from gimbal.axis.evals.building.model import BuiltSuite, FromTraces
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.scores.model import NewScore, ScoreSource, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
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


@pytest.fixture
def build(here: Context, evaluations: Evaluations, traces: Traces, scores: Scores) -> Build:
    """Give a function that asks for a suite of the test's traces."""

    async def ask(**said: Any) -> BuiltSuite:
        body = FromTraces(**({"name": "help/real", "scorers": ["exact_match"]} | said))
        return await invoke(find("suites.from_traces"), here, {"project": here.project, "body": body})

    return ask


__all__ += ["asked", "build", "judge", "keep", "question", "trace_id"]
