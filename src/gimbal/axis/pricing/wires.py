"""What a provider sent as usage → `Usage`, one function per wire.

They differ in what includes what. OpenAI and Gemini count cached input within the input, Anthropic and Bedrock beside
it; OpenAI and Anthropic count reasoning within the output, Gemini beside it. None of it is guessed from the numbers:
usage that contradicts the rule of its wire is refused, never clipped. A usage that says nothing of tokens is None.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from gimbal.axis.pricing.model import Usage
from gimbal.kernel.errors import ContradictoryUsage

Json = Mapping[str, Any]

_MOST = 10**15
_TIERS = {
    "": "standard",
    "default": "standard",
    "standard": "standard",
    "on_demand": "standard",
    "batch": "batch",
    "flex": "flex",
    "priority": "priority",
}
# The provider's name of a tool that is billed per use, and ours.
_ANTHROPIC_TOOLS = {"web_search_requests": "web_search", "web_fetch_requests": "web_fetch"}
_OPENAI_TOOLS = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
}
_NO_REQUESTS: Mapping[str, int] = {}


def openai_chat(usage: Any, *, tier: Any = None) -> Usage | None:
    """Read `usage` of chat completions and embeddings; `tier` is `service_tier` of the answer, or batch."""
    raw = _table(usage)
    return _plain(raw, tier) or _openai(raw, "prompt_tokens", "completion_tokens", tier, _NO_REQUESTS)


def _plain(raw: Json, tier: Any) -> Usage | None:
    """Read what nearly every answer says: counts, of which some may be cached or reasoning; None where there is more."""
    whole, said = raw.get("prompt_tokens"), raw.get("completion_tokens")
    cached = _only(raw.get("prompt_tokens_details"), "cached_tokens")
    thought = _only(raw.get("completion_tokens_details"), "reasoning_tokens")
    # As a chain of comparisons: a count that is none makes one of them false.
    if type(whole) is int and type(said) is int and 0 <= cached <= whole < _MOST and 0 <= thought <= said < _MOST:
        total = raw.get("total_tokens")
        if total is None or (type(total) is int and total == whole + said):
            return Usage(
                input=whole - cached, cache_read=cached, output=said - thought, reasoning=thought, tier=tier_of(tier)
            )
    return None


def _only(details: Any, name: str) -> int:
    """Return the one count among details that may be there; -1 where others are."""
    if details is None:
        return 0
    if type(details) is not dict:
        return -1
    count = 0
    counts: dict[str, Any] = details
    for key, value in counts.items():
        if value is None or (value == 0 and type(value) is int):
            continue
        if key != name or type(value) is not int:
            return -1
        count = value
    return count


def openai_responses(usage: Any, *, tier: Any = None, output: Any = None) -> Usage | None:
    """Read `usage` of responses; the `output` of the same answer tells which of their tools were used."""
    raw, requests = _table(usage), dict[str, int]()
    items = [_table(item) for item in _rows(output)]
    for item in items:
        name = _OPENAI_TOOLS.get(str(item.get("type")))
        # Of a web search only the search is billed, not the pages that are opened then.
        if name and str(_table(item.get("action")).get("type") or "search") == "search":
            requests[name] = requests.get(name, 0) + 1
    if "code_interpreter" in requests:
        # Billed is the container, however often it is used.
        boxes = {str(item.get("container_id")) for item in items if item.get("type") == "code_interpreter_call"}
        requests["code_interpreter"] = len(boxes)
    return _openai(raw, "input_tokens", "output_tokens", tier, requests)


def _openai(raw: Json, input_: str, output: str, tier: Any, requests: Mapping[str, int]) -> Usage | None:
    if raw.get(input_) is None and raw.get(output) is None:
        return None
    whole, said = _count(raw, input_), _count(raw, output)
    of_input, of_output = _table(raw.get(f"{input_}_details")), _table(raw.get(f"{output}_details"))
    read, written = _count(of_input, "cached_tokens"), _count(of_input, "cache_write_tokens")
    audio, image = _count(of_input, "audio_tokens"), _count(of_input, "image_tokens")
    _fits(read + written, whole, f"{input_}_details", "cached")
    _fits(audio + image, whole, f"{input_}_details", "audio and images")
    ttl = _table(of_input.get("cache_write_tokens_details"))
    half_hour, half_day = _count(ttl, "ttl_30m_tokens"), _count(ttl, "ttl_12h_tokens")
    _fits(half_hour + half_day, written, "cache_write_tokens_details", "written")
    reasoning, spoken = _count(of_output, "reasoning_tokens"), _count(of_output, "audio_tokens")
    drawn = _count(of_output, "image_tokens")
    _fits(reasoning + spoken + drawn, said, f"{output}_details", "reasoning, audio and images")
    _adds_up(raw, "total_tokens", whole + said)
    cached = _table(of_input.get("cached_tokens_details")).get("audio_tokens")
    inputs = modes(whole, read, written, audio, image, cached)
    return Usage(
        **inputs,
        cache_write=written - half_hour - half_day,
        cache_write_30m=half_hour,
        cache_write_12h=half_day,
        output=said - reasoning - spoken - drawn,
        reasoning=reasoning,
        audio_output=spoken,
        image_output=drawn,
        requests=dict(requests),
        tier=tier_of(tier),
    )


def anthropic(usage: Any, *, tier: Any = None) -> Usage | None:
    """Read `usage` of messages; of a stream give it `merged` usage. `tier` overrides what the usage says."""
    raw = _table(usage)
    if raw.get("input_tokens") is None and raw.get("output_tokens") is None:
        return None
    written, said = _count(raw, "cache_creation_input_tokens"), _count(raw, "output_tokens")
    ttl = _table(raw.get("cache_creation"))
    minutes, hour = _count(ttl, "ephemeral_5m_input_tokens"), _count(ttl, "ephemeral_1h_input_tokens")
    if raw.get("cache_creation_input_tokens") is None:
        written = minutes + hour
    _fits(minutes + hour, written, "cache_creation", "written")
    thought = _count(_table(raw.get("output_tokens_details")), "thinking_tokens")
    _fits(thought, said, "output_tokens_details", "thinking")
    tools = _table(raw.get("server_tool_use"))
    return Usage(
        input=_count(raw, "input_tokens"),
        cache_read=_count(raw, "cache_read_input_tokens"),
        cache_write=written - minutes - hour,
        cache_write_5m=minutes,
        cache_write_1h=hour,
        output=said - thought,
        reasoning=thought,
        requests={_ANTHROPIC_TOOLS.get(name, "other_tool"): _count(tools, name) for name in tools if tools[name]},
        tier=tier_of(tier) if tier is not None else _anthropic_tier(raw),
    )


def merged(usages: Iterable[Any]) -> dict[str, Any]:
    """Return the usage of a stream that tells it several times, cumulatively: of each field the last that is there."""
    found: dict[str, Any] = {}
    for usage in usages:
        found |= {name: value for name, value in _table(usage).items() if value is not None}
    return found


def gemini(usage: Any, *, tier: Any = None, searches: int = 0) -> Usage | None:
    """Read `usageMetadata`; of a stream that of its last chunk. `searches` are the grounded ones that are billed."""
    raw = _table(usage)
    if raw.get("promptTokenCount") is None and raw.get("candidatesTokenCount") is None:
        return None
    whole, said = _count(raw, "promptTokenCount"), _count(raw, "candidatesTokenCount")
    read, thought = _count(raw, "cachedContentTokenCount"), _count(raw, "thoughtsTokenCount")
    fetched = _count(raw, "toolUsePromptTokenCount")
    _fits(read, whole, "cachedContentTokenCount", "cached")
    _adds_up(raw, "totalTokenCount", whole + said + thought + fetched)
    given, cached = _by_mode(raw, "promptTokensDetails", whole), _by_mode(raw, "cacheTokensDetails", read)
    spoken = _by_mode(raw, "candidatesTokensDetails", said)
    of_tools = _by_mode(raw, "toolUsePromptTokensDetails", fetched)
    inputs = modes(
        whole, read, 0, given["audio"], given["image"], cached["audio"] if raw.get("cacheTokensDetails") else None
    )
    inputs["input"] += fetched - of_tools["audio"] - of_tools["image"]
    inputs["audio_input"] += of_tools["audio"]
    inputs["image_input"] += of_tools["image"]
    return Usage(
        **inputs,
        output=said - spoken["audio"] - spoken["image"],
        reasoning=thought,
        audio_output=spoken["audio"],
        image_output=spoken["image"],
        requests={"web_search": searches} if searches else {},
        tier=tier_of(raw.get("trafficType") if tier is None else tier),
    )


def bedrock(usage: Any, *, tier: Any = None) -> Usage | None:
    """Read `usage` of Converse; `tier` is the type of the answer's `serviceTier`, batch, or regional."""
    raw = _table(usage)
    if raw.get("inputTokens") is None and raw.get("outputTokens") is None:
        return None
    plain, said = _count(raw, "inputTokens"), _count(raw, "outputTokens")
    read, written = _count(raw, "cacheReadInputTokens"), _count(raw, "cacheWriteInputTokens")
    _adds_up(raw, "totalTokens", plain + read + written + said)
    by_ttl = {"5m": 0, "1h": 0}
    for row in _rows(raw.get("cacheDetails")):
        ttl = str(_table(row).get("ttl"))
        by_ttl[ttl] = by_ttl.get(ttl, 0) + _count(_table(row), "inputTokens")
    _fits(sum(by_ttl.values()), written, "cacheDetails", "written")
    return Usage(
        input=plain,
        cache_read=read,
        cache_write=written - by_ttl["5m"] - by_ttl["1h"],
        cache_write_5m=by_ttl["5m"],
        cache_write_1h=by_ttl["1h"],
        output=said,
        tier="regional" if tier == "regional" else tier_of(tier),
    )


