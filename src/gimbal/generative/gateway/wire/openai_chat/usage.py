"""Usage in OpenAI's two forms, read and written. Input includes what is cached, output includes reasoning."""

from typing import Any

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import count, table, usage_by


def chat_usage(value: Any, tier: Any = None) -> Usage | None:
    """Return the usage of chat completions and embeddings; None when it says nothing of input and output."""
    usage = table(value)
    hits = usage.get("prompt_cache_hit_tokens")
    # DeepSeek tells what came from its cache beside the details, or instead of them.
    if hits is not None and table(usage.get("prompt_tokens_details")).get("cached_tokens") is None:
        usage = usage | {"prompt_tokens_details": {"cached_tokens": hits}}
    return usage_by(wires.openai_chat, _as_far_chat, usage, tier=tier)


def responses_usage(value: Any, tier: Any = None, output: Any = None) -> Usage | None:
    """Return the usage of responses; `output` tells which tools of the provider were used."""
    return usage_by(wires.openai_responses, _as_far_responses, value, tier=tier, output=output)


def _as_far_chat(usage: Json) -> Usage:
    return _as_far(usage, "prompt_tokens", "completion_tokens")


def _as_far_responses(usage: Json) -> Usage:
    return _as_far(usage, "input_tokens", "output_tokens")


def _as_far(usage: Json, input_: str, output: str) -> Usage:
    """Return as much as can be read of a usage that contradicts itself."""
    of_input, of_output = table(usage.get(f"{input_}_details")), table(usage.get(f"{output}_details"))
    return Usage.of(
        input_tokens=count(usage.get(input_)),
        output_tokens=count(usage.get(output)),
        cache_read_tokens=count(of_input.get("cached_tokens")),
        cache_write_tokens=count(of_input.get("cache_write_tokens")),
        reasoning_tokens=count(of_output.get("reasoning_tokens")),
    )


def write_chat_usage(usage: Usage) -> Json:
    """Return usage as chat completions tell it."""
    heard, seen = usage.audio_input + usage.audio_cache_read, usage.image_input
    given: Json = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    made: Json = {"reasoning_tokens": usage.reasoning_tokens}
    for name, tokens, side in (
        ("audio_tokens", heard, given),
        ("image_tokens", seen, given),
        ("audio_tokens", usage.audio_output, made),
        ("image_tokens", usage.image_output, made),
    ):
        if tokens:
            side[name] = tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": given,
        "completion_tokens_details": made,
    }


def write_responses_usage(usage: Usage) -> Json:
    """Return usage as responses tell it."""
    chat = write_chat_usage(usage)
    return {
        "input_tokens": chat["prompt_tokens"],
        "input_tokens_details": chat["prompt_tokens_details"],
        "output_tokens": chat["completion_tokens"],
        "output_tokens_details": chat["completion_tokens_details"],
        "total_tokens": chat["total_tokens"],
    }
