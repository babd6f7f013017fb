"""What is inside what: steps, threads, streams and other services; and tracing that never shows in the program."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest

import gimbal
from gimbal.axis.traces.model import Span
from gimbal.faces.client import tracing
from gimbal.faces.client.otlp_json import SPAN_BYTES
from gimbal.faces.client.propagation import Headers, incoming
from gimbal.kernel.errors import BadInput

CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8


def spans(client: gimbal.Client, trace_id: str) -> dict[str, Span]:
    gimbal.flush(client)
    return {span.name: span for span in client.traces.show(trace_id).spans}


def family(found: dict[str, Span]) -> dict[str, str]:
    """Return each span's parent by name."""
    by_id = {span.span_id: name for name, span in found.items()}
    return {name: by_id.get(span.parent_id, "") for name, span in found.items()}


def test_a_step_belongs_to_its_trace(client: gimbal.Client) -> None:
    """It goes to the same server, and for the same feature, user and session, without being told."""

    @gimbal.span(kind="retriever")
    def look_up(question: str) -> list[str]:
        gimbal.current_span().set(found=1)
        return [question]

    @gimbal.trace(feature="help", user="ada", session="s9", client=client)
    def answer(question: str) -> str:
        with gimbal.span("think", kind="llm") as step:
            step.set(model="tiny")
        return look_up(question)[0] + gimbal.current_span().trace_id

    trace_id = answer("why")[3:]
    found = spans(client, trace_id)

    root = "answer"
    assert family(found) == {root: "", "think": root, "look_up": root}
    assert {(s.feature, s.user_id, s.session_id) for s in found.values()} == {("help", "ada", "s9")}
    assert (found["think"].kind, found["look_up"].kind, found["look_up"].attributes["found"]) == ("llm", "retriever", 1)


def test_bare_decorators_take_the_name_of_the_function(client: gimbal.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """`@gimbal.trace` and `@gimbal.span` need no parentheses; a method is named with its class."""

    class Answerer:
        @gimbal.span
        def think(self, of: int) -> int:
            return of + 1

    @gimbal.trace
    def bare(of: int) -> int:
        return Answerer().think(of)

    with gimbal.trace("all", client=client) as root:
        assert bare(1) == 2

    found = spans(client, root.trace_id)
    assert family(found) == {"all": "", "bare": "all", "Answerer.think": "bare"}


def test_threads_and_executors_carry_the_trace_when_told(client: gimbal.Client) -> None:
    """One carried function may run in many threads at once; what is not carried has a trace of its own."""
    barrier = threading.Barrier(4)

    def work(i: int) -> str:
        with gimbal.span(f"work {i}") as step:
            barrier.wait(20)
            return step.trace_id

    with gimbal.trace("root", client=client) as root, ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(gimbal.carry(work), range(4)))

    assert set(ids) == {root.trace_id}
    assert family(spans(client, root.trace_id)) == {"root": "", **{f"work {i}": "root" for i in range(4)}}
    assert gimbal.carry(work).__name__ == "work"


async def test_tasks_carry_it_by_themselves(client: gimbal.Client) -> None:
    """Tasks side by side do not become each other's parents; one that outlives its parent is still its child."""
    started, go = asyncio.Event(), asyncio.Event()

    async def work(i: int) -> None:
        with gimbal.span(f"task {i}"):
            await asyncio.sleep(0)
            await asyncio.to_thread(inner, i)

    def inner(i: int) -> None:
        with gimbal.span(f"inner {i}"):
            pass

    async def late() -> None:
        started.set()
        await go.wait()
        with gimbal.span("late"):
            pass

    with gimbal.trace("root", client=client) as root:
        with gimbal.span("short"):
            task = asyncio.create_task(late())
            await started.wait()
        await asyncio.gather(*(work(i) for i in range(3)))
    go.set()
    await task

    expected = {"root": "", "short": "root", "late": "short"}
    for i in range(3):
        expected |= {f"task {i}": "root", f"inner {i}": f"task {i}"}
    assert family(spans(client, root.trace_id)) == expected


def test_a_traced_generator_stays_a_generator(client: gimbal.Client) -> None:
    """It can be sent to and thrown into, returns what it returns, and its steps stay inside it between items."""
    seen: list[Any] = []

    @gimbal.trace("talk", client=client)
    def talk() -> Generator[str, int, str]:
        with gimbal.span("first half"):
            seen.append((yield "a"))
            with gimbal.span("deep"):
                pass
        try:
            yield "b"
        except KeyError as error:
            seen.append(error)
        yield "c"
        return "done"

    def outer() -> Generator[str, int, str]:
        return (yield from talk())

    with gimbal.trace("reader", client=client) as root:
        stream = outer()
        assert next(stream) == "a"
        with gimbal.span("reading"):
            assert stream.send(7) == "b"
        assert stream.throw(KeyError("mine")) == "c"
        with pytest.raises(StopIteration) as end:
            next(stream)
        with gimbal.span("after"):
            pass

    assert end.value.value == "done"
    assert seen[0] == 7
    assert str(seen[1]) == "'mine'"
    found = spans(client, root.trace_id)
    assert family(found) == {
        "reader": "", "talk": "reader", "first half": "talk", "deep": "first half", "reading": "reader",
        "after": "reader",
    }  # fmt: skip
    assert msgspec.json.decode(found["talk"].output) == ["a", "b", "c"]


