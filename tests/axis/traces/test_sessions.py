"""Sessions: what they come to, in pages that hold while others speak, and one conversation of their traces."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.axis.traces.test_aggregate import HOUR, NOON, call, keep, step

from gimbal.axis.scores.model import NewScore, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.finding_model import Conversation, Said
from gimbal.axis.traces.model import Document
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.operations import find, invoke

Message = dict[str, Any]
RULES: Message = {"role": "system", "content": "Be kind."}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def answer(text: str, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


def js(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def listed(here: Context, **asked: Any) -> Any:
    return await invoke(find("sessions.list"), here, {"project": here.project, **asked})


async def shown(here: Context, own: str, **asked: Any) -> Conversation:
    return await invoke(find("sessions.show"), here, {"project": here.project, "id": own, **asked})


def told(said: list[Said]) -> list[str]:
    """Return what a turn said, shortly."""
    found: list[str] = []
    for one in said:
        if one.message is not None:
            calls = [f"!{made['function']['name']}" for made in one.message.get("tool_calls", [])]
            found.append(
                " ".join(filter(None, [one.message["role"][0] + ":", str(one.message["content"] or ""), *calls]))
            )
        else:
            found.append(f"{one.kind}: {one.error or one.name}")
    return found


async def turn(here: Context, number: int, taken: Any, given: Any, session: str = "s", **said: Any) -> None:
    """Store a trace of a root that names the session, and a call in it."""
    at = NOON + number * HOUR
    root = step(number * 100, trace=number, name=f"turn {number}", ms=1500, at_us=at, session_id=session, user_id="ann")
    inner = call(
        number * 100 + 1, trace=number, parent_id=root.span_id, at_us=at + 1, input=js(taken), output=js(given), **said
    )  # fmt: skip
    await keep(here, root, inner)


async def test_a_session_is_told_with_what_all_its_traces_come_to(traces: Traces, here: Context) -> None:
    await turn(here, 1, [user("a")], [answer("b")])
    await turn(here, 2, [user("c")], [answer("d")], cost=None, unpriced="no_price", status="error")
    await turn(here, 3, [user("x")], [answer("y")], session="t")
    await here.get(Scores).record(
        here, [NewScore(target_kind=ScoreTarget.SESSION, target_id="s", name="solved", value=1.0)]
    )
    t, s = (await listed(here)).items
    assert (t.id, t.traces, t.failed) == ("t", 1, 0)
    assert (s.id, s.user_id, s.traces, s.failed, s.unpriced) == ("s", "ann", 2, 1, 1)
    assert (s.input_tokens, s.output_tokens, s.cost) == (20, 4, Decimal("0.01"))
    assert (s.last - s.first).total_seconds() == pytest.approx(3601.5)
    assert [(one.name, one.value) for one in s.scores] == [("solved", 1.0)]


async def test_filters_of_sessions(traces: Traces, here: Context) -> None:
    await turn(here, 1, [user("a")], [answer("b")], session="first")
    await turn(here, 2, [user("a")], [answer("b")], session="second", model="m9", status="error")
    for asked, found in (
        ({"model": "m9"}, ["second"]),
        ({"status": "error"}, ["second"]),
        ({"user": "ann"}, ["second", "first"]),
        ({"user": "bob"}, []),
        ({"text": "FIR"}, ["first"]),
        ({"text": "' OR 1=1"}, []),
    ):
        assert [one.id for one in (await listed(here, **asked)).items] == found, asked


async def test_pages_of_sessions_hold_while_others_speak(traces: Traces, here: Context) -> None:
    for number in range(1, 8):
        await turn(here, number, [user("a")], [answer("b")], session=f"s{number}")
    found: list[str] = []
    cursor = None
    while True:
        page = await listed(here, limit=3, cursor=cursor)
        found += [one.id for one in page.items]
        cursor = page.next
        if cursor is None:
            break
        # Those behind speak again, later than any first page was asked for.
        late = call(9000 + len(found), trace=9000 + len(found), session_id="s1", at_us=NOON * 2)
        await keep(here, late)
    assert found == [f"s{number}" for number in range(7, 0, -1)]


async def test_a_repeated_history_is_told_once(traces: Traces, here: Context) -> None:
    first = [RULES, user("yes"), answer("Fine.")]
    await turn(here, 1, first[:2], [first[2]])
    # The same word again is new, the same instructions are not; the answer comes back in another form.
    second = [RULES, user("yes"), {"role": "assistant", "content": [{"type": "text", "text": "Fine."}]}, user("yes")]
    await turn(here, 2, second, [answer("Again?")])
    await turn(here, 3, [{"role": "system", "content": "Be brief."}, answer("Again?"), user("no")], [answer("Bye.")])
    found = (await shown(here, "s")).turns.items
    assert [told(one.said) for one in found] == [
        ["s: Be kind.", "u: yes", "a: Fine."],
        ["u: yes", "a: Again?"],
        ["s: Be brief.", "u: no", "a: Bye."],
    ]
    assert [one.trace.name for one in found] == ["turn 1", "turn 2", "turn 3"]


async def test_the_calls_of_one_turn_say_each_thing_once(traces: Traces, here: Context) -> None:
    made = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    asked = [user("Rain?")]
    calls = answer("", tool_calls=[made])
    result = {"role": "tool", "content": "dry", "tool_call_id": "c1"}
    root = step(1, name="agent", session_id="s", kind="agent")
    parent = {"parent_id": root.span_id}
    await keep(
        here,
        root,
        call(2, at_us=NOON + 1, input=js(asked), output=js([calls]), **parent),
        step(3, at_us=NOON + 2, kind="tool", name="weather", input='{"city":"Ulm"}', output='"dry"', **parent),
        step(4, at_us=NOON + 3, kind="tool", name="audit", input="1", output="2", **parent),
        step(5, at_us=NOON + 4, kind="retriever", name="search", documents=[Document(id="d", content="Ulm is dry.")], **parent),
        # Arguments come back with other blanks.
        call(
            6, at_us=NOON + 5, output=js([answer("No.")]), **parent,
            input=js([*asked, answer("", tool_calls=[made | {"function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}]), result]),
        ),
        step(7, at_us=NOON + 6, name="notify", status="error", status_message="no route", **parent),
    )  # fmt: skip
    (found,) = (await shown(here, "s")).turns.items
    assert told(found.said) == [
        "u: Rain?", "a: !weather", "tool: audit", "documents: search", "t: dry", "a: No.", "error: no route",
    ]  # fmt: skip


async def test_a_later_turn_of_several_calls_leaves_the_history_out(traces: Traces, here: Context) -> None:
    history = [RULES, user("one"), answer("1")]
    await turn(here, 1, history[:2], history[2:])
    asked = [*history, user("two")]
    root = step(200, trace=2, name="agent", session_id="s", at_us=NOON + 2 * HOUR)
    made = answer("", tool_calls=[{"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}])
    result = {"role": "tool", "content": "2", "tool_call_id": "c"}
    at = NOON + 2 * HOUR
    await keep(
        here,
        root,
        call(201, trace=2, at_us=at + 1, parent_id=root.span_id, input=js(asked), output=js([made])),
        call(
            202,
            trace=2,
            at_us=at + 2,
            parent_id=root.span_id,
            input=js([*asked, made, result]),
            output=js([answer("1")]),
        ),
    )
    found = (await shown(here, "s")).turns.items
    # The same answer as before is said again.
    assert told(found[1].said) == ["u: two", "a: !add", "t: 2", "a: 1"]


async def test_a_trace_without_calls_tells_what_its_root_took_and_gave(traces: Traces, here: Context) -> None:
    await keep(here, step(1, session_id="s", input='"Hello"', output=js({"reply": "Hi"})))
    (found,) = (await shown(here, "s")).turns.items
    assert told(found.said) == ["u: Hello", 'a: {"reply":"Hi"}']


async def test_turns_come_in_pages_that_read_themselves_alone(traces: Traces, here: Context) -> None:
    history: list[Message] = [RULES]
    for number in range(1, 8):
        history.append(user(f"q{number}"))
        await turn(here, number, history, [answer(f"a{number}")])
        history.append(answer(f"a{number}"))
    found: list[list[str]] = []
    cursor = None
    while True:
        page = (await shown(here, "s", limit=3, cursor=cursor)).turns
        assert page.total == 7
        found += [[text for text in told(one.said) if text[0] != "s"] for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == [[f"u: q{number}", f"a: a{number}"] for number in range(1, 8)]


async def test_scores_stand_with_their_turn(traces: Traces, here: Context) -> None:
    await turn(here, 1, [user("a")], [answer("b")])
    await here.get(Scores).record(
        here,
        [
            NewScore(target_kind=ScoreTarget.TRACE, target_id=f"{1:032x}", name="kind", value=0.5),
            NewScore(target_kind=ScoreTarget.SPAN, target_id=f"{101:016x}", trace_id=f"{1:032x}", name="true", label="no"),
        ],
    )  # fmt: skip
    (found,) = (await shown(here, "s")).turns.items
    assert {(one.name, one.value, one.label) for one in found.scores} == {("kind", 0.5, ""), ("true", None, "no")}


async def test_no_session_of_another_project(traces: Traces, here: Context) -> None:
    await turn(here, 1, [user("a")], [answer("b")])
    there = here.within(f"{here.project}x")
    with pytest.raises(NotFound):
        await shown(there, "s")
    assert (await listed(there)).items == []
    with pytest.raises(NotFound):
        await shown(here, "' OR 1=1 --")


async def test_a_foreign_cursor_is_refused(traces: Traces, here: Context) -> None:
    await turn(here, 1, [user("a")], [answer("b")])
    for ask in (listed(here, cursor="eA"), shown(here, "s", cursor="eA"), listed(here, limit=500)):
        with pytest.raises(BadInput):
            await ask


@pytest.mark.parametrize(
    "text", ['{"blob":"b3:00","size":3,"start":"x"}', "[[[", '[{"role": 3}]', "nul", '{"role":"user"}', "7"]
)
async def test_whatever_stands_in_a_call_is_told(traces: Traces, here: Context, text: str) -> None:
    await keep(here, call(1, session_id="s", input=text, output=text, at_us=NOON))
    (found,) = (await shown(here, "s")).turns.items
    assert found.said
