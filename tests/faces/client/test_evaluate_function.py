"""Functions of the program at hand, evaluated: called here, judged there, and none of them stops the others."""

import asyncio
import contextvars
import functools
import itertools
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from tests.links import Cable

import gimbal
from gimbal.axis.evals.model import EvaluationResult, Example
from gimbal.kernel.errors import BadInput
from gimbal.kernel.ids import new_id


def answer(question: str, shout: bool = False) -> str:
    """Say the word for a number."""
    words = f"word{question}"
    return words.upper() if shout else words


def worse(question: str) -> str:
    """Say it for half of the numbers."""
    return f"word{question}" if int(question) % 2 else "no idea"


def suite(client: gimbal.Client, count: int = 8, **more: Any) -> str:
    name = f"functions/t{new_id()[-10:]}"
    rows = [
        Example(id=f"q{i}", input={"question": str(i), "context": "none"}, expected={"answer": f"word{i}"})
        for i in range(count)
    ]
    client.suites.create(name=name, examples=rows, scorers=["exact_match", "latency"], **more)
    return f"suite:{name}"


def rows_of(client: gimbal.Client, run_id: str) -> dict[str, EvaluationResult]:
    return {row.example_id: row for row in client.every(client.evaluations.results, run_id)}


def test_a_function_is_evaluated_as_a_version_is(client: gimbal.Client) -> None:
    """By keywords that its parameters name; the run is done, judged, of a version with its source, and traced."""
    told: list[tuple[int, int]] = []
    run = gimbal.evaluate(suite(client), answer, repeats=2, on_progress=lambda *now: told.append(now), client=client)
    rows = list(client.every(client.evaluations.results, run.id))
    version = client.assets.show(str(run.subject))
    trace = client.traces.show(rows[0].trace_id)

    assert (run.status, run.done, run.total, run.client) == ("done", 16, 16, "gimbal for Python")
    assert (run.summaries[0].estimate.value, run.summaries[0].estimate.n) == (1.0, 8)
    assert run.latency_p50_ms is not None
    assert version.asset == "function:tests/faces/client/test_evaluate_function/answer"
    assert version.manifest["signature"] == "(question: str, shout: bool = False) -> str"
    assert "words.upper()" in version.manifest["source"]
    assert len({row.trace_id for row in rows}) == 16
    assert trace.spans[0].attributes["gimbal.evaluation.id"] == run.id
    assert told[-1] == (16, 16)


def test_the_comparison_comes_beside(client: gimbal.Client) -> None:
    """Against another function, and against a run that is there."""
    asked = suite(client, 40)
    run, comparison = gimbal.evaluate(asked, answer, against=worse, concurrency=16, client=client)
    again, other = gimbal.evaluate(asked, worse, against=run.id, concurrency=16, client=client)

    assert (comparison.after.id, comparison.verdict) == (run.id, "better")
    assert (other.before.id, other.after.id, other.verdict) == (run.id, again.id, "worse")
    assert again.subject == comparison.before.subject


async def later(question: str) -> dict[str, Any]:
    """Answer in fields."""
    await asyncio.sleep(0.01)
    return {"text": f"word{question}", "cost": 0.25, "input_tokens": np.int64(7), "sources": ["a"]}


class Bot:
    """Answers with a state of its own."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, given: dict[str, Any]) -> str:
        self.asked += 1
        return f"word{given['question']}"


def returning(question: str) -> Any:
    """Hand out a coroutine, as plain functions may."""
    return later(question)


@pytest.mark.parametrize(
    "function", [later, functools.partial(later), returning, Bot()], ids=["async", "partial", "returning", "object"]
)
def test_coroutines_are_awaited(client: gimbal.Client, function: Callable[..., Any]) -> None:
    """Also inside a program that has a loop already, as a notebook has."""
    asked = suite(client)

    async def notebook() -> Any:
        return gimbal.evaluate(asked, function, client=client)

    run = asyncio.run(notebook())
    row = rows_of(client, run.id)["q3"]

    assert run.summaries[0].estimate.value == 1.0
    if not isinstance(function, Bot):
        assert (run.cost, row.cost, row.input_tokens, row.sources) == (Decimal(2), Decimal("0.25"), 7, ["a"])


class Odd(Exception):
    """Cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError


_HUGE = "ö\x00" * 500_000


