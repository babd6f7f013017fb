"""The same over real connections: providers, the HTTP client, and servers that refuse, hang, break and recover."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from tests.generative.gateway.resilience.world import outcomes, plan

from gimbal.engines.http.model import Broken, TooSlow, Unreachable
from gimbal.engines.http.raw import RawClient
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.resilience.attempt import attempt
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.model import Attempt, HedgeSettings
from gimbal.generative.gateway.wire import openai_chat
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings
from gimbal.kernel.settings_resilience import DeadlineSettings, RetrySettings

Act = Callable[[asyncio.StreamWriter], None]
ANSWER = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}  # fmt: skip
QUICK = DeadlineSettings(first_byte_s=1.0, between_s=1.0)
PATIENT = DeadlineSettings(first_byte_s=30.0)


def says(status=200, body=ANSWER, *headers) -> Act:
    """Return an act that answers."""
    raw = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(raw)}", "content-type: application/json", *headers]
    return lambda writer: writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + raw)


def cuts(sent: bytes = b"") -> Act:
    """Return an act that sends some bytes and closes the connection."""

    def act(writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        writer.close()

    return act


def hangs(writer: asyncio.StreamWriter) -> None:
    """Say nothing."""


class Server:
    """Does what its script says, request by request; the last act again and again."""

    def __init__(self, acts: Sequence[Act]) -> None:
        self.acts = list(acts)
        self.requests = 0
        self.left = asyncio.Event()
        """Whether a connection was closed by the client."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.partition(b":")[2]))
                act = self.acts[min(self.requests, len(self.acts) - 1)]
                self.requests += 1
                act(writer)
        self.left.set()
        writer.close()


@contextlib.asynccontextmanager
async def world(**acts: Sequence[Act]) -> AsyncIterator[tuple[Providers, dict[str, Server]]]:
    """Serve a provider for each name; `gone` is one where nobody listens."""
    servers = {name: Server(listed) for name, listed in acts.items()}
    async with contextlib.AsyncExitStack() as stack:
        settings = [ProviderSettings(name="gone", kind="openai", base_url="http://127.0.0.1:9/v1")]
        for name, server in servers.items():
            listening = await asyncio.start_server(server, "127.0.0.1", 0)
            stack.callback(listening.close)
            port = listening.sockets[0].getsockname()[1]
            settings.append(ProviderSettings(name=name, kind="openai", base_url=f"http://127.0.0.1:{port}/v1"))
        providers = Providers(GatewaySettings(providers=tuple(settings)), RawClient(), environ={})
        async with contextlib.aclosing(providers):
            yield providers, servers


async def call(providers: Providers, asked, health=None):
    """Return what came of a call, and its attempts."""
    attempts: list[Attempt] = []
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    inbound = Call(openai_chat.WIRE, openai_chat.WIRE.asked(body, {}))

    async def open_one(choice, deadlines):
        provider, model = await providers.route("default", f"{choice.provider}/{choice.model}")
        return await provider.open(inbound, model, deadlines)

    try:
        found = await attempt(asked, open_one, health or Health(), attempts=attempts)
        await found.answer.aclose()
    except GimbalError as problem:
        found = problem
    return found, attempts


@pytest.mark.parametrize(
    ("acts", "kind", "outcome", "then"),
    [
        ([says(503, {"error": {"message": "busy"}}), says()], "retry", "refused", "a/m"),
        ([says(429, {}, "retry-after: 30"), says()], "fallback", "refused", "b/m"),
        ([says(401, {}), says()], "fallback", "refused", "b/m"),
        ([says(200, {"error": {"message": "no"}}), says()], "fallback", "failed", "b/m"),
        ([cuts(), cuts(), says()], "fallback", "broken", "b/m"),
        ([hangs], "fallback", "too_slow", "b/m"),
    ],
    ids=["503", "429", "401", "an error in a 200", "broken", "hanging"],
)
async def test_what_a_server_does_leads_where_it_should(acts, kind, outcome, then):
    deadlines = QUICK if hangs in acts else PATIENT
    async with world(a=acts, b=[says()]) as (providers, _):
        found, _ = await call(providers, plan("a/m", "b/m", deadlines=deadlines))

    assert outcomes(found) == [("first", "a/m", outcome), (kind, then, "ok")]
    assert found.answer.whole.text == "hello"


async def test_where_nobody_listens_the_call_is_repeated_and_goes_on():
    async with world(b=[says()]) as (providers, _):
        retry = RetrySettings(base_s=0.001)
        found, _ = await call(providers, plan("gone/m", "b/m", deadlines=PATIENT, retry=retry))
        alone, _ = await call(providers, plan("gone/m", deadlines=PATIENT, retry=retry))

    assert [row.outcome for row in found.attempts] == ["unreachable", "unreachable", "ok"]
    assert isinstance(alone, Unreachable)


async def test_half_an_answer_is_neither_repeated_nor_sent_elsewhere():
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\ncontent-type: application/json\r\n\r\n{"
    async with world(a=[cuts(half)], b=[says()]) as (providers, servers):
        found, attempts = await call(providers, plan("a/m", "b/m", deadlines=PATIENT))

    assert isinstance(found, Broken)
    assert found.begun
    assert (len(attempts), servers["a"].requests, servers["b"].requests) == (1, 1, 0)


async def test_a_server_that_falls_silent_within_its_answer_ends_the_call():
    def half(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{")

    async with world(a=[half], b=[says()]) as (providers, _):
        found, attempts = await call(providers, plan("a/m", "b/m", deadlines=QUICK))

    assert isinstance(found, TooSlow)
    assert found.phase == "between"
    assert len(attempts) == 1


async def test_a_hedge_wins_over_a_server_that_hangs_and_its_connection_is_closed():
    health = Health()
    asked = plan("a/m", hedge=HedgeSettings(after_s=0.05, share=1.0))
    async with world(a=[hangs, says()]) as (providers, servers):
        found, _ = await call(providers, asked, health)
        async with asyncio.timeout(5):
            await servers["a"].left.wait()

    assert outcomes(found) == [("hedge", "a/m", "ok"), ("first", "a/m", "wasted")]
    assert health.snapshot()[0].under_way == 0
