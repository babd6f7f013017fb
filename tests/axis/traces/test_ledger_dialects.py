"""Usage by class as each convention tells it, and what it costs by the book, by hand to the last decimal."""

import json
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.traces import wire

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.derive import derived
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context

GENAI = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.response.model": "gpt-5",
    "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 50,
}  # fmt: skip
CLAUDE = GENAI | {"gen_ai.provider.name": "anthropic", "gen_ai.response.model": "claude-sonnet-4"}
FLASH = GENAI | {"gen_ai.provider.name": "gcp.gemini", "gen_ai.response.model": "gemini-2.5-flash"}
INFERENCE = {
    "openinference.span.kind": "LLM", "llm.provider": "openai", "llm.model_name": "gpt-5",
    "llm.token_count.prompt": 100, "llm.token_count.completion": 50,
}  # fmt: skip
LANGFUSE = {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "claude-sonnet-4"}
VERCEL = {"ai.operationId": "ai.generateText.doGenerate", "ai.usage.outputTokens": 50}
LOOP = {
    "llm.request.type": "chat", "gen_ai.system": "Anthropic", "gen_ai.response.model": "claude-sonnet-4",
    "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 50,
}  # fmt: skip
MLFLOW = {
    "mlflow.spanType": '"CHAT_MODEL"',
    "mlflow.llm.provider": '"anthropic"',
    "mlflow.llm.model": '"claude-sonnet-4"',
}
MESSAGE = {
    "type": "message",
    "usage": {
        "input_tokens": 60, "output_tokens": 50, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "server_tool_use": {"web_search_requests": 2}, "service_tier": "standard",
    },
}  # fmt: skip
WRITTEN = Usage(input=60, cache_read=10, cache_write_5m=10, cache_write_1h=20, output=50)
SEARCHED = Usage(input=60, cache_read=10, cache_write_5m=10, cache_write_1h=20, output=50, requests={"web_search": 2})
# 60·3 + 10·0.30 + 10·3.75 + 20·6 + 50·15
WRITTEN_COSTS = "1090.5"
# and two searches at a cent
SEARCHED_COSTS = "21090.5"
# 100·1.25 + 50·10 is 625; half of it in a batch, twice with priority
ROWS: list[tuple[str, dict[str, Any], Usage, str]] = [
    ("otel", GENAI, Usage(input=100, output=50), "625"),
    ("otel batch", GENAI | {"gimbal.tier": "batch"}, Usage(input=100, output=50, tier="batch"), "312.5"),
    ("otel flex", GENAI | {"openai.response.service_tier": "flex"}, Usage(input=100, output=50, tier="flex"), "312.5"),
    ("otel old name", GENAI | {"gen_ai.openai.response.service_tier": "priority"}, Usage(input=100, output=50, tier="priority"), "1250"),
    ("otel default", GENAI | {"openai.response.service_tier": "default"}, Usage(input=100, output=50), "625"),
    ("otel reasoning", GENAI | {"gen_ai.usage.reasoning.output_tokens": 20}, Usage(input=100, output=30, reasoning=20), "625"),
    (
        "otel cache by time",
        CLAUDE | {
            "gen_ai.usage.cache_read.input_tokens": 10,
            "gen_ai.usage.cache_creation.ephemeral_5m_input_tokens": 10, "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens": 20,
        },
        WRITTEN, WRITTEN_COSTS,
    ),
    (
        "otel cache write", CLAUDE | {"gen_ai.usage.cache_write.input_tokens": 40},
        # 60·3 + 40·3.75 + 50·15
        Usage(input=60, cache_write=40, output=50), "1080",
    ),
    (
        "otel audio",
        FLASH | {"gen_ai.usage.audio.input_tokens": 40, "gen_ai.usage.cache_read.input_tokens": 30, "gen_ai.usage.audio.cache_read.input_tokens": 10},
        # Of 100 are 40 heard, 10 of them cached, and 20 of text cached: 40·0.3 + 20·0.03 + 30·1 + 10·0.1 + 50·2.5
        Usage(input=40, cache_read=20, audio_input=30, audio_cache_read=10, output=50), "168.6",
    ),
    (
        "pydantic", CLAUDE | {"gen_ai.usage.details.ephemeral_1h_input_tokens": 40},
        # 60·3 + 40·6 + 50·15
        Usage(input=60, cache_write_1h=40, output=50), "1170",
    ),
    ("openinference", INFERENCE, Usage(input=100, output=50), "625"),
    (
        "openinference audio",
        INFERENCE | {"llm.provider": "google", "llm.model_name": "gemini-2.5-flash", "llm.system": "gemini",
                     "llm.token_count.prompt_details.audio": 40},
        # 60·0.3 + 40·1 + 50·2.5
        Usage(input=60, audio_input=40, output=50), "183",
    ),
    (
        "openinference tier",
        INFERENCE | {"output.value": json.dumps({"id": "c", "choices": [{}], "service_tier": "flex",
                                                 "usage": {"prompt_tokens": 100, "completion_tokens": 50}})},
        Usage(input=100, output=50, tier="flex"), "312.5",
    ),
    (
        "openinference anthropic",
        INFERENCE | {"llm.provider": "anthropic", "llm.model_name": "claude-sonnet-4", "output.value": json.dumps(MESSAGE),
                     "llm.token_count.prompt_details.cache_read": 10, "llm.token_count.prompt_details.cache_write": 30},
        SEARCHED, SEARCHED_COSTS,
    ),
    (
        "langfuse types",
        LANGFUSE | {"langfuse.observation.usage_details": json.dumps(
            {"input": 60, "input_cached_tokens": 10, "input_cache_creation_5m": 10, "input_cache_creation_1h": 20, "output": 50, "total": 150})},
        WRITTEN, WRITTEN_COSTS,
    ),
    (
        "langfuse anthropic",
        LANGFUSE | {"langfuse.observation.usage_details": json.dumps(MESSAGE["usage"])},
        WRITTEN, WRITTEN_COSTS,
    ),
    (
        "langfuse answer",
        LANGFUSE | {"langfuse.observation.usage_details": json.dumps({"input": 100, "output": 50}),
                    "langfuse.observation.output": json.dumps(MESSAGE)},
        SEARCHED, SEARCHED_COSTS,
    ),
    (
        "langfuse audio",
        LANGFUSE | {"langfuse.observation.model.name": "gemini-2.5-flash", "langfuse.observation.usage_details": json.dumps(
            {"input": 60, "input_audio_tokens": 40, "output": 30, "output_reasoning_tokens": 20})},
        Usage(input=60, audio_input=40, output=30, reasoning=20), "183",
    ),
    (
        "vercel tier",
        VERCEL | {"ai.model.provider": "openai.responses", "ai.response.model": "gpt-5", "ai.usage.inputTokens": 100,
                  "ai.response.providerMetadata": json.dumps({"openai": {"serviceTier": "priority"}})},
        Usage(input=100, output=50, tier="priority"), "1250",
    ),
    (
        "vercel anthropic",
        VERCEL | {"ai.model.provider": "anthropic.messages", "ai.response.model": "claude-sonnet-4", "ai.usage.inputTokens": 60,
                  "ai.usage.cachedInputTokens": 10,
                  "ai.response.providerMetadata": json.dumps({"anthropic": {"usage": MESSAGE["usage"], "cacheCreationInputTokens": 30}})},
        SEARCHED, SEARCHED_COSTS,
    ),
    (
        "traceloop", LOOP | {"gen_ai.usage.cache_read_input_tokens": 10, "gen_ai.usage.cache_creation_input_tokens": 30},
        # 60·3 + 10·0.3 + 30·3.75 + 50·15
        Usage(input=60, cache_read=10, cache_write=30, output=50), "1045.5",
    ),
    (
        "traceloop tier", LOOP | {"gen_ai.system": "OpenAI", "gen_ai.response.model": "gpt-5", "openai.response.service_tier": "flex"},
        Usage(input=100, output=50, tier="flex"), "312.5",
    ),
    (
        "mlflow",
        MLFLOW | {"mlflow.chat.tokenUsage": json.dumps({"input_tokens": 60, "output_tokens": 50, "cache_read_input_tokens": 10,
                                                        "cache_creation_input_tokens": 30}),
                  "mlflow.spanOutputs": json.dumps(MESSAGE)},
        SEARCHED, SEARCHED_COSTS,
    ),
]  # fmt: skip


