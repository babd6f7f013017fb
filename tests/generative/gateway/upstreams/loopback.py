"""A loopback provider that answers by a script and keeps what was sent to it, byte for byte; and a wire that is plain.

`Plain` is a wire without rules of its own, so that what a provider adds to a call can be told from what a wire adds.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from tests.upstreams import serve

from gimbal.engines.http.model import Client, Deadlines
from gimbal.engines.http.raw import RawClient
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Conversation, Piece, Text, Turn
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.provider import Answer
from gimbal.generative.gateway.providers.upstreams.kinds import kind_of
from gimbal.generative.gateway.providers.upstreams.sending import Setup
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.kernel.errors import Upstream
from gimbal.kernel.settings_gateway import ProviderSettings

DEADLINES = Deadlines(connect_s=2.0, first_byte_s=5.0, between_s=5.0, total_s=10.0)
KEY = "sk-secret-0123456789abcdef"


class Sent(NamedTuple):
    """One request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, found
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Reply(NamedTuple):
    """What the next request is answered with; `gate` holds the answer's end back until it is set."""

    status: int = 200
    body: bytes = b'{"text":"hello"}'
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)
    gate: asyncio.Event | None = None


class Loopback:
    """Answers with its replies in turn, the last one again and again."""

    def __init__(self) -> None:
        self.replies: list[Reply] = [Reply()]
        self.sent: list[Sent] = []
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.url = ""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        target = scope["raw_path"].decode()
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode()
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        self.sent.append(Sent(scope["method"], target, headers, body))
        self.arrived.set()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
        await send({"type": "http.response.body", "body": reply.body, "more_body": reply.gate is not None})
        if reply.gate is not None:
            waiting = [asyncio.ensure_future(reply.gate.wait()), asyncio.ensure_future(receive())]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if waiting[1].done():
                self.gone.set()
            for one in waiting:
                one.cancel()
            await send({"type": "http.response.body", "body": b""})

    @property
    def last(self) -> Sent:
        return self.sent[-1]


@contextlib.asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    app = Loopback()
    async with serve(app) as url:
        app.url = url
        yield app


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[Client]:
    made = RawClient()
    try:
        yield made
    finally:
        await made.aclose()


class _PlainReader:
    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._buffer = b""

    def whole(self, body: bytes) -> Piece:
        try:
            said = json.loads(body)
            return Piece(text=said["text"], finish="stop", raw=body)
        except (ValueError, KeyError, TypeError):
            raise Upstream(f"{self._provider} answered something else.") from None

    def feed(self, chunk: bytes) -> list[Piece]:
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [self.whole(line) for line in lines if line]

    @property
    def done(self) -> bool:
        return False

    def end(self) -> list[Piece]:
        if self._buffer:
            raise Upstream(f"{self._provider} ended in the middle.", kept="what was streamed before")
        return []


class Plain:
    """A wire of any name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def asked(self, body: bytes, path: Mapping[str, str]) -> Asked:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        said = json.loads(body)
        return Asked(model=said.get("model", ""), fields=fields, stream=bool(said.get("stream")))

    def conversation(self, asked: Asked) -> Conversation:
        return Conversation(turns=(Turn(role="user", parts=(Text(text="hi"),)),))

    def request(self, conversation: Conversation, model: str, *, stream: bool) -> dict[str, Any]:
        return {"model": model, "from": "conversation", "max_tokens": 7, "stream": stream}

    def same(self, asked: Asked, model: str) -> bytes:
        fields = {**asked.fields, "model": model}
        if asked.stream and self.name == "openai.chat":
            fields["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(fields)

    def reader(self, provider: str, *, stream: bool) -> _PlainReader:
        return _PlainReader(provider)


def make(
    kind: str, client: Client, url: str = "", key: str = KEY, *, name: str = "up", wires: Any = Plain, **settings: Any
) -> Any:
    """Return a provider of a kind; its wires are plain unless others are given."""
    found = kind_of(kind)
    module = __import__(f"gimbal.generative.gateway.providers.upstreams.{found.by}", fromlist=["PROVIDER"])
    setup = Setup(
        kind=found,
        settings=ProviderSettings(name=name, kind=kind, base_url=url, **settings),
        key=Secret(key),
    )
    return module.PROVIDER(setup, client, wires=wires)


def call(wire: str = "openai.chat", headers: tuple[tuple[bytes, bytes], ...] = (), **body: Any) -> Call:
    """Return a call by a plain wire."""
    plain = Plain(wire)
    said = {"model": "asked/for", "messages": [{"role": "user", "content": "hi"}], **body}
    return Call(plain, plain.asked(json.dumps(said).encode(), {}), headers=headers)  # type: ignore[arg-type]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    while not await holds():  # noqa: ASYNC110 - what another connection changed tells nobody
        await asyncio.sleep(0.01)


async def texts(answer: Answer) -> list[str]:
    """Read an answer to its end."""
    try:
        if answer.whole is not None:
            return [answer.whole.text]
        assert answer.pieces is not None
        return [piece.text async for piece in answer.pieces]
    finally:
        await answer.aclose()
