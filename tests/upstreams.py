"""A loopback upstream that speaks the true wire of OpenAI's chat completions and Anthropic's messages.

`Upstream` is a plain ASGI application with a script: what the next calls shall meet. It keeps what it received, so that
a test can see what was really sent. `serve` runs any ASGI application on a free port under uvicorn.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn

WORDS = ["Gimbal ", "keeps ", "both ", "rings ", "level."]
OPENAI_USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 5,
    "total_tokens": 26,
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
}


@contextlib.asynccontextmanager
async def serve(app: Callable[..., Any]) -> AsyncIterator[str]:
    """Run `app` on a free loopback port until the block ends; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2, ws="none")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


class Upstream:
    """Answers both wires. `faults` are used up one per call; an empty list means that all is well.

    Faults: `cut` (stream ends in the middle), `reset` (the connection breaks in the middle), `no_usage`, `null_choices`,
    `error_event` (an error inside a 200 stream), `garbage`, `half_event`, `hang` (no byte until released), `stall`
    (silence in the middle until released), or a number: that status with the provider's own error body.
    """

    def __init__(self) -> None:
        self.faults: list[str | int] = []
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.release = asyncio.Event()
        self.arrived = asyncio.Event()
        """Set when a call has come in."""
        self.closed = asyncio.Event()
        """Set when a caller of ours has gone away in the middle."""
        self.words = list(WORDS)
        """What it says, a word a chunk."""
        self.arguments = ['{"at":', '"sky"}']
        """What it calls its tool with, a part a chunk."""
        self.tools = False
        self.answers_as = ""
        """The model that answers say they are of; one of their own without it."""
        self.usage: dict[str, Any] = {}
        """What answers say of their usage besides, or instead."""
        self.url = ""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["path"]
        if path.endswith("/models"):
            await self._json(send, 200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})
            return
        request = json.loads(body)
        self.received.append(request)
        self.arrived.set()
        self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            await self._refuse(send, path, fault)
            return
        if fault == "hang":
            await self._wait(receive)
            return
        if fault == "garbage":
            await self._raw(send, 200, b"<html>it works</html>", "text/html")
            return
        if path.endswith("/embeddings"):
            rows = [
                {"object": "embedding", "index": i, "embedding": [3.0, 4.0 * (i == 0)]}
                for i in range(len(request["input"]))
            ]
            usage = {"prompt_tokens": 3, "total_tokens": 3}
            await self._json(send, 200, {"object": "list", "data": rows[::-1], "model": "vec", "usage": usage})
            return
        anthropic = path.endswith("/messages")
        if request.get("stream"):
            lines = self._anthropic_events(fault) if anthropic else self._openai_events(request, fault)
            await self._stream(receive, send, lines, fault)
        else:
            await self._json(send, 200, self._anthropic_body() if anthropic else self._openai_body(request, fault))

    async def _wait(self, receive: Any) -> None:
        gone = asyncio.ensure_future(receive())
        released = asyncio.ensure_future(self.release.wait())
        await asyncio.wait({gone, released}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.closed.set()
        gone.cancel()
        released.cancel()

    async def _refuse(self, send: Any, path: str, status: int) -> None:
        words = {429: "Rate limit reached for tiny", 500: "The server had an error", 400: "max_tokens is too large"}
        message = words.get(status, "No")
        extra = [(b"retry-after", b"7")] if status == 429 else []
        if path.endswith("/messages"):
            error: Any = {"type": "error", "error": {"type": "rate_limit_error", "message": message}}
        else:
            error = {"error": {"message": message, "type": "x", "param": "max_tokens" if status == 400 else None}}
        await self._json(send, status, error, extra)

    def _openai_body(self, request: dict[str, Any], fault: str | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.words), "refusal": None}
        finish = "stop"
        if fault == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        if self.tools:
            call = {
                "id": "call_1",
                "type": "function",
                "function": {"name": "look", "arguments": "".join(self.arguments)},
            }
            message, finish = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
        body: dict[str, Any] = {
            "id": "chatcmpl-up",
            "object": "chat.completion",
            "created": 1,
            "model": self.answers_as or "tiny-2026",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": OPENAI_USAGE | self.usage,
            "service_tier": "default",
        }
        if fault == "no_usage":
            body.pop("usage")
        if fault == "null_choices":
            body["choices"] = None
        return body

    def _openai_events(self, request: dict[str, Any], fault: str | None) -> list[str]:
        include = (request.get("stream_options") or {}).get("include_usage")
        model = self.answers_as or "tiny-2026"
        head = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": model}
        if include:
            head |= {"usage": None}

        def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            return head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

        rows = [chunk({"role": "assistant", "content": ""})]
        if self.tools:
            opening = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
            rows += [chunk({"tool_calls": [opening]})]
            rows += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": a}}]}) for a in self.arguments]
            rows += [chunk({}, "tool_calls")]
        else:
            rows += [chunk({"content": word}) for word in self.words]
            rows += [chunk({}, "stop")]
        if fault == "null_choices":
            rows.insert(1, head | {"choices": None})
        lines = [f"data: {json.dumps(row)}\n\n" for row in rows]
        if fault == "error_event":
            lines[3:] = [f"data: {json.dumps({'error': {'message': 'engine overloaded', 'code': 503}})}\n\n"]
            return lines
        if include and fault != "no_usage":
            lines.append(f"data: {json.dumps(head | {'choices': [], 'usage': OPENAI_USAGE | self.usage})}\n\n")
        lines.append("data: [DONE]\n\n")
        return lines

    def _anthropic_body(self) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": "".join(self.words)}]
        if self.tools:
            content.append(
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": json.loads("".join(self.arguments))}
            )
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": self.answers_as or "claude-tiny",
            "content": content,
            "stop_reason": "tool_use" if self.tools else "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 10,
                "cache_creation_input_tokens": 3,
                "cache_read_input_tokens": 8,
                "output_tokens": 5,
                **self.usage,
            },
        }

    def _anthropic_events(self, fault: str | None) -> list[str]:
        start = self._anthropic_body() | {"content": [], "stop_reason": None}
        start["usage"] = start["usage"] | {"output_tokens": 1}
        rows: list[dict[str, Any]] = [
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
        ]
        rows += [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": w}} for w in self.words
        ]
        rows += [{"type": "content_block_stop", "index": 0}]
        if self.tools:
            block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
            rows += [{"type": "content_block_start", "index": 1, "content_block": block}]
            rows += [
                {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}
                for part in self.arguments
            ]
            rows += [{"type": "content_block_stop", "index": 1}]
        # Cumulative, and repeated: adding the deltas up would count everything twice.
        usage = {"output_tokens": 5}
        stop = "tool_use" if self.tools else "end_turn"
        rows += [
            {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}},
            {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        if fault == "error_event":
            rows[5:] = [{"type": "error", "error": {"type": "overloaded_error", "message": "engine overloaded"}}]
        return [f"event: {row['type']}\ndata: {json.dumps(row)}\n\n" for row in rows]

    async def _stream(self, receive: Any, send: Any, lines: list[str], fault: str | None) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        if fault == "reset":
            headers.append((b"content-length", b"1000000"))  # a body shorter than announced is a broken connection
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, line in enumerate(lines):
            if fault in {"cut", "reset", "half_event"} and number == 5:
                if fault == "half_event":
                    await send(
                        {"type": "http.response.body", "body": line[: len(line) // 2].encode(), "more_body": True}
                    )
                break
            if fault == "stall" and number == 5:
                await self._wait(receive)
                return
            await send({"type": "http.response.body", "body": line.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _json(self, send: Any, status: int, body: Any, extra: list[tuple[bytes, bytes]] | None = None) -> None:
        await self._raw(send, status, json.dumps(body).encode(), "application/json", extra)

    async def _raw(
        self, send: Any, status: int, body: bytes, media: str, extra: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        headers = [(b"content-type", media.encode()), *(extra or [])]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
