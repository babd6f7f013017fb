"""`gimbal.trace`: spans arrive with their family, and tracing never breaks, slows or falsifies the program."""

import asyncio
import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from bench.bar import Running, free_port
from tests.links import Answer, Cable, scripted

import gimbal
from gimbal.axis.traces.model import Span


def spans(client: gimbal.Client, trace_id: str) -> dict[str, Span]:
    """Return the spans of a trace by name, after everything has been sent."""
    gimbal.flush(client)
    return {span.name: span for span in client.traces.show(trace_id).spans}


def test_spans_arrive_with_parents_inputs_and_outputs(client: gimbal.Client) -> None:
    """A chain with a step in it, attributed to a feature, a user and a session."""
    with gimbal.trace("answer", feature="help", user="ada", session="s1", client=client) as outer:
        outer.set(input={"question": "Why?"}, model="tiny", temperature=0.5, tries=3, cached=False)
        with gimbal.trace("look up", kind="retriever", client=client) as inner:
            inner.set(output=["a.md", "b.md"])
        outer.set(output="Because.")

    found = spans(client, outer.trace_id)
    assert set(found) == {"answer", "look up"}
    root, child = found["answer"], found["look up"]
    assert (child.parent_id, root.parent_id) == (root.span_id, "")
    assert (root.kind, child.kind) == ("chain", "retriever")
    assert (root.feature, root.user_id, root.session_id) == ("help", "ada", "s1")
    assert (msgspec.json.decode(root.input), msgspec.json.decode(root.output)) == ({"question": "Why?"}, "Because.")
    assert msgspec.json.decode(child.output) == ["a.md", "b.md"]
    assert {k: root.attributes[k] for k in ("temperature", "tries", "cached")} == {
        "temperature": 0.5,
        "tries": 3,
        "cached": False,
    }
    assert root.start_us <= child.start_us <= child.end_us <= root.end_us
    assert root.status == "ok"


def test_an_error_is_noted_and_goes_on(client: gimbal.Client) -> None:
    """The span says what was raised; the program sees it as it was."""
    with pytest.raises(ValueError, match="mine"), gimbal.trace("broken", client=client) as span:
        raise ValueError("mine")

    found = spans(client, span.trace_id)["broken"]
    assert (found.status, found.status_message) == ("error", "ValueError: mine")


class Opaque:
    """Cannot be written down."""

    def __str__(self) -> str:
        """Fail."""
        message = "no words"
        raise RuntimeError(message)


def test_values_of_every_kind_are_attributes(client: gimbal.Client) -> None:
    """Not finite, too large, holding itself, without words, or no UTF-8: each is told, and none raises."""
    loop: list[Any] = []
    loop.append({"loop": [loop]})
    with gimbal.trace("values\ud800", client=client) as span:
        span.set(nan=math.nan, large=2**80, opaque=Opaque(), text="\ud800", nothing=None, loop=tuple(loop))

    found = spans(client, span.trace_id)["values\\ud800"].attributes
    assert (found["nan"], found["large"], found["text"]) == ("NaN", str(2**80), "\\ud800")
    assert found["opaque"] == "<Opaque that cannot be written: RuntimeError>"
    assert found["loop"] == "<tuple that cannot be written: BadInput>"
    assert "nothing" not in found


def test_what_is_set_is_what_it_was_then(client: gimbal.Client) -> None:
    """A list of messages that grows afterwards does not change what went in."""
    messages = ["first"]
    with gimbal.trace("snapshot", client=client) as span:
        span.set(input=messages)
        messages.append("second")

    assert msgspec.json.decode(spans(client, span.trace_id)["snapshot"].input) == ["first"]


async def test_functions_of_every_kind_can_be_traced(client: gimbal.Client) -> None:
    """Plain, async, and both kinds of generators: arguments, results, and a parent that is right."""

    @gimbal.trace("plain", client=client)
    def plain(a: int, *, b: int) -> int:
        """Add."""
        return a + b

    @gimbal.trace("awaited", client=client)
    async def awaited() -> int:
        await asyncio.sleep(0)
        return plain(1, b=2)

    @gimbal.trace("yielded", client=client)
    def yielded() -> Iterator[str]:
        yield "a"
        yield "b"

    @gimbal.trace("streamed", client=client)
    async def streamed() -> AsyncIterator[str]:
        for part in yielded():
            await asyncio.sleep(0)
            yield part

    with gimbal.trace("all", client=client) as root:
        assert await awaited() == 3
        parts: list[str] = []
        async for part in streamed():
            with gimbal.trace(f"reader {part}", client=client):
                parts.append(part)
    assert parts == ["a", "b"]
    assert (plain.__name__, plain.__doc__) == ("plain", "Add.")

    found = spans(client, root.trace_id)
    parents = {name: next((n for n, p in found.items() if p.span_id == s.parent_id), "") for name, s in found.items()}
    assert parents == {
        "all": "",
        "awaited": "all",
        "plain": "awaited",
        "streamed": "all",
        "yielded": "streamed",
        "reader a": "all",
        "reader b": "all",
    }
    assert msgspec.json.decode(found["plain"].input) == {"args": [1], "kwargs": {"b": 2}}
    assert msgspec.json.decode(found["awaited"].output) == 3
    assert msgspec.json.decode(found["streamed"].output) == ["a", "b"]