def cohere(usage: Any) -> Usage | None:
    """Read `usage` of Cohere's chat and embeddings: what they bill where they say so, else what they counted.

    What hit their cache is billed as other input, and is part of what they counted, not of what they bill.
    """
    raw = _table(usage)
    billed, counted = _table(raw.get("billed_units")), _table(raw.get("tokens"))
    told = billed if billed.get("input_tokens") is not None or billed.get("output_tokens") is not None else counted
    if told.get("input_tokens") is None and told.get("output_tokens") is None:
        return None
    searches = _count(billed, "search_units")
    return Usage(
        input=_count(told, "input_tokens"),
        output=_count(told, "output_tokens"),
        requests={"other_tool": searches} if searches else {},
    )


def modes(whole: int, read: int, written: int, audio: int, image: int, cached_audio: Any) -> dict[str, Any]:
    """Return the input by class where audio, images and what is cached overlap.

    Where nobody told what of the cached input is audio, it is text as far as there is text, then images, then audio.
    """
    text = whole - audio - image
    if cached_audio is not None:
        heard = _count({"audio_tokens": cached_audio}, "audio_tokens")
        _fits(heard, min(audio, read), "cached_tokens_details", "cached audio")
        beyond = max(0, read + written - heard - text)
        _fits(beyond, image, "cached_tokens_details", "cached text and images")
    else:
        beyond = max(0, read + written - text)
        heard = max(0, beyond - image)
    seen = min(image, beyond)
    # What was written and is neither text nor image is audio, at the price of what is written.
    kept = min(heard, read)
    return {
        "input": max(0, text - (read + written - heard)),
        "cache_read": read - kept,
        "audio_cache_read": kept,
        "image_input": image - seen,
        "audio_input": audio - heard,
    }


