"""The official `openai` client as programs without an event loop call it: whole, streamed, tools, vectors, raw answers, errors."""

import array
import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import openai
import pytest
from tests import wire_answers
from tests.generative.gateway.test_faults import span_of
from tests.upstreams import WORDS, Upstream, serve

from gimbal.kernel.context import Context

T = TypeVar("T")
SAID = "".join(WORDS)
HELLO: Any = [{"role": "user", "content": "What does Gimbal do?"}]
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
VECTOR = [0.5, -1.25, 3.0]


class Whole(Upstream):
    """The usual upstream, which speaks responses and gives vectors too."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        kind = scope["path"].rpartition("/")[2]
        if kind not in {"responses", "embeddings"} or self.faults:
            await super().__call__(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        request = json.loads(body)
        self.received.append(request)
        if kind == "embeddings":
            await self._json(send, 200, self._vectors(request))
        elif request.get("stream"):
            await self._raw(send, 200, wire_answers.stream("responses"), "text/event-stream")
        else:
            await self._raw(send, 200, wire_answers.whole("responses"), "application/json")

    def _vectors(self, request: dict[str, Any]) -> dict[str, Any]:
        texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
        packed = base64.b64encode(array.array("f", VECTOR).tobytes()).decode()
        vector = packed if request.get("encoding_format") == "base64" else VECTOR
        data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(len(texts))]
        return {"object": "list", "model": "e", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}}


@pytest.fixture
async def upstream() -> AsyncIterator[Whole]:
    app = Whole()
    async with serve(app) as url:
        app.url = url
        yield app
        app.release.set()


Calls = Callable[[Callable[[openai.OpenAI], T]], Any]


@pytest.fixture
def calls(base_url: str) -> Calls[Any]:
    """Give a function that lets another one call with a client, away from the event loop."""

    async def with_client(call: Callable[[openai.OpenAI], T]) -> T:
        def alone() -> T:
            with openai.OpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0, timeout=20) as client:
                return call(client)

        return await asyncio.to_thread(alone)

    return with_client


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_a_raw_answer_has_its_headers_and_is_parsed(calls: Calls[Any], ctx: Context, model: str) -> None:
    """The headers tell of the call, the answer is the client's own type."""

    def call(client: openai.OpenAI) -> tuple[Any, Any]:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        return raw.headers, raw.parse()

    headers, answer = await calls(call)
    assert answer.choices[0].message.content == SAID
    assert (headers["x-gimbal-provider"], headers["x-gimbal-model"]) == (model.partition("/")[0], model)
    assert float(headers["x-gimbal-overhead-ms"]) >= 0
    span = await span_of(ctx, headers["x-gimbal-trace-id"])
    assert (span.status, span.usage.output_tokens) == ("ok", answer.usage.completion_tokens)


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
@pytest.mark.parametrize("usage", [True, False])
async def test_chat_is_streamed(calls: Calls[Any], ctx: Context, model: str, usage: bool) -> None:
    """Word by word, with usage where it was asked for and nowhere else."""
    options: Any = {"stream_options": {"include_usage": True}} if usage else {}

    def call(client: openai.OpenAI) -> tuple[list[Any], str]:
        with client.chat.completions.create(model=model, messages=HELLO, stream=True, **options) as stream:
            return list(stream), stream.response.headers["x-gimbal-trace-id"]

    chunks, trace_id = await calls(call)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == SAID
    assert [c.usage.total_tokens for c in chunks if c.usage] == ([26] if usage else [])
    assert (await span_of(ctx, trace_id)).usage.output_tokens == 5


async def test_the_streaming_response_gives_lines_as_they_come(calls: Calls[Any]) -> None:
    """The client's own way to the bytes of a stream."""

    def call(client: openai.OpenAI) -> list[str]:
        with client.chat.completions.with_streaming_response.create(
            model="up/tiny", messages=HELLO, stream=True
        ) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            return [line for line in response.iter_lines() if line]

    lines = await calls(call)
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_tools_are_streamed_into_whole_calls(calls: Calls[Any], upstream: Whole, model: str) -> None:
    """The client's accumulator puts the parts together."""
    upstream.tools = True

    def call(client: openai.OpenAI) -> Any:
        with client.chat.completions.stream(model=model, messages=HELLO, tools=[TOOL]) as stream:
            for _ in stream:
                pass
            return stream.get_final_completion().choices[0]

    choice = await calls(call)
    (made,) = choice.message.tool_calls
    assert (made.function.name, json.loads(made.function.arguments)) == ("look", {"at": "sky"})
    assert choice.finish_reason == "tool_calls"


async def test_a_stream_that_is_left_early_is_told_to_the_provider(
    calls: Calls[Any], ctx: Context, upstream: Whole
) -> None:
    """And recorded as what it is."""
    upstream.faults = ["stall"]

    def call(client: openai.OpenAI) -> str:
        with client.chat.completions.create(model="up/tiny", messages=HELLO, stream=True) as stream:
            next(iter(stream))
            return stream.response.headers["x-gimbal-trace-id"]

    trace_id = await calls(call)
    async with asyncio.timeout(20):
        await upstream.closed.wait()
    span = await span_of(ctx, trace_id)
    assert (span.status, span.estimated) == ("cancelled", True)