def test_a_stream_that_is_left_early_has_not_failed(client: gimbal.Client) -> None:
    """What was read of it is its output."""

    @gimbal.trace("left", client=client)
    def numbers() -> Iterator[int]:
        yield from range(10)

    with gimbal.trace("reader", client=client) as root:
        stream = numbers()
        assert [next(stream), next(stream)] == [0, 1]
        stream.close()  # type: ignore[attr-defined]

    found = spans(client, root.trace_id)["left"]
    assert (found.status, msgspec.json.decode(found.output)) == ("ok", [0, 1])


def test_threads_have_traces_of_their_own_unless_told(client: gimbal.Client) -> None:
    """Many at once, and every span arrives."""
    ids: list[str] = []

    def work(i: int) -> None:
        with gimbal.trace(f"thread {i}", client=client) as span, gimbal.trace("step", client=client):
            ids.append(span.trace_id)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 20
    assert [len(spans(client, trace_id)) for trace_id in ids] == [2] * 20


def test_a_call_to_another_service_carries_the_trace(client: gimbal.Client) -> None:
    """The headers are W3C trace context, of the innermost span."""
    with gimbal.trace("caller", client=client) as span:
        assert span.headers == {"traceparent": f"00-{span.trace_id}-{span.span_id}-01"}


def test_a_server_that_is_away_costs_the_program_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """No error, no waiting; the log says once that spans wait, and `flush` raises for who wants to know."""
    with gimbal.Client(f"http://127.0.0.1:{free_port()}", patience=0.2) as far:
        started = time.monotonic()
        for i in range(100):
            with gimbal.trace(f"away {i}", client=far):
                pass
        assert time.monotonic() - started < 5
        with caplog.at_level(logging.WARNING, "gimbal"), pytest.raises(gimbal.GimbalError) as caught:
            gimbal.flush(far)
        assert caught.value.code == "unavailable"
        assert "100 spans wait in " in caught.value.kept
        assert sum("spans wait to be sent" in line for line in caplog.messages) <= 1


def test_spans_of_an_outage_arrive_afterwards(up: Running, client: gimbal.Client) -> None:
    """What waited is sent when the server is back, once."""
    cable = Cable(up.url)
    with gimbal.Client(cable.url, patience=20) as far:
        cable.pull()
        with gimbal.trace("late", client=far) as root:
            for i in range(50):
                with gimbal.trace(f"step {i}", client=far):
                    pass
        cable.plug()
        gimbal.flush(far)
    assert len(client.traces.show(root.trace_id).spans) == 51
    cable.pull()


def test_an_address_that_is_none_breaks_no_program(up: Running) -> None:
    """A wrong GIMBAL_URL is said on standard error; the function returns what it returns."""
    program = """
import gimbal
@gimbal.trace("f")
def f():
    return 41 + 1
assert f() == 42
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"GIMBAL_URL": "nonsense"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0
    assert "'nonsense' is not the address of a server" in done.stderr


def test_a_program_that_ends_sends_what_is_left(up: Running, client: gimbal.Client) -> None:
    """No flush is needed at the end of a script, nor before a client is closed."""
    program = """
import gimbal
with gimbal.trace("script") as span:
    print(span.trace_id, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"GIMBAL_URL": up.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    with gimbal.Client(up.url) as other, gimbal.trace("closed", client=other) as span:
        pass

    assert done.stderr == ""
    assert [s.name for s in client.traces.show(done.stdout.strip()).spans] == ["script"]
    assert [s.name for s in client.traces.show(span.trace_id).spans] == ["closed"]


def test_a_refusal_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Spans that the server does not take are counted there, not raised in the program."""
    partial = Answer(200, b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "bad id"}}')
    refused = Answer(403, b'{"error": {"code": "forbidden", "message": "Not you."}}')
    with (
        scripted(partial, refused) as port,
        gimbal.Client(port.url, patience=1) as far,
        caplog.at_level(logging.WARNING),
    ):
        for _ in range(2):
            with gimbal.trace("refused", client=far):
                pass
            gimbal.flush(far)

    assert caplog.messages == [
        "1 spans were rejected: bad id",
        "1 spans were refused and are lost: Not you.",
    ]


def test_the_gateway_continues_the_trace_of_its_caller(up: Running, client: gimbal.Client) -> None:
    """A call with the span's headers becomes its child."""
    with gimbal.trace("app", client=client) as span:
        httpx.post(
            f"{up.url}/v1/chat/completions",
            headers=span.headers,
            json={"model": "local/extractive", "messages": [{"role": "user", "content": "What is a gimbal?"}]},
            timeout=30,
        ).raise_for_status()

    found = spans(client, span.trace_id)
    assert "app" in found
    assert {s.parent_id for name, s in found.items() if name != "app"} >= {span.span_id}
