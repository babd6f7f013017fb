"""What bars are filled with: traces of five spans over the last month, with payloads of about 2 KB that differ.

Words come as often as in a language, the n-th most frequent one time in n, and every span names an order of its own, so
that there is a word for each frequency. The payloads are drawn from many, far more than are compressed together.
"""

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import cache

import numpy as np
import pyarrow as pa

from bench.columns import server_columns
from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows

PER_TRACE, CHUNK = 5, 50_000
MONTH_US = 30 * 86_400 * 1_000_000
_WORDS, _PAYLOADS, _LETTERS = 40_000, 20_000, "etaoinshrdlcumwfgypbvkjxqz"
_KINDS = ("agent", "retriever", "llm", "tool", "llm")
_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-flash", "mistral-large")


@cache
def vocabulary() -> tuple[str, ...]:
    """Return words, the most frequent first, short ones among them."""
    random = np.random.default_rng(0)
    letters = np.array(list(_LETTERS))
    found: dict[str, None] = {}
    while len(found) < _WORDS:
        drawn = letters[np.minimum(random.geometric(0.12, int(random.integers(2, 10))) - 1, len(letters) - 1)]
        found["".join(drawn)] = None
    return tuple(found)


@cache
def _payloads(words: int, seed: int) -> tuple[str, ...]:
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, _WORDS + 1)
    drawn = np.searchsorted(np.cumsum(share / share.sum()), random.random((_PAYLOADS, words)))
    known = np.array(vocabulary())
    return tuple(" ".join(row) for row in known[np.minimum(drawn, _WORDS - 1)])


def chunk(number: int, size: int, spans: int, began_us: int) -> pa.Table:
    """Return the `number`-th so many spans of `spans` that fill the month after `began_us`, as rows of the table."""
    random = np.random.default_rng(number)
    ids = np.arange(number * size, (number + 1) * size)
    place = ids % PER_TRACE
    calls = place % 2 == 0
    calls[place == 0] = False
    start = began_us + (ids // PER_TRACE) * (MONTH_US * PER_TRACE // spans) + place * 1000
    model = random.integers(0, len(_MODELS), size)
    asked, said = _payloads(150, 1), _payloads(50, 2)
    at = random.integers(0, _PAYLOADS, (2, size))
    inputs = [f'[{{"role":"user","content":"order{i} {asked[k]}"}}]' for i, k in zip(ids, at[0], strict=True)]
    outputs = [f'[{{"role":"assistant","content":"{said[k]}"}}]' for k in at[1]]
    # What a caller's instrumentation sends is kept as it came.
    raw = [
        f'{{"gen_ai.operation.name":"chat","gen_ai.input.messages":{i},"gen_ai.output.messages":{o}}}'
        for i, o in zip(inputs, outputs, strict=True)
    ]
    tokens = random.integers(50, 4000, size)
    values = {
        "trace_id": pa.array([f"{i // PER_TRACE + 1:032x}" for i in ids]),
        "span_id": pa.array([f"{i + 1:016x}" for i in ids]),
        "parent_id": pa.array(["" if i % PER_TRACE == 0 else f"{i - i % PER_TRACE + 1:016x}" for i in ids]),
        "is_root": pa.array((place == 0).astype(np.uint8)),
        "kind": pa.array([_KINDS[p] for p in place]),
        "name": pa.array([f"{_KINDS[p]} {p}" for p in place]),
        "start_us": pa.array(start),
        "end_us": pa.array(start + random.lognormal(13, 1, size).astype(np.int64)),
        "status": pa.array(np.where(random.random(size) < 0.02, "error", "ok")),
        "feature": pa.array([f"f{i}" for i in random.integers(0, 20, size)]),
        "user_id": pa.array([f"u{i}" for i in random.integers(0, 5000, size)]),
        "session_id": pa.array([f"s{i // PER_TRACE // 4}" for i in ids]),
        "provider": pa.array(np.where(calls, "openai", "")),
        "model": pa.array([_MODELS[m] if c else "" for m, c in zip(model, calls, strict=True)]),
        "input": pa.array(inputs),
        "output": pa.array(outputs),
        "attributes": pa.array(raw),
        "input_tokens": pa.array(tokens, mask=~calls),
        "output_tokens": pa.array(tokens // 7, mask=~calls),
        "first_token_us": pa.array(tokens * 100, mask=~calls),
        "cost": pa.array([Decimal(int(t)) / 1_000_000 if c else None for t, c in zip(tokens, calls, strict=True)]),
    }
    shape = _shape()
    table = {
        name: values[name].cast(shape[name].type) if name in values else pa.repeat(shape[name][0], size)
        for name in shape.column_names
    }
    return pa.table(table)


@cache
def _shape() -> pa.Table:
    """Return one row, for the columns that are the same in all."""
    usage = Usage.of(input_tokens=900, output_tokens=120)
    span = Span(trace_id="0" * 32, span_id="0" * 16, name="", start_us=0, end_us=0, status="ok", usage=usage)
    return to_rows("default", [span]).table()


def fill(url: str, spans: int, *, steps: Sequence[int] | None = None) -> None:
    """Insert through the server's own loopback columns, which take Arrow; `steps` are the chunks, else all of them."""
    began_us = int((time.time() - MONTH_US / 1e6) * 1e6) // 3_600_000_000 * 3_600_000_000

    async def run() -> None:
        columns = await server_columns(url)
        for number in range(spans // CHUNK) if steps is None else steps:
            await columns.insert("spans", chunk(number, CHUNK, spans, began_us))
        await columns.close()

    asyncio.run(run())
