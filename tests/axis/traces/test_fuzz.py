"""Whatever comes over the wire is stored or refused with a reason; nothing breaks, nothing is half-stored in silence."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.traces import otlp, tree
from gimbal.axis.traces.blocks import readable
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context
from gimbal.kernel.errors import CorruptUpload
from gimbal.kernel.ids import new_id

_names = st.sampled_from(
    [
        "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.provider.name", "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.retrieval.documents",
        "gen_ai.response.finish_reasons", "gen_ai.response.time_to_first_chunk", "gen_ai.conversation.id", "user.id",
        "openinference.span.kind", "llm.model_name", "llm.token_count.prompt", "llm.token_count.completion",
        "llm.input_messages.0.message.content", "llm.input_messages.0.message.contents.0.message_content.text",
        "llm.input_messages.0.message.tool_calls.0.tool_call.id", "llm.input_messages.0.message.tool_calls", "input.value",
        "retrieval.documents.0.document.id", "retrieval.documents.0.document.score", "retrieval.documents.²",
        "llm.input_messages.²", "llm.input_messages.٣.message.role", "gimbal.refs", "gimbal.feature", "gimbal.kind",
        "gimbal.input", "http.method", "session.id", "x",
    ]
)  # fmt: skip
_leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=9)
    | st.sampled_from(["LLM", "chat", "[", "{}", "[1e999]", "[123456789012345678901234567890]", '[{"role":5}]', "[[]]", '{"a":"\\ud800"}',
                       "[" * 3000, "[" * 60 + "]" * 60, "NaN", "1e5", "-1", "\0", "[null]", '[{"score":1e400}]'])
)  # fmt: skip
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _spans(trace: str) -> list[wire.Span]:
    one = wire.chat(
        trace, 1, attributes={"gen_ai.input.messages": [{"role": "user", "content": "why?"}], "n": [1, {"a": b"x"}]}
    )
    one.events.add(name="gen_ai.choice", time_unix_nano=5, attributes=wire.pairs({"message": {"content": "x"}}))
    one.links.add(trace_id=b"\1" * 16, span_id=b"\1" * 8)
    return [one, wire.span(trace, 2, 1, name="two", flags=0x300, kind=3, status={"code": 2, "message": "no"})]


async def taken(ctx: Context, body: bytes, media_type: str) -> None:
    """Take a body in: refused as a whole, or every span of it is stored or named."""
    here = ctx.within(f"f{new_id()[-12:]}")
    traces = here.get(Traces)
    try:
        request = otlp.parse(body, media_type)
    except CorruptUpload:
        return
    rejected = await ingest(here, request)
    assert msgspec.json.decode(otlp.response(rejected, JSON), type=dict[str, Any]) is not None
    sent = [s for r in request.resource_spans for p in r.scope_spans for s in p.spans]
    named = otlp.answer(rejected).partial_success
    assert named.rejected_spans == len(rejected)
    assert bool(named.error_message) == bool(rejected)
    good = {(s.trace_id.hex(), s.span_id.hex()) for s in sent if not otlp._flaw(s)}
    assert len(rejected) == sum(bool(otlp._flaw(s)) for s in sent)
    page = await traces.page(here, TraceFilter(), limit=1000)
    assert {item.trace_id for item in page.items} == {trace for trace, _ in good}
    for item in page.items:
        shown = await traces.get(here, item.trace_id)
        assert shown.summary == item
        assert {s.span_id for s in shown.spans} == {span for trace, span in good if trace == item.trace_id}
        assert len(tree.in_order(shown.spans)) == len(shown.spans)
        msgspec.json.encode([(readable(s.input, str), readable(s.output, str)) for s in shown.spans])
        msgspec.json.encode(shown)


@pytest.mark.parametrize("base", [{}, {"openinference.span.kind": "LLM"}], ids=["genai", "openinference"])
@settings(max_examples=30)
@given(attributes=st.dictionaries(_names, _values, max_size=12), events=st.dictionaries(_names, _values, max_size=4))
async def test_any_attributes_are_stored(
    traces: Traces, here: Context, base: dict[str, Any], attributes: dict[str, Any], events: dict[str, Any]
) -> None:
    """Known names with values that nobody expects."""
    one = wire.span("7" * 32, 1, attributes=base | attributes)
    one.events.add(name="gen_ai.choice", attributes=wire.pairs(events))
    one.events.add(name="gen_ai.user.message", attributes=wire.pairs(events))
    await taken(here, wire.request(one, wire.span("7" * 32, 2, 1)).SerializeToString(), PROTOBUF)


@settings(max_examples=30)
@given(cut=st.integers(0, 400), at=st.integers(0, 400), noise=st.binary(max_size=12))
async def test_mutated_protobuf(traces: Traces, here: Context, cut: int, at: int, noise: bytes) -> None:
    """Bytes overwritten, inserted and cut off."""
    whole = wire.request(*_spans("9" * 32)).SerializeToString()
    at %= len(whole)
    await taken(here, whole[:at] + noise + whole[at + len(noise) :], PROTOBUF)
    await taken(here, whole[:at] + noise + whole[at:], PROTOBUF)
    await taken(here, whole[: len(whole) - cut % len(whole)], PROTOBUF)


@settings(max_examples=60)
@given(path=st.lists(st.integers(0, 30), max_size=9), node=_json)
async def test_mutated_json(traces: Traces, here: Context, path: list[int], node: Any) -> None:
    """Some part of a good document replaced by any other JSON."""
    document: Any = wire.as_json(wire.request(*_spans("8" * 32)))
    holder, key, at = {"all": document}, "all", document
    for step in path:
        if isinstance(at, dict) and at:
            holder, key = at, sorted(at)[step % len(at)]
        elif isinstance(at, list) and at:
            holder, key = at, step % len(at)
        else:
            break
        at = holder[key]
    whole = {"all": document}
    if holder.get("all") is document if isinstance(holder, dict) else False:
        whole["all"] = node
    else:
        holder[key] = node
    await taken(here, json.dumps(whole["all"]).encode(), JSON)


@settings(max_examples=300)
@given(body=st.binary(max_size=200))
def test_noise_is_a_request_or_is_refused(body: bytes) -> None:
    """By both decoders."""
    for media_type in (PROTOBUF, JSON):
        try:
            found = otlp.parse(body, media_type)
        except CorruptUpload:
            continue
        list(otlp.spans(found))


@pytest.mark.parametrize("nano", [1, 999, 2**63 - 1, 2**64 - 1])
async def test_times_at_the_ends_of_their_range_are_kept(
    traces: Traces, here: Context, columns: Columns, nano: int
) -> None:
    """A clock that is wrong is no reason to lose a span."""
    trace = wire.trace_id()
    await taken(here, wire.request(wire.span(trace, 1, start_time_unix_nano=nano)).SerializeToString(), PROTOBUF)