async def test_a_traced_async_generator_stays_one(client: gimbal.Client) -> None:
    """As above; an error of the reader's that it does not catch is its own."""
    seen: list[Any] = []

    @gimbal.span("talk")
    async def talk() -> AsyncIterator[str]:
        try:
            seen.append((yield "a"))  # type: ignore[func-returns-value]
            yield "b"
        finally:
            with gimbal.span("cleaning"):
                await asyncio.sleep(0)

    with gimbal.trace("reader", client=client) as root:
        stream: Any = talk()
        assert await anext(stream) == "a"
        assert await stream.asend(7) == "b"
        with pytest.raises(KeyError), gimbal.span("reading"):
            await stream.athrow(KeyError("mine"))

    assert seen == [7]
    found = spans(client, root.trace_id)
    assert family(found) == {"reader": "", "talk": "reader", "cleaning": "talk", "reading": "reader"}
    assert (found["talk"].status, found["talk"].status_message) == ("error", "KeyError: 'mine'")


def test_a_stream_closed_elsewhere_disturbs_nobody(client: gimbal.Client) -> None:
    """It is closed inside another step: what comes after in that step is that step's."""
    cleaned: list[str] = []

    @gimbal.span("stream")
    def numbers() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            with gimbal.span("cleaning"):
                cleaned.append(gimbal.current_span().trace_id)

    with gimbal.trace("root", client=client) as root:
        stream = numbers()
        next(stream)
        with gimbal.span("other"):
            stream.close()  # type: ignore[attr-defined]
            with gimbal.span("inside other"):
                pass
    assert gimbal.current_span().headers == {}

    assert cleaned == [root.trace_id]
    assert family(spans(client, root.trace_id)) == {
        "root": "", "stream": "root", "cleaning": "stream", "other": "root", "inside other": "other",
    }  # fmt: skip


def test_blocks_that_end_out_of_order_leave_nothing_current(client: gimbal.Client) -> None:
    """A generator that is not traced keeps its step open while its reader goes on."""

    def held() -> Iterator[int]:
        with gimbal.span("held"):
            yield 1

    with gimbal.trace("root", client=client) as root:
        stream = held()
        next(stream)
        with gimbal.span("reader"):
            assert list(stream) == []
    with gimbal.trace("next", client=client) as after:
        pass

    assert set(spans(client, root.trace_id)) == {"root", "held", "reader"}
    assert family(spans(client, after.trace_id)) == {"next": ""}


@pytest.mark.parametrize(
    "headers",
    [
        {"TraceParent": f"{CALLER}-01", "tracestate": "a=1, b=2"},
        {b"traceparent": f"{CALLER}-01".encode(), b"tracestate": b"a=1, b=2"},
        [(b"traceparent", f" {CALLER}-01 ".encode()), (b"tracestate", b"a=1"), (b"tracestate", b" b=2")],
        [("traceparent", f"{CALLER}-01"), ("tracestate", "a=1, b=2"), ("accept", "*/*")],
    ],
    ids=["mapping", "bytes", "asgi", "pairs"],
)
def test_an_incoming_request_goes_on_here(client: gimbal.Client, headers: Headers) -> None:
    """By W3C headers in any form; what is called from here gets them with our span in place of the caller's."""
    with gimbal.trace("served", headers=headers, client=client) as span, gimbal.span("step") as step:
        told = step.headers

    assert span.trace_id == "ab" * 16
    assert told["traceparent"] == f"00-{'ab' * 16}-{step.span_id}-01"
    assert told["tracestate"].replace(" ", "") == "a=1,b=2"
    gimbal.flush(client)
    row = next(s for s in client.traces.show("ab" * 16).spans if s.span_id == span.span_id)
    assert row.parent_id == "cd" * 8


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": f"{CALLER}-01-more"},
        {"traceparent": f"00-{'0' * 32}-{'cd' * 8}-01"},
        {"traceparent": f"ff-{'ab' * 16}-{'cd' * 8}-01"},
        [("traceparent", f"{CALLER}-01"), ("traceparent", f"{CALLER}-01")],
        [("traceparent",)],
        {"traceparent": None},
        7,
    ],
)  # fmt: skip
def test_headers_that_name_no_caller_are_passed_over(headers: Any) -> None:
    """As the standard asks: the trace begins here."""
    assert incoming(headers) is None
    with gimbal.trace("own", headers=headers) as span:
        assert len(span.trace_id) == 32
        assert span.trace_id != "ab" * 16
        gimbal.current_span().place = None  # not sent: there is no server here


