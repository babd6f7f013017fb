"""What traces hold of calls: each once, with the answer that was given, whatever senders write into spans."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gimbal.axis.traces.model import Span, Trace, TraceSummary
from gimbal.generative.gateway.replaying.captured import captured
from gimbal.generative.prompts.model import VARIABLES_ATTRIBUTE

PROMPT = "prompt:help/answer"
TRACE = "a" * 32


def span(number: int, above: int | None = None, **fields: Any) -> Span:
    """Return a span that begins at its number, in milliseconds, and takes one."""
    given: dict[str, Any] = {"name": "s", "kind": "chain", "start_us": number * 1000, "end_us": number * 1000 + 1000}
    parent = "" if above is None else f"{above:016x}"
    return Span(trace_id=TRACE, span_id=f"{number:016x}", parent_id=parent, dialect="gimbal", **(given | fields))


def told(number: int, above: int | None = None, **fields: Any) -> Span:
    """Return a span of a program that noted what it filled the prompt with."""
    return span(
        number, above, refs=[f"{PROMPT}@v1"], attributes={VARIABLES_ATTRIBUTE: json.dumps({"question": "x"})}, **fields
    )


def said(text: str, **more: Any) -> str:
    """Return an answer as spans have it."""
    return json.dumps({"role": "assistant", "content": text} | more)


def trace(*spans: Span) -> Trace:
    """Return a trace of these spans."""
    summary = TraceSummary(
        trace_id=TRACE, name="s", kind="chain", start=datetime.now(UTC), duration_us=1, status="ok", spans=len(spans), errors=0,
        model="", feature="", user_id="", session_id="", input_tokens=None, output_tokens=None, cost=None, unpriced=0, weight=1.0,
    )  # fmt: skip
    return Trace(summary=summary, spans=list(spans))


@pytest.mark.parametrize(
    ("asked", "text", "kept"),
    [
        ("Sort it.", "return xs[0]", "return xs[0]"),
        ("Which ids?", '{"ids": [1, 2]}', '{"ids": [1, 2]}'),
        ("[1] docs/ports.md\nIt is 8765.\n\nWhich port?", "8765 [1].", "8765."),
    ],
)
def test_brackets_are_markers_only_where_passages_were_sent(asked: str, text: str, kept: str) -> None:
    """As in evaluations of the candidate: both sides are read alike."""
    messages = json.dumps([{"role": "user", "content": asked}])
    found, _ = captured(trace(told(1), span(2, 1, kind="llm", input=messages, output=said(text))), PROMPT)

    assert found[0].answer.text == kept


@pytest.mark.parametrize(
    ("output", "text", "refused"),
    [
        (said("8765", reasoning="The docs say so."), "8765", False),
        (said("", refusal="I will not."), "I will not.", True),
        (json.dumps([json.loads(said("8765", reasoning="So."))]), "8765", False),
        (json.dumps("8765"), "8765", False),
    ],
)
def test_what_a_model_thought_is_no_part_of_its_answer(output: str, text: str, *, refused: bool) -> None:
    found, _ = captured(trace(told(1), span(2, 1, kind="llm", output=output)), PROMPT)

    assert (found[0].answer.text, found[0].answer.failure == "refused") == (text, refused)


def test_tools_that_were_called_are_said_whatever_the_form() -> None:
    calls = [{"type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}]
    one = said("", tool_calls=calls)
    for output in (one, f"[{one}]"):
        found, _ = captured(trace(told(1), span(2, 1, kind="llm", output=output)), PROMPT)
        assert (found[0].answer.text, found[0].answer.tool_calls) == ("", [{"name": "look", "arguments": {"q": 1}}])


def test_a_span_in_which_several_prompts_were_filled_does_not_say_which_with_what() -> None:
    """It has the variables of the last one only; they are not taken for those of the others."""
    both = told(1)
    both.refs.append("prompt:help/summary@v3")
    found, unused = captured(trace(both, span(2, 1, kind="llm", output=said("x"))), PROMPT)

    assert (found, unused) == ([], ["no_variables"])


def test_the_time_is_that_of_the_answer_and_not_of_the_program_around_it() -> None:
    slow = msgspec.structs.replace(told(1), end_us=60_000_000)
    found, _ = captured(trace(slow, span(2, 1, kind="llm", output=said("x"))), PROMPT)

    assert found[0].answer.latency_ms == 1


def test_calls_of_two_traces_have_ids_of_their_own() -> None:
    """Ids of spans are unique in their trace only."""
    first = told(1, output=said("x"))
    second = msgspec.structs.replace(first, trace_id="b" * 32)
    ids = {captured(trace(one), PROMPT)[0][0].id for one in (first, second)}

    assert len(ids) == 2


def test_a_trace_of_thousands_of_calls_is_read_at_once() -> None:
    """Also one whose spans lie in a circle."""
    spans = [span(1, 2), span(2, 1)]
    for number in range(10, 6_000, 2):
        spans += [told(number, 1), span(number + 1, number, kind="llm", output=said("x"))]
    begun = time.monotonic()
    found, unused = captured(trace(*spans), PROMPT)

    assert (len(found), unused) == (2_995, [])
    assert time.monotonic() - begun < 3