def _by_mode(raw: Json, field: str, whole: int) -> dict[str, int]:
    """Return Gemini's counts by modality; documents are text, and what is not told is text."""
    found = {"audio": 0, "image": 0, "text": 0}
    for row in _rows(raw.get(field)):
        mode = str(_table(row).get("modality")).lower()
        name = {"audio": "audio", "image": "image", "video": "image"}.get(mode, "text")
        found[name] += _count(_table(row), "tokenCount")
    _fits(sum(found.values()), whole, field, "told by modality")
    return found


def _anthropic_tier(raw: Json) -> str:
    if raw.get("speed") == "fast":
        return "fast"
    tier = tier_of(raw.get("service_tier"))
    regional = str(raw.get("inference_geo") or "global") not in {"global", "not_available"}
    if regional:
        # Batch within a region is a price of its own again, which nobody lists.
        return "regional" if tier == "standard" else "other"
    return tier


def tier_of(value: Any) -> str:
    """Return how a call was served by a provider's word for it; nothing said is standard."""
    return _TIERS.get(str(value or "").lower(), "other")


def _count(raw: Json, field: str) -> int:
    value = raw.get(field)
    if type(value) is int and 0 <= value < _MOST:  # nearly always
        return value
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise _refused(f"{value!r:.40} is not a count of tokens", field)
    return value


def _fits(part: int, whole: int, field: str, name: str) -> None:
    if part > whole:
        raise _refused(f"{part} tokens are {name}, which is more than the {whole} that they are part of", field)


def _adds_up(raw: Json, field: str, total: int) -> None:
    if raw.get(field) is not None and _count(raw, field) != total:
        raise _refused(f"the total is {raw[field]}, but the parts are {total}", field)


def _refused(reason: str, field: str) -> ContradictoryUsage:
    return ContradictoryUsage(
        f"The usage contradicts itself: {reason}.",
        where=field,
        kept="the usage as it was sent, without a cost",
        todo="See what the provider billed for this call.",
    )


def _table(value: Any) -> Json:
    if type(value) is dict:  # nearly always, and ten times as quick to see
        found: Json = value
        return found
    return cast("Json", value) if isinstance(value, Mapping) else {}


def _rows(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()
