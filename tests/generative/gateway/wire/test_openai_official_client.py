"""The official client over what we write for answers of other providers: whole, streamed, and by its own accumulators."""

import json

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Done, Piece, Thinking, ToolCall
from gimbal.generative.gateway.wire import openai_chat, openai_embeddings, openai_responses
from gimbal.generative.gateway.wire.embedding import Vectors
from gimbal.kernel.errors import Busy, GimbalError

PIECES = [
    Piece(reasoning="h"),
    Piece(reasoning="m", signature="sig"),
    Piece(text="It is "),
    Piece(text="sunny."),
    Piece(tool_calls=(ToolCall(index=0, id="a", name="f"),)),
    Piece(tool_calls=(ToolCall(index=0, arguments='{"x"'), ToolCall(index=1, id="b", name="g", arguments="{}"))),
    Piece(tool_calls=(ToolCall(index=0, arguments=":1}"),)),
    Piece(finish="tool_calls"),
]
DONE = Done(
    id="x",
    model="p/m",
    created=7,
    text="It is sunny.",
    reasoning="hm",
    signature="sig",
    tool_calls=(
        ToolCall(index=0, id="a", name="f", arguments='{"x":1}'),
        ToolCall(index=1, id="b", name="g", arguments="{}"),
    ),
    finish="tool_calls",
    usage=Usage(input=10, output=4, reasoning=2),
)
WIRES = {"/v1/chat/completions": openai_chat.WIRE, "/v1/responses": openai_responses.WIRE}


class Door:
    """An ASGI application that answers every call by the wire of its path, from pieces of another wire."""

    def __init__(self, pieces=PIECES, done=DONE, problem: GimbalError | None = None) -> None:
        self._pieces = pieces
        self._done = done
        self._problem = problem

    async def __call__(self, scope, receive, send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            status, kind, answer = self._answer(scope["path"], body)
        except GimbalError as problem:
            reply = WIRES[scope["path"]].error_reply(problem)
            status, kind, answer = reply.status, b"application/json", reply.body
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, path: str, body: bytes) -> tuple[int, bytes, bytes]:
        if path == "/v1/embeddings":
            asked = openai_embeddings.WIRE.asked(body, {})
            vectors = Vectors(vectors=[[0.5, -2.0], [1.0, 0.25]], usage=Usage(input=3))
            return 200, b"application/json", openai_embeddings.WIRE.write(asked, vectors, model="e")
        wire = WIRES[path]
        asked = wire.asked(body, {})
        wire.conversation(asked)
        writer = wire.writer(asked, answer_id="1", model="p/m", created=7)
        if not asked.stream:
            if self._problem:
                raise self._problem
            return 200, b"application/json", writer.whole(self._done)
        events = b"".join(writer.piece(piece, same=False) for piece in self._pieces)
        events += writer.error(self._problem) if self._problem else writer.end(self._done, same=False)
        return 200, b"text/event-stream", events


def client(**door):
    transport = httpx.ASGITransport(app=Door(**door))
    return AsyncOpenAI(
        api_key="k", base_url="http://door/v1", http_client=httpx.AsyncClient(transport=transport), max_retries=0
    )


HELLO = {"model": "p/m", "messages": [{"role": "user", "content": "hello"}]}


async def test_chat_completions_whole_and_streamed():
    whole = await client().chat.completions.create(**HELLO)
    chunks = [chunk async for chunk in await client().chat.completions.create(**HELLO, stream=True)]

    assert whole.choices[0].message.content == "It is sunny."
    assert [call.function.arguments for call in whole.choices[0].message.tool_calls] == ['{"x":1}', "{}"]
    assert whole.usage.completion_tokens_details.reasoning_tokens == 2
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is sunny."
    assert all(chunk.usage is None for chunk in chunks)


async def test_the_accumulator_of_chat_completions():
    async with client().chat.completions.stream(**HELLO, stream_options={"include_usage": True}) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()

    message = final.choices[0].message
    assert (message.content, final.choices[0].finish_reason) == ("It is sunny.", "tool_calls")
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]
    assert final.usage.total_tokens == 16
    assert "tool_calls.function.arguments.done" in kinds


