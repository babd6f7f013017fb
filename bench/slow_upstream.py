"""An upstream of OpenAI's wire that takes its time: 50 ms for an answer, or for each of the chunks of a stream.

Each chunk says when it was sent, by the clock that all processes of a machine share.
"""

import asyncio
import json
import time
from typing import Any

import uvloop

from bench.proxies import ANSWER

DELAY_S, CHUNKS = 0.05, 8
_JSON = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n{ANSWER}".encode()
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
_USAGE = {"prompt_tokens": 21, "completion_tokens": CHUNKS, "total_tokens": 21 + CHUNKS}


def _event(value: str) -> bytes:
    data = f"data: {value}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chunk(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish}
    return _event(json.dumps({**_HEAD, "choices": [choice]}))


class _Slow(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        if b"content-length: 0\r\n" in self._held.lower():  # somebody looks whether a proxy before it answers
            self._held = b""
            self._transport.write(_JSON)
        if not self._held.endswith(b"}"):
            return
        asked, self._held = json.loads(self._held.partition(b"\r\n\r\n")[2]), b""
        if asked.get("stream"):
            self._transport.write(_STREAM)
            self._next(CHUNKS)
        else:
            asyncio.get_running_loop().call_later(DELAY_S, self._transport.write, _JSON)

    def _next(self, left: int) -> None:
        loop = asyncio.get_running_loop()
        if left:
            loop.call_later(DELAY_S, self._send, left)
        else:
            last = _chunk("", "stop") + _event(json.dumps({**_HEAD, "choices": [], "usage": _USAGE}))
            self._transport.write(last + _event("[DONE]") + b"0\r\n\r\n")

    def _send(self, left: int) -> None:
        self._transport.write(_chunk(f"at={time.perf_counter_ns()} "))
        self._next(left - 1)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Slow, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
