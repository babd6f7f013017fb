"""What redaction costs a span of about 2 KB: switched off, with nothing to find, and with something to find.

The limit is one pass of RE2 over the same bytes with one alternation of the plainest forms of what is looked for: an address,
seven digits, a known prefix. No detector can do with less than reading its text once.
"""

import asyncio
import copy
import itertools
import json
import statistics
import time
from collections.abc import Callable

from bench.bar import Figure
from gimbal.axis.traces.otlp import RawSpan
from gimbal.axis.traces.redaction.redactor import Redactor
from gimbal.axis.traces.redaction.rules import RECOMMENDED
from gimbal.engines.text.matching import pattern
from gimbal.kernel.context import Context, Principal, Services

SPANS, ROUNDS = 1000, 5
_CONTEXT = Context(Services(), Principal(kind="owner", id="owner", name="owner"), "default")
_WORDS = [
    "the",
    "gimbal",
    "keeps",
    "an",
    "instrument",
    "level",
    "however",
    "the",
    "ship",
    "moves",
    "and",
    "both",
    "rings",
    "turn",
    "upon",
    "one",
    "axis",
    "of",
    "steel",
]
_PLAINEST = pattern(
    r"[\w.+-]+@[\w-]+\.\w|\d(?:[ ./()+-]{0,3}\d){6}|sk-|gh[pousr]_|AKIA|xox|-----BEGIN|(?i:key|token|secret|passw)"
)


def _text(number: int, count: int) -> str:
    return " ".join(itertools.islice(itertools.cycle(_WORDS[number % 7 :] + _WORDS), count))


def _span(number: int, *, personal: bool) -> RawSpan:
    said = _text(number, 140)
    if personal:
        said += " Write to ada.lovelace@mail.example or pay with 4111 1111 1111 1111."
    return RawSpan(
        trace_id=f"{number:032x}", span_id=f"{number:016x}", parent_id="", remote_parent=False, name="chat gpt-4o",
        otel_kind="client", start_us=1, end_us=2, status="ok", status_message="", events=[], resource={}, scope="bench",
        scope_version="1",
        attributes={
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.response.id": f"chatcmpl-{number:024x}",
            "gen_ai.response.finish_reasons": ["stop"], "gen_ai.usage.input_tokens": 1000 + number,
            "gen_ai.usage.output_tokens": 200, "gen_ai.request.temperature": 0.2, "server.address": "api.openai.com",
            "server.port": 443, "session.id": f"{number:08x}-0000-4000-8000-{number:012x}", "app.tenant": "acme",
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": said}]}]),
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": _text(number, 120)}]}]),
        },
    )  # fmt: skip


def _micros(run: Callable[[list[RawSpan]], None], spans: list[RawSpan]) -> float:
    """Return the median CPU microseconds a span, each round on spans that nothing was done to."""
    spent: list[float] = []
    for _ in range(ROUNDS + 1):
        fresh = copy.deepcopy(spans)
        begun = time.process_time()
        run(fresh)
        spent.append((time.process_time() - begun) * 1e6 / len(spans))
    return statistics.median(spent[1:])


def figures() -> list[Figure]:
    """Measure."""
    redactor = Redactor(RECOMMENDED, None)
    plain = [_span(number, personal=False) for number in range(SPANS)]
    personal = [_span(number, personal=True) for number in range(SPANS)]
    bodies = [json.dumps(span.attributes).encode() for span in plain]

    async def _all(spans: list[RawSpan]) -> None:
        for span in spans:
            await redactor.span(_CONTEXT, span)

    def redact(spans: list[RawSpan]) -> None:
        asyncio.run(_all(spans))

    def off(spans: list[RawSpan]) -> None:
        none: Redactor | None = None
        for _ in spans:
            if none is not None:
                return

    def one_pass(_spans: list[RawSpan]) -> None:
        for body in bodies:
            for _ in _PLAINEST.finditer(body):
                pass

    limit = _micros(one_pass, plain)
    size = statistics.mean(map(len, bodies))
    said = f"one RE2 pass over the same {size:,.0f} bytes ({limit:.1f} µs)"
    return [
        Figure("redaction switched off, a span", _micros(off, plain), "µs", 1.0, "a microsecond"),
        Figure("redaction, nothing to find, CPU a span", _micros(redact, plain), "µs", limit, said, physical=True),
        Figure(
            "redaction, an address and a card, CPU a span", _micros(redact, personal), "µs", limit, said, physical=True
        ),
    ]