async def test_an_answer_is_handed_back_as_the_client_dumps_it():
    whole = await client().chat.completions.create(**HELLO)
    dumped = whole.choices[0].message.model_dump()

    history = [*HELLO["messages"], dumped, {"role": "tool", "tool_call_id": "a", "content": "1"}]
    asked = openai_chat.WIRE.asked(json.dumps({"model": "m", "messages": history}).encode(), {})

    found = openai_chat.WIRE.conversation(asked)
    assert found.extras == {}
    assert found.turns[1].parts[0] == Thinking(text="hm", signature="sig")


async def test_responses_whole_and_streamed():
    whole = await client().responses.create(model="p/m", input="hello")
    events = [event async for event in await client().responses.create(model="p/m", input="hello", stream=True)]

    assert whole.output_text == "It is sunny."
    assert [item.type for item in whole.output] == ["reasoning", "message", "function_call", "function_call"]
    assert events[-1].response.model_dump(exclude={"model"}) == whole.model_dump(exclude={"model"})
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_the_accumulator_of_responses():
    async with client().responses.stream(model="p/m", input="hello") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()

    assert final.output_text == "It is sunny."
    assert [item.arguments for item in final.output if item.type == "function_call"] == ['{"x":1}', "{}"]
    assert final.usage.total_tokens == 16
    assert kinds[-1] == "response.completed"


async def test_an_answer_of_responses_is_handed_back_as_the_client_dumps_it():
    whole = await client().responses.create(model="p/m", input="hello")
    items = [item.model_dump() for item in whole.output]

    asked = openai_responses.WIRE.asked(json.dumps({"model": "m", "input": items}).encode(), {})

    found = openai_responses.WIRE.conversation(asked)
    assert found.extras == {}
    assert [part.__struct_config__.tag for part in found.turns[0].parts] == ["thinking", "text", "tool_use", "tool_use"]


class Weather(BaseModel):
    """What structured answers are parsed into."""

    city: str


async def test_structured_answers_are_parsed_by_both():
    door = {"pieces": [Piece(text='{"city":"Rom"}'), Piece(finish="stop")]}
    done = Done(id="x", model="p/m", created=7, text='{"city":"Rom"}', usage=Usage(input=1, output=1))

    chat = await client(done=done).chat.completions.parse(**HELLO, response_format=Weather)
    async with client(done=done, **door).responses.stream(model="m", input="x", text_format=Weather) as stream:
        final = await stream.get_final_response()

    assert chat.choices[0].message.parsed == Weather(city="Rom")
    assert final.output_parsed == Weather(city="Rom")


@pytest.mark.parametrize("form", ["float", "base64", openai.NOT_GIVEN])
async def test_embeddings_in_every_form(form):
    found = await client().embeddings.create(model="e", input=["a", "b"], encoding_format=form)

    assert found.usage.prompt_tokens == 3
    vectors = [row.embedding for row in found.data]
    assert vectors[1] == ([1.0, 0.25] if form != "base64" else "AACAPwAAgD4=")


async def test_errors_are_the_clients_own():
    with pytest.raises(openai.RateLimitError) as caught:
        await client(problem=Busy("Too much.")).chat.completions.create(**HELLO)
    assert caught.value.code == "rate_limit_exceeded"
    with pytest.raises(openai.BadRequestError) as bad:
        await client().chat.completions.create(model="m", messages=[{"role": "critic", "content": "x"}])
    assert bad.value.param == "messages[0].role"


async def test_a_stream_that_breaks_off_is_an_error_of_the_client():
    async def drain(stream):
        return [event async for event in stream]

    broken = client(pieces=PIECES[:3], problem=Busy("Too much."))
    with pytest.raises(openai.APIError, match="Too much"):
        await drain(await broken.chat.completions.create(**HELLO, stream=True))
    events = await drain(await broken.responses.create(model="m", input="x", stream=True))
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert events[-2].message == "Too much."