def odd(question: str) -> Any:
    """Return, or raise, what functions of others have returned and raised."""
    itself: list[Any] = []
    itself.append(itself)
    if question in {"0", "1", "2"}:
        raise {"0": ValueError("no"), "1": SystemExit(3), "2": Odd()}[question]
    return {
        "3": None,
        "4": object(),
        "5": float("nan"),
        "6": {"late": [float("inf")]},
        "7": _HUGE,
        "8": "half \ud800 of a character",
        "9": {"text": 3},
        "10": {"text": "word10", "cost": -1},
        "11": itself,
        "12": {"text": "word12", "retry": 1},
        "13": np.array([1.5, 2.0]),
        "14": 2**70,
        "15": {"error": "would not", "failure": "refused"},
    }[question]


def test_nothing_that_a_function_does_stops_the_others(client: gimbal.Client) -> None:
    """Each is in its own result, missing with a reason and never 0."""
    run = gimbal.evaluate(suite(client, 16), odd, client=client)
    rows = rows_of(client, run.id)
    errors = {id_: row.error for id_, row in rows.items() if row.error}

    assert (run.status, run.done) == ("done", 16)
    assert (errors["q0"], errors["q1"], errors["q2"]) == ("ValueError: no", "SystemExit: 3", "Odd")
    for id_, told in (
        ("q4", "value is object, which JSON does not have"),
        ("q5", "value is nan, which is no number"),
        ("q6", "value.late[…] is inf"),
        ("q9", "Expected `str | null`, got `int`"),
        ("q10", "dollars from 0"),
        ("q11", "nested too deeply"),
        ("q14", "more than 64 bits"),
        ("q15", "would not"),
    ):
        assert told in errors[id_], id_
    assert sorted(errors) == sorted(f"q{i}" for i in (0, 1, 2, 4, 5, 6, 9, 10, 11, 14, 15))
    assert (rows["q3"].text, rows["q3"].missing["exact_match"]) == (None, "no_output")
    assert rows["q7"].text == _HUGE
    assert rows["q8"].text == "half \\ud800 of a character"
    assert (rows["q12"].value, rows["q13"].value) == ({"text": "word12", "retry": 1}, [1.5, 2.0])
    assert rows["q15"].failure == "refused"
    assert run.summaries[0].missing == {"error": 10, "refused": 1, "no_output": 3}


def test_a_call_that_takes_too_long_is_given_up(client: gimbal.Client) -> None:
    """In threads and in tasks, also in one that will not be cancelled; the others are not held up."""
    over = threading.Event()

    def slow(question: str) -> str:
        if question == "1":
            over.wait(30)
        return f"word{question}"

    async def stubborn(question: str) -> str:
        while question == "1" and not over.is_set():
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        return f"word{question}"

    asked = suite(client)
    begun = time.monotonic()
    for function in (slow, stubborn):
        run = gimbal.evaluate(asked, function, concurrency=2, timeout_s=0.5, client=client)
        row = rows_of(client, run.id)["q1"]
        assert (run.summaries[0].estimate.n, run.summaries[0].missing) == (7, {"timed_out": 1})
        assert (row.error, row.failure, len(row.trace_id)) == ("No answer within 0.5 s.", "timed_out", 32)
        over.set()
        over = threading.Event()
    over.set()
    assert time.monotonic() - begun < 25


def test_no_more_calls_at_once_than_asked_for(client: gimbal.Client) -> None:
    lock, now, most = threading.Lock(), 0, 0
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="")
    seen: list[str] = []

    def counted(question: str) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        seen.append(mine.get())
        mine.set(question)
        time.sleep(0.02)
        with lock:
            now -= 1
        return question

    gimbal.evaluate(suite(client, 20), counted, concurrency=3, client=client)

    assert most == 3
    assert set(seen) == {""}


