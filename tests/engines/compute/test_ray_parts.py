"""What speaks to Ray, and what speaks to that: orders in every order, and a death between two of them. No Ray here."""

import asyncio
import os
import sys
from collections.abc import Awaitable
from typing import Any

import pytest

from gimbal.engines.compute.attempt import Claim
from gimbal.engines.compute.model import Job
from gimbal.engines.compute.ray_bridge import Bridge, serve, words_of
from gimbal.engines.compute.ray_executor import RayExecutor
from gimbal.engines.compute.ray_wire import Order, RaySetup, Report
from gimbal.kernel.context import NOBODY
from gimbal.testing.clock import FrozenClock

SETUP = RaySetup(resources={"CPU": 1}, assembly="a:b")


def claim(owner: str) -> Claim:
    """Return a claim."""
    now = FrozenClock().now()
    job = Job(
        id="j1", name="rayable.do", project="default", status="running", created_at=now, created_by="me", run_after=now
    )
    return Claim(job=job, principal=NOBODY, owner=owner)


class Method:
    """A method of an actor as Ray calls it."""

    def __init__(self, call: Any) -> None:
        self.remote = call


class FakeNode:
    """A process of a cluster that works on a job until it is parked."""

    def __init__(self) -> None:
        self.parked = asyncio.Event()
        self.carry_out = Method(lambda _claim: self.parked.wait())
        self.park = Method(lambda *_: self.parked.set())
        self.ping = Method(self._done)
        self.start = Method(self._done)
        self.close = Method(self._done)

    def _done(self) -> Awaitable[str]:
        async def done() -> str:
            return ""

        return done()


async def test_a_job_that_is_parked_as_soon_as_it_is_given_out_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both orders stand in the pipe: the second must not come to nothing because the first has not begun."""
    told: list[Report] = []
    node = FakeNode()
    bridge = Bridge(None, SETUP, told.append)
    monkeypatch.setattr(bridge, "_node", lambda: node)
    while not any(one.what == "room" for one in told):
        bridge.take(Order(what="room"))
        await asyncio.sleep(0)
    bridge.take(Order(what="carry_out", claim=claim("one@ray/1")))
    bridge.take(Order(what="park", owner="one@ray/1"))

    async with asyncio.timeout(5):
        while not any(one.what == "ended" for one in told):  # noqa: ASYNC110 - reports are a list
            await asyncio.sleep(0.01)
    assert [(one.owner, one.why) for one in told if one.what == "ended"] == [("one@ray/1", "")]


async def test_a_job_is_let_go_when_what_speaks_to_ray_died_before_it_was_given_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody would ever answer: the worker would keep its place, and the job with it, for ever."""
    executor = RayExecutor(SETUP)
    async with asyncio.timeout(5):
        await executor.carry_out(claim("one@ray/1"))

    assert "nobody carries job j1 out any more" in caplog.text


def test_what_ray_says_is_told_by_its_first_line_and_its_last() -> None:
    """Between them stands a trace; the last line names what is missing on the cluster."""
    problem = RuntimeError(
        "The actor died because of an error raised in its creation task, \x1b[36mray::Node.__init__()\x1b[39m\n"
        "  File \"x.py\", line 3\n\nModuleNotFoundError: No module named 'gimbal'\n"
    )

    assert words_of(problem) == (
        "The actor died because of an error raised in its creation task, ray::Node.__init__() … "
        "ModuleNotFoundError: No module named 'gimbal'"
    )
    assert words_of(RuntimeError("one line")) == "one line"
    assert words_of(RuntimeError("")) == "RuntimeError"
    assert len(words_of(RuntimeError("x" * 9000 + "\n" + "y" * 9000))) <= 1000


async def test_an_order_that_was_cut_off_ends_the_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker died while it wrote: what runs is parked as at every end."""
    reading, writing = os.pipe()
    os.write(writing, b'{"what":"room"}\n{"what":"carry_out","claim":{"job"')
    os.close(writing)
    closed: list[Bridge] = []

    async def close(self: Bridge) -> None:
        closed.append(self)

    monkeypatch.setattr(Bridge, "close", close)
    monkeypatch.setattr(Bridge, "_node", lambda _: FakeNode())
    with os.fdopen(reading) as orders:
        monkeypatch.setattr(sys, "stdin", orders)
        async with asyncio.timeout(5):
            await serve(None, SETUP, lambda _: None)

    assert len(closed) == 1
