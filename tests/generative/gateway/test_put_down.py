"""What is put down of a call is all that its span needs, and journals of before are read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generative.gateway.test_faults import HELLO, span_of

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.redaction.model import SetRedaction
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.engines.storage.journal import Journal
from gimbal.generative.gateway import put_down
from gimbal.generative.gateway.call import Attribution
from gimbal.generative.gateway.conversation import ToolCall
from gimbal.generative.gateway.put_down import CallRecord
from gimbal.generative.gateway.recording import Carrying, Recording
from gimbal.kernel.context import Context, Services

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNT = st.integers(0, 2**53)
AMOUNT = st.decimals(0, 10, allow_nan=False, places=9)
USAGE = st.builds(Usage, input=COUNT, cache_read=COUNT, output=COUNT, requests=st.dictionaries(WORDS, COUNT))
RECORDS = st.builds(
    CallRecord,
    *[WORDS, WORDS, st.booleans(), *[WORDS] * 7, st.booleans()],
    st.dictionaries(st.sampled_from(sorted(put_down.NUMBERS)), st.sampled_from([b"0.2", b"7", b"null", b'"x"', b"["])),
    *[COUNT, COUNT, WORDS, WORDS, st.none() | USAGE, st.booleans(), st.none() | AMOUNT, WORDS, WORDS],
    st.dictionaries(WORDS, AMOUNT),
    *[st.none() | COUNT, WORDS, WORDS, WORDS, st.binary(max_size=40), st.booleans(), st.booleans()],
    *[WORDS, WORDS, WORDS, st.lists(st.builds(ToolCall, index=COUNT, id=WORDS, name=WORDS, arguments=WORDS))],
    st.builds(Attribution, feature=WORDS, user=WORDS, session=WORDS, prompt=WORDS, tags=st.tuples(WORDS)),
    *[WORDS, st.lists(WORDS), COUNT, st.dictionaries(WORDS, COUNT), st.dictionaries(WORDS, st.none() | WORDS | COUNT)],
)  # fmt: skip
_msgpack = msgspec.msgpack.Encoder()


@given(RECORDS)
def test_a_span_is_the_same_before_and_after_the_journal(record: CallRecord) -> None:
    read = msgspec.msgpack.decode(_msgpack.encode(record), type=CallRecord)

    assert read == record
    assert put_down.span_of(read) == put_down.span_of(record)


def test_what_a_number_is_not_is_left_out() -> None:
    record = CallRecord(
        "t", "", False, "s", "chat", "up/m", "up", "m", "up/m", "openai.chat", False,
        {"temperature": b"0.2", "top_p": b'"much"', "max_completion_tokens": b"7", "seed": b"null"},
        1, 2, "ok", "", None, False, None, "", "", {}, None, "", "", "", b"[]", False, False, "", "", "", [],
        Attribution(), "", [], 0, {"route": 3}, {},
    )  # fmt: skip
    span = put_down.span_of(record)

    numbers = {name: value for name, value in span.attributes.items() if name.startswith("gen_ai.request.")}
    assert numbers == {
        "gen_ai.request.model": "up/m", "gen_ai.request.stream": False, "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 7,
    }  # fmt: skip
    assert (span.output, span.unpriced, span.attributes["gimbal.stage.route_us"]) == ("", "not_answered", 3)


@contextlib.asynccontextmanager
async def keeping(gateway: Services, tmp_path: Path) -> AsyncIterator[Recording]:
    """Keep the journal of a process that also carries, as the server has it."""
    carrying = Carrying(gateway, tmp_path / "journal")
    made = Recording(tmp_path / "journal", most_bytes=1 << 20, carrying=carrying)
    made.open()
    gateway.register(Recording, made)
    stop = asyncio.Event()
    tasks = [asyncio.create_task(carrying.run(stop)), asyncio.create_task(made.run(stop))]
    yield made
    stop.set()
    await asyncio.gather(*tasks)
    made.close()
    await carrying.close()


@pytest.fixture
async def journal(gateway: Services, tmp_path: Path) -> AsyncIterator[Recording]:
    """Give such a journal."""
    async with keeping(gateway, tmp_path) as kept:
        yield kept


async def _asked(http: httpx.AsyncClient, ctx: Context, **more: Any) -> Span:
    body = {"model": "openai/gpt-4o-mini", "messages": HELLO, "temperature": 0.2, "seed": 7, **more}
    answer = await http.post("/v1/chat/completions", json=body, headers={"x-gimbal-tags": "a,b"})
    return await span_of(ctx, answer.raise_for_status().headers["x-gimbal-trace-id"])


def _compared(span: Span) -> dict[str, Any]:
    row = msgspec.to_builtins(span)
    for name in ("trace_id", "span_id", "start_us", "end_us", "first_token_us", "response_id"):
        row.pop(name, None)
    row["attributes"] = {name: value for name, value in span.attributes.items() if not name.endswith("_us")}
    return row


async def test_a_call_over_the_journal_has_the_span_of_one_without(
    ctx: Context, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    straight = await _asked(http, ctx)
    async with keeping(ctx.services, tmp_path):
        over = await _asked(http, ctx)

    assert _compared(over) == _compared(straight)
    assert over.cost == Decimal("0.00000555")
    assert {"gimbal.stage.route_us", "gimbal.stage.settle_us", "gimbal.upstream_us"} <= over.attributes.keys()
    assert over.attributes["gen_ai.request.seed"] == 7
    assert over.tags == ["a", "b"]


async def test_what_a_policy_takes_out_is_not_put_down(
    ctx: Context, http: httpx.AsyncClient, journal: Recording, tmp_path: Path
) -> None:
    await ctx.get(Redactions).set(ctx, SetRedaction(detectors=["email"]))
    span = await _asked(http, ctx, messages=[{"role": "user", "content": "Write to anna@example.org"}])

    kept = b"".join(path.read_bytes() for path in (tmp_path / "journal").rglob("*") if path.is_file())
    assert "anna@example.org" not in span.input
    assert b"Write to" in kept
    assert b"anna@example.org" not in kept


async def test_a_journal_of_before_is_carried(ctx: Context, tmp_path: Path) -> None:
    span = Span(trace_id="ab" * 16, span_id="cd" * 8, name="chat up/tiny", start_us=1, end_us=2, status="ok")
    before = Journal(tmp_path / "journal", most_bytes=1 << 20)
    before.open()
    # What stood there before calls were put down as they are: a project and its spans.
    before.append(_msgpack.encode(["default", [span]]))
    before.close()

    async with keeping(ctx.services, tmp_path):
        assert (await span_of(ctx, span.trace_id)).name == span.name
