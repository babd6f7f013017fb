"""Both clients keep every promise of the shipped suite, on the loop of asyncio and on uvloop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from gimbal.engines.http.choose import ChoosingClient
from gimbal.engines.http.library import LibraryClient
from gimbal.engines.http.model import Broken
from gimbal.engines.http.pool import Limits
from gimbal.engines.http.raw import RawClient
from gimbal.testing.http_client import CHECKS, faults, keeping
from gimbal.testing.http_client.pressure import check_growth
from gimbal.testing.http_client.server import OpenClient

CLIENTS: dict[str, OpenClient] = {"raw": RawClient, "library": LibraryClient}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_clients_conform(check: Callable[[OpenClient], Awaitable[None]], client: str, loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop], debug=False) as runner:
        runner.run(asyncio.wait_for(check(CLIENTS[client]), 120))


@pytest.mark.parametrize(("client", "requests"), [("raw", 20_000), ("library", 2_000)])
def test_memory_does_not_grow(client: str, requests: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(check_growth(CLIENTS[client], requests))


class Greedy(RawClient):
    """Opens as many connections as it likes."""

    def __init__(self, _limits: Limits, *, ca_file: str = "") -> None:
        super().__init__(ca_file=ca_file)


class Doubling(RawClient):
    """Sends again whatever failed."""

    async def send(self, *args: Any, **how: Any) -> Any:
        try:
            return await super().send(*args, **how)
        except Broken:
            return await super().send(*args, **how)


@pytest.mark.parametrize(
    ("client", "check", "words"),
    [
        (Greedy, keeping.check_limits_of_a_pool, "the limit"),
        (Doubling, faults.check_breaks, "not sent again"),
    ],
)
def test_a_broken_promise_is_found(
    client: OpenClient, check: Callable[[OpenClient], Awaitable[None]], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        asyncio.run(check(client))


def test_the_client_that_chooses_conforms_without_a_proxy() -> None:
    for check in CHECKS[:3]:
        asyncio.run(check(ChoosingClient))