@pytest.mark.parametrize("model", ["up/tiny", "claude/tiny"])
async def test_responses_are_answered_and_streamed_with_typed_events(
    calls: Calls[Any], ctx: Context, model: str
) -> None:
    """By a provider of the same wire and by one of another."""
    said = wire_answers.SAID if model.startswith("up/") else SAID

    def whole(client: openai.OpenAI) -> tuple[str, str]:
        raw = client.responses.with_raw_response.create(model=model, input="Hello")
        return raw.parse().output_text, raw.headers["x-gimbal-trace-id"]

    def streamed(client: openai.OpenAI) -> tuple[list[Any], Any]:
        with client.responses.stream(model=model, input="Hello") as stream:
            events = list(stream)
            return events, stream.get_final_response()

    text, trace_id = await calls(whole)
    assert text == said
    assert (await span_of(ctx, trace_id)).status == "ok"
    events, final = await calls(streamed)
    assert final.output_text == said
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == said
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens


@pytest.mark.parametrize("form", [None, "float", "base64"])
async def test_vectors_come_by_either_encoding(
    calls: Calls[Any], ctx: Context, upstream: Whole, form: str | None
) -> None:
    """The client asks for base64 by itself and gives numbers."""
    options: Any = {} if form is None else {"encoding_format": form}

    def call(client: openai.OpenAI) -> tuple[Any, str]:
        raw = client.embeddings.with_raw_response.create(model="up/e", input=["a", "b"], **options)
        return raw.parse(), raw.headers["x-gimbal-trace-id"]

    found, trace_id = await calls(call)
    vectors = [row.embedding for row in found.data]
    if form == "base64":  # whoever asks for it by name gets it as it is
        vectors = [array.array("f", base64.b64decode(text)).tolist() for text in vectors]
    assert vectors == [VECTOR, VECTOR]
    assert upstream.received[0]["encoding_format"] == (form or "base64")
    span = await span_of(ctx, trace_id)
    assert (span.kind, span.usage.input_tokens) == ("embedding", 4)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError), (400, openai.BadRequestError)],
)
@pytest.mark.parametrize("how", ["chat", "stream", "responses", "embeddings"])
async def test_errors_of_providers_are_the_clients_own(
    calls: Calls[Any], ctx: Context, upstream: Whole, status: int, kind: type[openai.APIStatusError], how: str
) -> None:
    """With the provider's words, its wait, and the trace."""
    upstream.faults = [status, status]  # a retry meets the same

    def call(client: openai.OpenAI) -> Any:
        if how == "embeddings":
            return client.embeddings.create(model="up/e", input="a")
        if how == "responses":
            return client.responses.create(model="up/tiny", input="Hello")
        return client.chat.completions.create(model="up/tiny", messages=HELLO, stream=how == "stream")

    with pytest.raises(kind) as caught:
        await calls(call)
    headers = caught.value.response.headers
    assert headers.get("retry-after") == ("7" if status == 429 else None)
    assert (await span_of(ctx, headers["x-gimbal-trace-id"])).status == "error"


async def test_what_a_caller_did_wrong_names_the_field(calls: Calls[Any]) -> None:
    """A model nobody has, a value out of range, and a key nobody knows."""

    def unknown(client: openai.OpenAI) -> Any:
        return client.chat.completions.create(model="nobody/tiny", messages=HELLO)

    def hot(client: openai.OpenAI) -> Any:
        return client.chat.completions.create(model="local/extractive", messages=HELLO, temperature=9)

    def stranger(client: openai.OpenAI) -> Any:
        return client.with_options(api_key="gk_nobody").models.list()

    with pytest.raises(openai.NotFoundError) as missing:
        await calls(unknown)
    with pytest.raises(openai.BadRequestError) as wrong:
        await calls(hot)
    with pytest.raises(openai.AuthenticationError):
        await calls(stranger)
    assert (missing.value.param, wrong.value.param) == ("model", "temperature")


@pytest.mark.parametrize("fault", ["error_event", "reset"])
async def test_a_stream_that_breaks_raises_after_what_had_come(calls: Calls[Any], upstream: Whole, fault: str) -> None:
    """Nothing is taken for a whole answer."""
    upstream.faults = [fault]
    got: list[str] = []

    def call(client: openai.OpenAI) -> None:
        for chunk in client.chat.completions.create(model="up/tiny", messages=HELLO, stream=True):
            got.extend(c.delta.content or "" for c in chunk.choices)

    with pytest.raises(openai.APIError):
        await calls(call)
    assert "".join(got)
    assert "".join(got) != SAID


async def test_models_are_listed_and_shown(calls: Calls[Any]) -> None:
    """By the client's own pages."""

    def call(client: openai.OpenAI) -> tuple[list[str], str]:
        return [model.id for model in client.models.list()], client.models.retrieve("local/extractive").owned_by

    names, owner = await calls(call)
    assert {"local/extractive", "up/tiny"} <= set(names)
    assert owner == "local"
