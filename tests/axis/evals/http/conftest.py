"""A service under evaluation on a loopback port, and what a call of it needs."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.axis.evaluating import answers, evaluations
from tests.sqlite import catalog_address
from tests.upstreams import serve

from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Services

__all__ = ["answers", "catalog_address", "evaluations"]


class Service:
    """Answers with what a test puts into `reply`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.reply: tuple[int, dict[str, str], Any] = (200, {}, {"answer": "yes"})
        """Status, headers and body: bytes, chunks, or JSON."""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.hang = asyncio.Event()
        self.hang.set()
        self.sent = 0
        """Chunks of a long answer that were taken."""
        self.url = ""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked.append({"method": scope["method"], "body": body})
        self.headers.append({name.decode(): value.decode("utf-8") for name, value in scope["headers"]})
        self.paths.append(
            scope["raw_path"].decode() + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        )
        await self.hang.wait()
        status, headers, answer = self.reply
        rows = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": rows})
        if isinstance(answer, int):
            gone = asyncio.ensure_future(receive())
            while self.sent < answer and not gone.done():
                await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
                await asyncio.sleep(0)
                self.sent += 1
            gone.cancel()
            answer = b""
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        await send({"type": "http.response.body", "body": content})


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """Give a service; its address is `service.url`."""
    app = Service()
    async with serve(app) as url:
        app.url = url
        yield app
        app.hang.set()


@pytest.fixture
def calling(axis: Services, columns: Columns) -> Services:
    """Give the services that a call needs: traces, and a clock that goes."""
    prices = PriceBook.read()
    axis.register(Clock, SystemClock())
    axis.register(PriceSource, prices)
    axis.register(Traces, Traces(columns, axis.get(Writer), prices))
    return axis
