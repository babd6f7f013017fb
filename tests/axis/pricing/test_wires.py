"""Usage as each provider sends it: every token in one class, costs by hand, and contradictions refused."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.axis.pricing import wires
from gimbal.axis.pricing.model import Price, Usage
from gimbal.axis.pricing.service import PriceBook
from gimbal.kernel.errors import ContradictoryUsage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Rates that no two classes share, so that a token in the wrong class shows.
RATES = {
    "input": "2", "output": "8", "cache_read": "0.2", "cache_write": "2.5", "cache_write_1h": "4",
    "cache_write_12h": "5", "reasoning": "9", "audio_input": "40", "audio_output": "80", "audio_cache_read": "3",
    "image_input": "2.1", "image_output": "30",
}  # fmt: skip
TOOLS = {
    name: Decimal(rate) for name, rate in {"web_search": "0.01", "file_search": "0.0025", "web_fetch": "0"}.items()
}
BOOK = PriceBook(
    [
        Price(
            provider="p", model="m", valid_from=date(2025, 1, 1), tier=tier, requests=TOOLS,
            **{name: Decimal(rate) * factor for name, rate in RATES.items()},  # pyright: ignore[reportArgumentType]
        )
        for tier, factor in (("standard", Decimal(1)), ("batch", Decimal("0.5")), ("priority", Decimal(2)), ("fast", Decimal(6)))
    ],
    "b",
)  # fmt: skip

CHAT = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
CLAUDE = {"input_tokens": 100, "output_tokens": 50}
GEMINI = {"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 150}


def _modes(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


def check(found: Usage | None, normal: tuple[int, int, int, int, int], millionths: str) -> None:
    """Compare the five counts that spans have, and the cost in millionths of a dollar."""
    assert found is not None
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    assert tuple(getattr(found, name) for name in names) == normal
    assert found.plausible()
    assert BOOK.price("p", "m", NOW, found).amount == Decimal(millionths) / 1_000_000


@pytest.mark.parametrize(
    ("usage", "tier", "normal", "millionths"),
    [
        # 100·2 + 50·8
        (CHAT, None, (100, 50, 0, 0, 0), "600"),
        (CHAT, "default", (100, 50, 0, 0, 0), "600"),
        (CHAT, "batch", (100, 50, 0, 0, 0), "300"),
        (CHAT, "priority", (100, 50, 0, 0, 0), "1200"),
        # 40·2 + 60·0.2 + 50·8
        (CHAT | {"prompt_tokens_details": {"cached_tokens": 60}}, None, (100, 50, 60, 0, 0), "492"),
        # 30·2 + 60·0.2 + 10·2.5 + 50·8
        (CHAT | {"prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10}}, None, (100, 50, 60, 10, 0), "497"),
        # 100·2 + 20·8 + 30·9; predicted tokens are output like any other
        (CHAT | {"completion_tokens_details": {"reasoning_tokens": 30, "rejected_prediction_tokens": 5}}, None, (100, 50, 0, 0, 30), "630"),
        # 70·2 + 30·40 + 10·8 + 40·80
        (CHAT | {"prompt_tokens_details": {"audio_tokens": 30}, "completion_tokens_details": {"audio_tokens": 40}}, None, (100, 50, 0, 0, 0), "4620"),
        # 100 = 20 text + 20 images + 60 audio; 50 cached: the text, the images, 10 of the audio: 40·0.2 + 10·3 + 50·40 + 50·8
        (CHAT | {"prompt_tokens_details": {"audio_tokens": 60, "image_tokens": 20, "cached_tokens": 50}}, None, (100, 50, 50, 0, 0), "2438"),
        # Told: 40 of the cached 50 are audio. 30·2 + 10·0.2 + 40·3 + 20·40 + 50·8
        (CHAT | {"prompt_tokens_details": {"audio_tokens": 60, "cached_tokens": 50, "cached_tokens_details": {"audio_tokens": 40}}}, None, (100, 50, 50, 0, 0), "1382"),
        # An embedding, and null details as some servers send them
        ({"prompt_tokens": 100, "total_tokens": 100, "prompt_tokens_details": None}, None, (100, 0, 0, 0, 0), "200"),
        # Nothing was read yet when the stream was cut
        ({"prompt_tokens": 0, "completion_tokens": 0}, None, (0, 0, 0, 0, 0), "0"),
    ],
)  # fmt: skip
def test_openai_chat(usage: Any, tier: str | None, normal: tuple[int, int, int, int, int], millionths: str) -> None:
    """Cached, written, audio and images are within the prompt, reasoning and audio within the completion."""
    check(wires.openai_chat(usage, tier=tier), normal, millionths)


@pytest.mark.parametrize(
    ("usage", "output", "normal", "millionths"),
    [
        (CLAUDE | {"total_tokens": 150}, None, (100, 50, 0, 0, 0), "600"),
        # 20·2 + 40·0.2 + 10·2.5 (untold) + 10·2.5 (30 m) + 20·5 (12 h) + 20·8 + 30·9
        (
            CLAUDE | {"input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 40, "cache_write_tokens_details": {"ttl_30m_tokens": 10, "ttl_12h_tokens": 20}},
                      "output_tokens_details": {"reasoning_tokens": 30}},
            None, (100, 50, 40, 40, 30), "628",
        ),
        # Two searches, a page that was opened, and one look into files: 600 + 2·10000 + 2500
        (
            CLAUDE,
            [{"type": "web_search_call", "action": {"type": "search"}}, {"type": "web_search_call"}, {"type": "message"},
             {"type": "web_search_call", "action": {"type": "open_page"}}, {"type": "file_search_call"}],
            (100, 50, 0, 0, 0), "23100",
        ),
    ],
)  # fmt: skip
def test_openai_responses(usage: Any, output: Any, normal: tuple[int, int, int, int, int], millionths: str) -> None:
    """The same with other names, how long the cache keeps, and tools by the items of the answer."""
    check(wires.openai_responses(usage, output=output), normal, millionths)


def test_a_container_is_used_once_however_many_calls_go_there_and_is_not_free() -> None:
    """Its price is in no book of ours, so the call has none."""
    calls = [{"type": "code_interpreter_call", "container_id": name} for name in ("a", "a", "b")]
    found = wires.openai_responses(CLAUDE, output=calls)
    assert found is not None
    assert found.requests == {"code_interpreter": 2}
    assert BOOK.price("p", "m", NOW, found).unpriced_reason == "no_price:code_interpreter"


@pytest.mark.parametrize(
    ("usage", "normal", "millionths"),
    [
        (CLAUDE, (100, 50, 0, 0, 0), "600"),
        # 100·2 + 60·0.2 + 30·2.5 + 50·8: cached stands beside the input
        (CLAUDE | {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 30}, (190, 50, 60, 30, 0), "687"),
        # 100·2 + 10·2.5 + 20·4 + 50·8
        (
            CLAUDE | {"cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}},
            (130, 50, 0, 30, 0), "705",
        ),
        (CLAUDE | {"cache_creation": {"ephemeral_1h_input_tokens": 20}}, (120, 50, 0, 20, 0), "680"),
        # 100·2 + 20·8 + 30·9
        (CLAUDE | {"output_tokens_details": {"thinking_tokens": 30}}, (100, 50, 0, 0, 30), "630"),
        # 600 + 3·10000, and pages are free
        (CLAUDE | {"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2}}, (100, 50, 0, 0, 0), "30600"),
        (CLAUDE | {"service_tier": "batch", "inference_geo": "global"}, (100, 50, 0, 0, 0), "300"),
        (CLAUDE | {"service_tier": "standard", "speed": "fast"}, (100, 50, 0, 0, 0), "3600"),
        # Refused by a filter before anything was said
        ({"input_tokens": 100, "output_tokens": 0}, (100, 0, 0, 0, 0), "200"),
    ],
)  # fmt: skip
def test_anthropic(usage: Any, normal: tuple[int, int, int, int, int], millionths: str) -> None:
    """Cached input is excluded, thinking is within the output, tools are counted by themselves."""
    check(wires.anthropic(usage), normal, millionths)


def test_the_usage_of_an_anthropic_stream_is_cumulative_so_the_last_counts() -> None:
    """Adding the deltas up would bill the answer twice; a field that is not said again stays."""
    start = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 60, "service_tier": "standard"}
    told = [
        start,
        {"output_tokens": 20},
        {"output_tokens": 50, "input_tokens": None, "server_tool_use": {"web_search_requests": 1}},
    ]
    # 100·2 + 60·0.2 + 50·8 + 10000, and cut after the first delta 100·2 + 60·0.2 + 20·8
    check(wires.anthropic(wires.merged(told)), (160, 50, 60, 0, 0), "10612")
    check(wires.anthropic(wires.merged(told[:2])), (160, 20, 60, 0, 0), "372")
    assert wires.anthropic(wires.merged([])) is None


@pytest.mark.parametrize(
    ("usage", "normal", "millionths"),
    [
        (GEMINI, (100, 50, 0, 0, 0), "600"),
        # 40·2 + 60·0.2 + 50·8
        (GEMINI | {"cachedContentTokenCount": 60}, (100, 50, 60, 0, 0), "492"),
        # Thoughts stand beside the candidates: 100·2 + 50·8 + 30·9
        (GEMINI | {"thoughtsTokenCount": 30, "totalTokenCount": 180}, (100, 80, 0, 0, 30), "870"),
        # What tools put into the prompt stands beside it, too: 125·2 + 50·8
        (GEMINI | {"toolUsePromptTokenCount": 25, "totalTokenCount": 175}, (125, 50, 0, 0, 0), "650"),
        # 100 = 30 text + 40 audio + 20 image + 10 video; cached 10 text + 20 audio; 20·2 + 10·0.2 + 20·3 + 20·40 + 30·2.1 + 45·8 + 5·30
        (
            GEMINI | {"promptTokensDetails": _modes(text=30, audio=40, image=20, video=10), "cachedContentTokenCount": 30,
                      "cacheTokensDetails": _modes(text=10, audio=20), "candidatesTokensDetails": _modes(text=45, image=5)},
            (100, 50, 30, 0, 0), "1475",
        ),
        # What is not told by modality is text: 60·2 + 40·40 + 50·80
        (GEMINI | {"promptTokensDetails": _modes(audio=40), "candidatesTokensDetails": _modes(audio=50)}, (100, 50, 0, 0, 0), "5720"),
        # The candidate was stopped
        ({"promptTokenCount": 100, "totalTokenCount": 100}, (100, 0, 0, 0, 0), "200"),
    ],
)  # fmt: skip
def test_gemini(usage: Any, normal: tuple[int, int, int, int, int], millionths: str) -> None:
    """Cached input is within the prompt, thoughts are not within the candidates."""
    check(wires.gemini(usage), normal, millionths)


@pytest.mark.parametrize(
    ("usage", "tier", "normal", "millionths"),
    [
        ({"inputTokens": 100, "outputTokens": 50, "totalTokens": 150}, None, (100, 50, 0, 0, 0), "600"),
        ({"inputTokens": 100, "outputTokens": 50, "totalTokens": 150}, "batch", (100, 50, 0, 0, 0), "300"),
        # 100·2 + 60·0.2 + 30·2.5 + 50·8
        ({"inputTokens": 100, "outputTokens": 50, "totalTokens": 240, "cacheReadInputTokens": 60, "cacheWriteInputTokens": 30}, "default", (190, 50, 60, 30, 0), "687"),
        # 100·2 + 10·2.5 + 20·4 + 50·8
        (
            {"inputTokens": 100, "outputTokens": 50, "totalTokens": 180, "cacheWriteInputTokens": 30,
             "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 20}]},
            "priority", (130, 50, 0, 30, 0), "1410",
        ),
    ],
)  # fmt: skip
def test_bedrock(usage: Any, tier: str | None, normal: tuple[int, int, int, int, int], millionths: str) -> None:
    """Cached input stands beside the input, whatever model answers."""
    check(wires.bedrock(usage, tier=tier), normal, millionths)


@pytest.mark.parametrize(
    ("usage", "normal", "millionths"),
    [
        ({"billed_units": {"input_tokens": 100, "output_tokens": 50}, "tokens": {"input_tokens": 160, "output_tokens": 50}}, (100, 50, 0, 0, 0), "600"),
        ({"tokens": {"input_tokens": 100, "output_tokens": 50.0}, "cached_tokens": 60}, (100, 50, 0, 0, 0), "600"),
        ({"billed_units": {"input_tokens": 100}}, (100, 0, 0, 0, 0), "200"),
    ],
)  # fmt: skip
def test_cohere(usage: Any, normal: tuple[int, int, int, int, int], millionths: str) -> None:
    """What they bill counts; without it what they counted."""
    check(wires.cohere(usage), normal, millionths)


@pytest.mark.parametrize(
    ("read", "usage", "where"),
    [
        (wires.openai_chat, CHAT | {"prompt_tokens": -1}, "prompt_tokens"),
        (wires.openai_chat, CHAT | {"prompt_tokens": "100"}, "prompt_tokens"),
        (wires.openai_chat, CHAT | {"prompt_tokens": True}, "prompt_tokens"),
        (wires.openai_chat, CHAT | {"prompt_tokens": 1.5}, "prompt_tokens"),
        (wires.openai_chat, CHAT | {"prompt_tokens": 10**15}, "prompt_tokens"),
        (wires.openai_chat, CHAT | {"completion_tokens": float("inf")}, "completion_tokens"),
        (wires.openai_chat, CHAT | {"total_tokens": 151}, "total_tokens"),
        (wires.openai_chat, CHAT | {"prompt_tokens_details": {"cached_tokens": 101}}, "prompt_tokens_details"),
        (wires.openai_chat, CHAT | {"prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 41}}, "prompt_tokens_details"),
        (wires.openai_chat, CHAT | {"prompt_tokens_details": {"audio_tokens": 60, "image_tokens": 41}}, "prompt_tokens_details"),
        (wires.openai_chat, CHAT | {"prompt_tokens_details": {"cached_tokens": 9, "cached_tokens_details": {"audio_tokens": 1}}}, "cached_tokens_details"),
        (wires.openai_chat, CHAT | {"completion_tokens_details": {"reasoning_tokens": 51}}, "completion_tokens_details"),
        (wires.openai_responses, CLAUDE | {"input_tokens_details": {"cache_write_tokens": 1, "cache_write_tokens_details": {"ttl_30m_tokens": 2}}}, "cache_write_tokens_details"),
        (wires.anthropic, CLAUDE | {"cache_read_input_tokens": -1}, "cache_read_input_tokens"),
        (wires.anthropic, CLAUDE | {"cache_creation_input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 2}}, "cache_creation"),
        (wires.anthropic, CLAUDE | {"output_tokens_details": {"thinking_tokens": 51}}, "output_tokens_details"),
        (wires.anthropic, CLAUDE | {"server_tool_use": {"web_search_requests": -1}}, "web_search_requests"),
        (wires.gemini, GEMINI | {"cachedContentTokenCount": 101}, "cachedContentTokenCount"),
        (wires.gemini, GEMINI | {"totalTokenCount": 149}, "totalTokenCount"),
        (wires.gemini, GEMINI | {"promptTokensDetails": _modes(text=101)}, "promptTokensDetails"),
        (wires.gemini, GEMINI | {"cachedContentTokenCount": 9, "cacheTokensDetails": _modes(audio=9)}, "cached_tokens_details"),
        (wires.bedrock, {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150, "cacheReadInputTokens": 60}, "totalTokens"),
        (wires.bedrock, {"inputTokens": 1, "cacheWriteInputTokens": 1, "cacheDetails": [{"ttl": "1h", "inputTokens": 2}]}, "cacheDetails"),
        (wires.cohere, {"billed_units": {"input_tokens": 100, "output_tokens": -1}}, "output_tokens"),
        (wires.cohere, {"tokens": {"input_tokens": "100"}}, "input_tokens"),
    ],
)  # fmt: skip
def test_usage_that_contradicts_itself_is_refused_with_the_field(read: Any, usage: Any, where: str) -> None:
    """Clipped, it would be a cost that nobody was billed."""
    with pytest.raises(ContradictoryUsage) as error:
        read(usage)
    assert (error.value.where, error.value.status) == (where, 422)


@pytest.mark.parametrize(
    "read", [wires.openai_chat, wires.openai_responses, wires.anthropic, wires.gemini, wires.bedrock, wires.cohere]
)
@pytest.mark.parametrize("usage", [None, {}, [], "", {"total_tokens": 5}, {"output": None}])
def test_a_usage_that_says_nothing_is_none(read: Any, usage: Any) -> None:
    """Which leaves the call unpriced, and is not zero."""
    assert read(usage) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (wires.openai_chat(CHAT, tier="scale"), "no_price:other"),
        (wires.openai_chat(CHAT, tier="flex"), "no_price:flex"),
        (wires.anthropic(CLAUDE | {"inference_geo": "us"}), "no_price:regional"),
        (wires.anthropic(CLAUDE | {"inference_geo": "us", "service_tier": "batch"}), "no_price:other"),
        (wires.anthropic(CLAUDE | {"server_tool_use": {"moon_shot_requests": 1}}), "no_price:other_tool"),
        (wires.anthropic(CLAUDE | {"inference_geo": ["us"]}), "no_price:regional"),
        (wires.cohere({"billed_units": {"input_tokens": 1, "search_units": 1}}), "no_price:other_tool"),
        (wires.gemini(GEMINI | {"trafficType": "PROVISIONED_THROUGHPUT"}), "no_price:other"),
        (wires.bedrock({"inputTokens": 1}, tier="regional"), "no_price:regional"),
    ],
)
def test_what_is_served_in_a_way_that_no_price_is_known_for_is_unpriced(found: Usage, reason: str) -> None:
    """Text of a provider never becomes a reason by itself."""
    cost = BOOK.price("p", "m", NOW, found)
    assert (cost.amount, cost.unpriced_reason) == (None, reason)


@settings(max_examples=300)
@given(st.lists(st.integers(0, 200), min_size=8, max_size=8))
def test_whatever_openai_says_is_refused_or_all_of_it_is_billed_once(counts: list[int]) -> None:
    """The classes add up to what the provider counts, and none is negative."""
    names = ("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens")
    usage = {
        "prompt_tokens": counts[0], "completion_tokens": counts[1],
        "prompt_tokens_details": dict(zip(names, counts[2:6], strict=True)),
        "completion_tokens_details": {"reasoning_tokens": counts[6], "audio_tokens": counts[7]},
    }  # fmt: skip
    fits = (
        counts[2] + counts[3] <= counts[0] and counts[4] + counts[5] <= counts[0] and counts[6] + counts[7] <= counts[1]
    )
    if not fits:
        with pytest.raises(ContradictoryUsage):
            wires.openai_chat(usage)
        return
    found = wires.openai_chat(usage)
    assert found is not None
    assert found.plausible()
    assert (found.input_tokens, found.output_tokens) == (counts[0], counts[1])
    assert found.cache_read_tokens == counts[2]
    assert found.cache_write_tokens == counts[3]


_counts = st.one_of(st.none(), st.integers(-2, 40), st.booleans(), st.floats(0, 9), st.just("3"))
_details = st.one_of(
    st.none(),
    st.just([]),
    st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens", "image_tokens"]), _counts),
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": _counts, "completion_tokens": _counts, "total_tokens": _counts,
            "prompt_tokens_details": _details, "completion_tokens_details": _details,
        },
    ),
    st.sampled_from([None, "flex", "auto"]),
)  # fmt: skip
@settings(max_examples=600, deadline=None)
def test_what_nearly_every_answer_says_is_read_as_by_the_long_way(usage: dict[str, Any], tier: str | None) -> None:
    """The short way gives the same, or leaves it to the long one."""
    short = wires._plain(usage, tier)
    if short is not None:
        assert short == wires._openai(usage, "prompt_tokens", "completion_tokens", tier, {})