def test_what_the_caller_does_not_record_is_not_recorded_here(client: gimbal.Client) -> None:
    """A flag that says so holds for every step, and is passed on."""
    trace_id = "ef" * 16
    with (
        gimbal.trace("quiet", headers={"traceparent": f"00-{trace_id}-{'cd' * 8}-00"}, client=client),
        gimbal.span("step") as step,
    ):
        assert step.headers["traceparent"].endswith("-00")
    gimbal.flush(client)

    with pytest.raises(gimbal.GimbalError, match=trace_id):
        client.traces.show(trace_id)


class Hostile:
    """Raises at whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = __str__  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


async def test_nothing_of_ours_reaches_the_program(client: gimbal.Client, caplog: pytest.LogCaptureFixture) -> None:
    """Values, names and errors that raise when they are looked at: the function works as if it were not traced."""
    thing = Hostile()

    @gimbal.trace(client=client)
    def through(value: Hostile) -> Hostile:
        return value

    @gimbal.trace(client=client)
    def items() -> Iterator[Hostile]:
        yield thing

    @gimbal.trace(client=client)
    async def awaited() -> Hostile:
        return thing

    assert through(thing) is thing
    assert next(iter(items())) is thing
    assert await awaited() is thing
    with pytest.raises(Unspeakable), gimbal.trace("unspeakable", client=client):
        raise Unspeakable
    with caplog.at_level(logging.WARNING), gimbal.trace(thing, client=client) as odd:  # type: ignore[call-overload]
        odd.set(value=thing, headers=thing)
    assert "1 spans were lost on the way out of the program: RuntimeError" in caplog.messages
    assert gimbal.current_span().trace_id == ""


def test_a_span_is_bounded_whatever_is_put_into_it(client: gimbal.Client) -> None:
    """Arrays, texts, streams and names without end: the start of a text, a word for the rest, and the mark."""

    @gimbal.span("stream")
    def answers() -> Iterator[bool]:
        yield from (n % 2 == 0 for n in range(30_000))

    @gimbal.span("array")
    def whole(values: Any) -> int:
        return len(values)

    with gimbal.trace("large", client=client) as root:
        root.set(text="x" * (SPAN_BYTES + 1), small=1)
        for i in range(1_100):
            root.set(**{f"name {i}": i})
        assert sum(answers()) == 15_000
        assert whole(np.zeros(2 * SPAN_BYTES, dtype=np.uint8)) == 2 * SPAN_BYTES

    found = spans(client, root.trace_id)
    a = found["large"].attributes
    assert a["text"] == "x" * 1000 + "…"
    assert (a["small"], a["name 900"], "name 1099" in a) == (1, 900, False)
    assert msgspec.json.decode(found["array"].input) == f"<dict of more than {SPAN_BYTES:,} bytes>"
    assert len(msgspec.json.decode(found["stream"].output)) == 10_000
    assert [found[n].attributes["gimbal.truncated"] for n in ("large", "array", "stream")] == [True] * 3


def test_scores_are_of_what_runs_here(client: gimbal.Client) -> None:
    """The trace by default, its span or session when told; by id from elsewhere; nothing to judge is said."""
    with gimbal.trace("judged", session="sess-score", client=client) as root, gimbal.span("step") as step:
        of = [gimbal.score("good", 1.0, target=target) for target in ("trace", "span", "session")]
    by_id = gimbal.score("good", 0.0, target="session", target_id="sess-score", client=client)

    assert [s.target_id for s in of] == [root.trace_id, step.span_id, "sess-score"]
    assert [s.trace_id for s in of] == ["", root.trace_id, ""]
    told = client.scores.list(target_kind="session", target_id="sess-score").items  # type: ignore[arg-type]
    assert {s.id for s in told} == {of[2].id, by_id.id}
    for target in ("trace", "span", "session", "run"):
        with pytest.raises(BadInput, match=f"no {target} here to be judged"):
            gimbal.score("good", 1.0, target=target, client=client)


def test_a_task_that_starts_the_next_one_keeps_no_chain(client: gimbal.Client) -> None:
    """Each span of an endless chain of tasks lets go of those before it."""

    async def chain(n: int) -> tracing.Span:
        with gimbal.trace("link", client=client) as link:
            task = asyncio.create_task(chain(n - 1)) if n else None
        return await task if task else link

    last = asyncio.run(chain(50))
    assert last.outer is None