def test_an_interrupted_run_is_left_open_and_only_what_is_missing_is_asked(client: gimbal.Client) -> None:
    """What is recorded stays; another function may not go on with it."""
    asked: list[str] = []
    angry = True

    def answering(question: str) -> str:
        asked.append(question)
        return f"word{question}"

    def stop(done: int, total: int) -> None:
        if angry and done >= 5:
            raise KeyboardInterrupt

    def paced(question: str) -> str:
        time.sleep(0.05)
        return answering(question)

    on = suite(client, 30)
    with pytest.raises(KeyboardInterrupt) as caught:
        gimbal.evaluate(on, paced, concurrency=1, on_progress=stop, client=client)
    open_ = client.evaluations.list(suite=on).items[0]
    first = list(asked)
    asked.clear()
    with pytest.raises(BadInput, match="answers of two versions"):
        gimbal.evaluate(on, worse, resume=open_.id, client=client)
    angry = False
    run = gimbal.evaluate(on, paced, concurrency=8, resume=open_.id, client=client)

    assert open_.id in caught.value.__notes__[0]
    assert (open_.status, open_.open) == ("running", True)
    assert 5 <= open_.done <= len(first) < 30
    assert (run.id, run.status, run.done) == (open_.id, "done", 30)
    assert len(asked) == 30 - open_.done
    assert run.summaries[0].estimate.value == 1.0


def test_a_server_that_is_away_for_a_while_loses_nothing(client: gimbal.Client, cable: Cable) -> None:
    """Calls go on meanwhile; their answers wait and are recorded once it is back, each once."""
    calls: list[str] = []

    def counted(question: str) -> str:
        calls.append(question)
        if question == "3":
            cable.pull()
            threading.Timer(1.0, cable.plug).start()
        time.sleep(0.02)
        return f"word{question}"

    with gimbal.Client(cable.url, patience=0.5) as far:
        run = gimbal.evaluate(suite(client, 40), counted, concurrency=2, client=far)

    assert (run.status, run.done, run.summaries[0].estimate.value) == ("done", 40, 1.0)
    assert sorted(calls, key=int) == [str(i) for i in range(40)]


def test_a_run_that_is_cancelled_elsewhere_is_not_gone_on_with(client: gimbal.Client) -> None:
    on = suite(client, 200)
    calls: list[str] = []
    numbers = itertools.count(1)  # of two calls at a time only one has each

    def cancelling(question: str) -> str:
        calls.append(question)
        time.sleep(0.01)
        if next(numbers) == 20:
            client.evaluations.cancel(client.evaluations.list(suite=on).items[0].id)
        return "x"

    run = gimbal.evaluate(on, cancelling, concurrency=2, client=client)

    assert run.status == "cancelled"
    assert len(calls) < 200


def test_what_cannot_be_asked_is_refused_before(client: gimbal.Client) -> None:
    on = suite(client)
    called: list[object] = []

    def other(page: int, line: int) -> None:
        called.append(page)

    with pytest.raises(BadInput, match="the suite's inputs have: context, question"):
        gimbal.evaluate(on, other, client=client)
    for options, where in (({"concurrency": 0}, "concurrency"), ({"timeout_s": 0.0}, "timeout_s"), ({"max_cost": Decimal(1)}, "max_cost")):  # fmt: skip
        with pytest.raises(BadInput) as caught:
            gimbal.evaluate(on, answer, client=client, **options)  # type: ignore[call-overload]
        assert caught.value.where == where
    assert called == []
    assert [run.status for run in client.evaluations.list(suite=on).items] == ["cancelled"]


def test_a_function_without_a_source_is_known_by_what_was_compiled(client: gimbal.Client) -> None:
    """Two of one name that do different things are two versions; the same code is the same one, however often."""
    on = suite(client, 2)
    made = []
    for body in ("'word' + question", "'wort' + question", "'word' + question"):
        space: dict[str, Any] = {"__name__": "no.such"}
        exec(f"def answer(question): return {body}", space)
        made.append(gimbal.evaluate(on, space["answer"], client=client).subject.number)
    builtin = gimbal.evaluate(on, str, client=client)

    assert made == [1, 2, 1]
    assert str(builtin.subject) == "function:builtins/str@v1"
    assert sys.version.startswith(client.assets.show("function:no/such/answer").manifest["python"])


def test_tokens_are_those_of_the_trace(client: gimbal.Client) -> None:
    """Where the function does not say them itself; what has no price stays unknown and is not 0."""

    def metered(question: str) -> str:
        with gimbal.span("ask", kind="llm") as step:
            used = {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 3}
            step.set(**{"gen_ai.request.model": "nobody/knows-it", **used})
        return f"word{question}"

    run = gimbal.evaluate(suite(client, 4), metered, client=client)
    row = rows_of(client, run.id)["q0"]

    assert (row.input_tokens, row.output_tokens, row.cost) == (11, 3, None)
    assert (run.cost, run.unpriced) == (None, 4)
    assert [span.name for span in client.traces.show(row.trace_id).spans] == ["metered", "ask"]
