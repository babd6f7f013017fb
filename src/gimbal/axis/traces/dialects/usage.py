"""Usage as conventions and instrumentations tell it: some counts that include others, or the provider's own words."""

from collections.abc import Callable
from typing import Any, cast

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.dialects.reading import number
from gimbal.kernel.errors import ContradictoryUsage

_WIRES: tuple[tuple[str, Callable[..., Usage | None]], ...] = (
    ("prompt_tokens", wires.openai_chat),
    ("promptTokenCount", wires.gemini),
    ("inputTokens", wires.bedrock),
)


def usage_of(
    input_tokens: Any,
    output_tokens: Any,
    cache_read: Any = None,
    cache_write: Any = None,
    reasoning: Any = None,
    *,
    tier: Any = None,
    **parts: Any,
) -> Usage | None:
    """Return the usage, or None when neither side was reported; a part that is missing counts as none of it.

    Both sides include all their parts. `parts` are audio, images and what was written by its time, by their classes.
    """
    given = number(input_tokens), number(output_tokens)
    if given == (None, None):
        return None
    whole, said = given[0] or 0, given[1] or 0
    read, written, thought = number(cache_read) or 0, number(cache_write), number(reasoning) or 0
    if not parts and tier is None:
        # Nearly every span comes this way.
        put = written or 0
        return Usage(
            input=whole - read - put, cache_read=read, cache_write=put, output=said - thought, reasoning=thought
        )
    counts = {name: count for name, value in parts.items() if value is not None and (count := number(value))}
    if written is None:
        written = counts.get("cache_write_5m", 0) + counts.get("cache_write_1h", 0)
    return _in_classes((whole, said, read, written, thought), counts, wires.tier_of(tier))


def _in_classes(totals: tuple[int, int, int, int, int], counts: dict[str, int], tier: str) -> Usage:
    whole, said, read, written, thought = totals
    audio, image = counts.get("audio_input", 0), counts.get("image_input", 0)
    by_time: dict[str, Any] = {name: counts[name] for name in ("cache_write_5m", "cache_write_1h") if name in counts}
    spoken: dict[str, Any] = {name: counts[name] for name in ("audio_output", "image_output") if name in counts}
    plain = Usage.of(
        input_tokens=whole,
        output_tokens=said,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=thought,
        tier=tier,
        contradictory=True,
    )
    if audio + image > whole or read + written > whole:
        return plain
    try:
        inputs = wires.modes(whole, read, written, audio, image, counts.get("audio_cache_read"))
    except ContradictoryUsage:
        return plain
    return Usage(
        **inputs,
        **by_time,
        **spoken,
        cache_write=written - sum(by_time.values()),
        output=said - thought - sum(spoken.values()),
        reasoning=thought,
        tier=tier,
    )


def told_by(answer: Any, seen: Usage | None) -> Usage | None:
    """Return the usage that a provider's whole answer tells, where it comes to the same as what the span counts.

    It has more classes than conventions have names for: times of caches, tools, the tier.
    """
    if seen is None or not isinstance(answer, dict):
        return seen
    body = cast("dict[str, Any]", answer)
    raw = body.get("usage", body.get("usageMetadata"))
    if not isinstance(raw, dict):
        return seen
    try:
        found = _in_own_words(cast("dict[str, Any]", raw), body)
    except ContradictoryUsage:
        return seen
    return seen if found is None or _sides(found) != _sides(seen) else found


def _in_own_words(raw: dict[str, Any], answer: dict[str, Any]) -> Usage | None:
    tier = answer.get("service_tier")
    for name, read in _WIRES:
        if name in raw:
            return read(raw, tier=tier)
    if answer.get("object") == "response":
        return wires.openai_responses(raw, tier=tier, output=answer.get("output"))
    return wires.anthropic(raw) if answer.get("type") == "message" else None


def _sides(usage: Usage) -> tuple[int, int]:
    return usage.input_tokens, usage.output_tokens