async def kept(traces: Traces, here: Context, attributes: dict[str, Any], **fields: Any) -> Span:
    """Return the one span of a request as it is stored."""
    trace = wire.trace_id()
    assert await ingest(here, wire.request(wire.span(trace, 1, attributes=attributes, **fields))) == []
    return (await traces.get(here, trace)).spans[0]


@pytest.mark.parametrize(("name", "attributes", "usage", "millionths"), ROWS, ids=[row[0] for row in ROWS])
async def test_each_class_and_tier_is_read_and_paid_for(
    traces: Traces, here: Context, name: str, attributes: dict[str, Any], usage: Usage, millionths: str
) -> None:
    """And read anew later, it is the same."""
    span = await kept(traces, here, attributes)
    assert span.usage == usage
    assert (span.cost, span.unpriced) == (Decimal(millionths) / 1_000_000, "")
    assert sum(span.parts.values(), Decimal(0)) == span.cost
    assert derived(span).usage == usage


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"gen_ai.usage.audio.input_tokens": 101}, "implausible_usage"),
        ({"gen_ai.usage.audio.input_tokens": 60, "gen_ai.usage.image.input_tokens": 60}, "implausible_usage"),
        (
            {"gen_ai.usage.cache_read.input_tokens": 90, "gen_ai.usage.cache_write.input_tokens": 90},
            "implausible_usage",
        ),
        (
            {
                "gen_ai.usage.cache_write.input_tokens": 5,
                "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens": 6,
            },
            "implausible_usage",
        ),
        ({"gen_ai.usage.audio.output_tokens": 51}, "implausible_usage"),
        ({"gen_ai.usage.audio.input_tokens": 1}, "no_price:audio_input"),
        ({"gen_ai.usage.audio.output_tokens": 1}, "no_price:audio_output"),
        ({"openai.response.service_tier": "scale"}, "no_price:other"),
    ],
)
async def test_what_contradicts_itself_or_has_no_price_is_unpriced(
    traces: Traces, here: Context, more: dict[str, Any], reason: str
) -> None:
    """Never clipped and never free; the totals stay what was said."""
    span = await kept(traces, here, GENAI | more)
    assert (span.cost, span.parts, span.unpriced) == (None, {}, reason)
    assert span.usage is not None
    assert (span.usage.input_tokens, span.usage.output_tokens) == (100, 50)


async def test_an_answer_that_tells_other_sums_than_the_span_is_not_believed(traces: Traces, here: Context) -> None:
    """It may be another's answer, or one of several."""
    other = json.dumps({"id": "c", "choices": [{}], "usage": {"prompt_tokens": 7, "completion_tokens": 50}})
    span = await kept(traces, here, INFERENCE | {"output.value": other})
    assert span.usage == Usage(input=100, output=50)


@pytest.mark.parametrize("odd", [None, "x", 7, [], {}, [1], {"usage": 3}, {"usage": {"prompt_tokens": -1}}])
async def test_any_answer_is_an_answer_without_usage(traces: Traces, here: Context, odd: Any) -> None:
    """Nothing of it is refused."""
    for name in ("output.value", "langfuse.observation.output", "mlflow.spanOutputs", "ai.response.providerMetadata"):
        span = await kept(traces, here, INFERENCE | {name: json.dumps(odd)})
        assert span.usage == Usage(input=100, output=50)
