"""The load of the bars: OTLP requests of agent spans as instrumentations send them, and senders that obey Retry-After.

A span has 15 `gen_ai` attributes and is 2 KB on the wire; five of them make a trace.
"""

import http.client
import random
import string
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gimbal.kernel.ids import new_span_id, new_trace_id

PER_TRACE, SPAN_BYTES = 5, 2048
PROTOBUF = "application/x-protobuf"
_NAMES = ("invoke_agent help", "chat gpt-4o", "chat gpt-4o", "chat gpt-4o", "chat gpt-4o")


Ids = tuple[tuple[str, str], ...]


class Batch(NamedTuple):
    """A request, ready to be sent as often as it takes."""

    body: bytes
    ids: Ids
    """Trace and span ids that are in it."""


def batch(spans: int = 500, *, seed: int | None = None, span_bytes: int = SPAN_BYTES) -> Batch:
    """Return a request of so many spans; the texts of no two are alike, so that nothing compresses them away."""
    chance = random.Random(seed)
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    for key, value in (("service.name", "help-desk"), ("service.version", "7"), ("telemetry.sdk.language", "python")):
        group.resource.attributes.add(key=key).value.string_value = value
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "opentelemetry.instrumentation.openai_v2", "2.3"
    ids: list[tuple[str, str]] = []
    trace_id = root = ""
    for i in range(spans):
        span_id, parent = new_span_id(), root
        if i % PER_TRACE == 0:
            trace_id, root, parent = new_trace_id(), span_id, ""
        _fill(scope.spans.add(), (trace_id, span_id, parent), i % PER_TRACE, chance, span_bytes)
        ids.append((trace_id, span_id))
    return Batch(message.SerializeToString(), tuple(ids))


def _fill(span: Span, ids: tuple[str, str, str], place: int, chance: random.Random, span_bytes: int) -> None:
    now = time.time_ns() + place * 1_000_000
    span.trace_id, span.span_id, span.parent_span_id = (bytes.fromhex(text) for text in ids)
    span.name, span.kind = _NAMES[place], Span.SPAN_KIND_CLIENT
    span.start_time_unix_nano, span.end_time_unix_nano = now, now + 900_000_000
    span.status.code = 1
    texts = {
        "gen_ai.operation.name": "chat" if place else "invoke_agent", "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{span.span_id.hex()}", "gen_ai.output.type": "text",
        "gen_ai.conversation.id": f"conversation-{ids[0][:12]}", "gen_ai.agent.name": "help",
    }  # fmt: skip
    for key, value in texts.items():
        span.attributes.add(key=key).value.string_value = value
    for key, count in (
        ("gen_ai.usage.input_tokens", chance.randint(200, 2000)), ("gen_ai.usage.output_tokens", chance.randint(9, 400)),
        ("gen_ai.request.max_tokens", 512),
    ):  # fmt: skip
        span.attributes.add(key=key).value.int_value = count
    span.attributes.add(key="gen_ai.request.temperature").value.double_value = 0.2
    span.attributes.add(key="gen_ai.response.finish_reasons").value.array_value.values.add().string_value = "stop"
    room = span_bytes - span.ByteSize() - 200
    answer = _words(chance, room // 4)
    for key, role, words in (
        ("gen_ai.input.messages", "user", _words(chance, room - len(answer))),
        ("gen_ai.output.messages", "assistant", answer),
    ):
        span.attributes.add(
            key=key
        ).value.string_value = f'[{{"role":"{role}","parts":[{{"type":"text","content":"{words}"}}]}}]'


_VOCABULARY = ["".join(random.Random(n).choices(string.ascii_lowercase, k=2 + n % 9)) for n in range(4000)]


def _words(chance: random.Random, size: int) -> str:
    return " ".join(chance.choices(_VOCABULARY, k=size // 6))[:size]


def post(port: int, body: bytes) -> bytes:
    """Return the bytes of a whole request: on two cores, many of a language's HTTP clients would measure themselves."""
    head = f"POST /v1/traces HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: {PROTOBUF}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Answer(NamedTuple):
    """What a server said to one request."""

    status: int
    """0 when the connection broke."""
    retry_after: str
    seconds: float
    text: str


class Sender:
    """One kept connection, as an exporter has it."""

    def __init__(self, port: int, *, path: str = "/v1/traces", headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._path = path
        self._headers = {"content-type": PROTOBUF, **(headers or {})}

    def send(self, body: bytes) -> Answer:
        """Send once."""
        started = time.perf_counter()
        try:
            self._connection.request("POST", self._path, body, self._headers)
            reply = self._connection.getresponse()
            text = reply.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as problem:
            self._connection.close()
            return Answer(0, "", time.perf_counter() - started, str(problem))
        return Answer(reply.status, reply.headers.get("retry-after", ""), time.perf_counter() - started, text)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Sent(NamedTuple):
    """What became of a load."""

    acknowledged: list[Ids]
    """Of each batch that was taken, what is in it."""
    answers: Counter[int]
    """How many answers of each status."""
    without_retry_after: int
    """Refusals that did not say when to come again."""
    latencies: list[float]
    """Seconds of the acknowledged requests."""
    seconds: float


def drive(
    senders: int, port: int, batches: Iterable[Batch], *, until: float = float("inf"),
    headers: dict[str, str] | None = None, patience: float = 60.0, asks: Callable[[], bool] = lambda: True,
) -> Sent:  # fmt: skip
    """Send the batches by so many connections at once; what is refused comes again after its Retry-After.

    Stop at the moment `until` (of `time.monotonic`) or when `asks` says no; a batch is given up after `patience`
    seconds of refusals.
    """
    lock, source = threading.Lock(), iter(batches)
    acknowledged: list[Ids] = []
    latencies: list[float] = []
    answers: Counter[int] = Counter()
    silent = 0

    def work(_: int) -> None:
        nonlocal silent
        sender = Sender(port, headers=headers)
        for one in _shared(source, lock):
            given_up = min(time.monotonic() + patience, until + patience)
            while True:
                answer = sender.send(one.body)
                with lock:
                    answers[answer.status] += 1
                    if answer.status == 200:
                        acknowledged.append(one.ids)
                        latencies.append(answer.seconds)
                    elif answer.status in {429, 503} and not answer.retry_after:
                        silent += 1
                if answer.status == 200 or time.monotonic() > given_up:
                    break
                time.sleep(min(float(answer.retry_after or 0.2), 5.0))
            if time.monotonic() > until or not asks():
                break
        sender.close()

    started = time.monotonic()
    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(work, range(senders)))
    return Sent(acknowledged, answers, silent, latencies, time.monotonic() - started)


def _shared(source: Iterator[Batch], lock: threading.Lock) -> Iterator[Batch]:
    while True:
        with lock:
            one = next(source, None)
        if one is None:
            return
        yield one
