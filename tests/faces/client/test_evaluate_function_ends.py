"""How evaluations of functions end when something of their own breaks: always, with a reason, and without losing answers."""

import threading
import time
from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import Any

import pytest
from tests.faces.client.test_evaluate_function import answer, suite

import gimbal
from gimbal.axis.evals.answers import RecordedAnswer
from gimbal.axis.evals.model import Example
from gimbal.faces.client.evaluating import calls
from gimbal.faces.client.evaluating.returned import answer_of
from gimbal.faces.client.outbox import Outbox
from gimbal.kernel.errors import BadInput

ONE = Example(id="q", input={"question": "1"})


class Spent(threading.Thread):
    """A thread of a process that has no more of them for calls."""

    def start(self) -> None:
        if self.name == "gimbal-call":
            raise RuntimeError("can't start new thread")
        super().start()


class Verdict(str, Enum):  # noqa: UP042 - what is tested is that they are read as well
    """As many programs have their classes."""

    LATE = "late"


class Mood(StrEnum):
    """As newer ones have them."""

    GOOD = "good"


def kept(function: Any, concurrency: int = 2) -> calls.Calls:
    """Call a function with four questions; return the calls once they have ended."""
    found = calls.Calls(
        function, name="f", evaluation_id="e", concurrency=concurrency, timeout_s=5.0, keep=lambda _: None, client=gimbal.Client("http://127.0.0.1:9")
    )  # fmt: skip
    found.start(iter([calls.Question(example=ONE, repeat=n) for n in range(4)]))
    assert found.wait(10), "it waits for ever"
    return found


def test_a_process_that_has_no_more_threads_ends_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does whose calls all hang, and are given up one after the other."""
    monkeypatch.setattr(calls.threading, "Thread", Spent)
    found = kept(answer)

    assert isinstance(found.failure, RuntimeError)
    assert found.done == 0


def test_what_breaks_between_coroutines_ends_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hello(question: str) -> str:
        return question

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(calls, "_Call", broken)

    assert str(kept(hello).failure) == "broken"


def test_a_refusal_that_a_call_hears_first_does_not_hand_over_half_of_the_answers(
    client: gimbal.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused is not taken for what nobody answered: the run stays open."""
    done = Outbox._done

    def heard(outbox: Outbox[Any], refusal: Any) -> None:
        with outbox._condition:
            time.sleep(0.5)
            done(outbox, refusal)
            outbox._refusal = None

    def refused(run_id: str, *, answers: Sequence[RecordedAnswer]) -> None:
        raise BadInput("No.", where="answers")

    on = suite(client, 4)
    monkeypatch.setattr(Outbox, "_done", heard)
    monkeypatch.setattr(client.evaluations, "record", refused)
    with pytest.raises(BadInput, match="No"):
        gimbal.evaluate(on, answer, client=client)
    (run,) = client.evaluations.list(suite=on).items

    assert run.open


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        ({"label": Verdict.LATE}, {"label": "late"}),
        ([Verdict.LATE, Mood.GOOD], ["late", "good"]),
        ({Verdict.LATE: 0.75, Mood.GOOD: 0.25, 3: None}, {"late": 0.75, "good": 0.25, "3": None}),
    ],
)
def test_words_of_enumerations_are_their_values(returned: Any, value: Any) -> None:
    """In lists and as names of classes, as JSON has them."""
    found = answer_of(returned, ONE, 0, latency_ms=1.0, trace_id="")

    assert (found.error, found.value) == ("", value)


def test_a_word_of_an_enumeration_is_a_text() -> None:
    assert answer_of(Verdict.LATE, ONE, 0, latency_ms=1.0, trace_id="").text == "late"
