"""What is sent to each kind of provider: path, headers and body, whole and streamed, by its own wire and by others."""

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Reply, call, make, texts

from gimbal.generative.gateway.providers.upstreams.kinds import kinds
from gimbal.kernel.errors import ConfigurationError

STREAM = Reply(body=b'{"text":"a"}\n{"text":"b"}\n', headers=((b"content-type", b"text/event-stream"),))
EXPECTED = {
    # kind: wire, path below the address, for streams, the header with the key
    "openai": ("openai.chat", "/chat/completions", "/chat/completions", ("authorization", f"Bearer {KEY}")),
    "vllm": ("openai.chat", "/chat/completions", "/chat/completions", ("authorization", f"Bearer {KEY}")),
    "mistral": ("openai.chat", "/chat/completions", "/chat/completions", ("authorization", f"Bearer {KEY}")),
    "azure": ("openai.chat", "/openai/v1/chat/completions", "/openai/v1/chat/completions", ("api-key", KEY)),
    "anthropic": ("anthropic.messages", "/v1/messages", "/v1/messages", ("x-api-key", KEY)),
    "gemini": (
        "gemini.generate",
        "/models/m-1:generateContent",
        "/models/m-1:streamGenerateContent?alt=sse",
        ("x-goog-api-key", KEY),
    ),
    "cohere": ("cohere.chat", "/v2/chat", "/v2/chat", ("authorization", f"Bearer {KEY}")),
    "bedrock": (
        "bedrock.converse",
        "/model/m-1/converse",
        "/model/m-1/converse-stream",
        ("authorization", f"Bearer {KEY}"),
    ),
}
EXTRA = {"bedrock": {"region": "eu-central-1"}}


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_call_by_its_own_wire_goes_on_as_it_came(up, http_client, kind, streamed):
    wire, path, stream_path, (name, value) = EXPECTED[kind]
    provider = make(kind, http_client, up.url, **EXTRA.get(kind, {}))
    up.replies = [STREAM if streamed else Reply()]

    answer = await provider.open(call(wire, stream=streamed, max_tokens=9, unknown={"x": 1}), "m-1", DEADLINES)
    got = await texts(answer)

    assert got == (["a", "b"] if streamed else ["hello"])
    assert answer.same
    assert up.last.method == "POST"
    assert up.last.target == (stream_path if streamed else path)
    assert up.last.header(name) == value
    assert up.last.header("content-type") == "application/json"
    assert up.last.header("user-agent") == "gimbal"
    assert up.last.json["model"] == "m-1"
    assert up.last.json["unknown"] == {"x": 1}
    assert KEY not in up.last.target + up.last.body.decode()


@pytest.mark.parametrize("kind", EXPECTED)
async def test_a_call_by_another_wire_is_turned_into_its_main_one(up, http_client, kind):
    wire = EXPECTED[kind][0]
    other = "anthropic.messages" if wire != "anthropic.messages" else "openai.chat"
    provider = make(kind, http_client, up.url, **EXTRA.get(kind, {}))

    answer = await provider.open(call(other, unknown=1), "m-1", DEADLINES)

    assert await texts(answer) == ["hello"]
    assert not answer.same
    assert up.last.target == EXPECTED[kind][1]
    assert up.last.json["from"] == "conversation"
    assert "unknown" not in up.last.json


async def test_the_callers_own_wire_is_kept_where_the_provider_speaks_it(up, http_client):
    provider = make("openai", http_client, up.url)

    assert (await provider.open(call("openai.responses"), "gpt-x", DEADLINES)).same
    assert up.last.target == "/responses"


async def test_models_that_answer_by_one_wire_only_are_asked_by_it(up, http_client):
    provider = make("openai", http_client, up.url)

    for model in ("o1-pro", "gpt-5-pro", "o4-mini-deep-research", "gpt-5.1-codex"):
        answer = await provider.open(call("openai.chat"), model, DEADLINES)
        assert (answer.same, up.last.target) == (False, "/responses")
    assert (await provider.open(call("openai.chat"), "gpt-5", DEADLINES)).same


async def test_quirks_are_applied_and_nothing_else_is_touched(up, http_client):
    openai, mistral, vllm = (make(kind, http_client, up.url) for kind in ("openai", "mistral", "vllm"))

    await openai.open(call(max_tokens=9, seed=1), "o3-mini", DEADLINES)
    assert {"max_completion_tokens": 9, "seed": 1}.items() <= up.last.json.items()
    assert "max_tokens" not in up.last.json
    await openai.open(call(max_tokens=9), "gpt-4o", DEADLINES)
    assert up.last.json["max_tokens"] == 9
    await mistral.open(call(max_completion_tokens=9, seed=1, user="u", top_k=3), "mistral-large", DEADLINES)
    assert {"max_tokens": 9, "random_seed": 1, "top_k": 3}.items() <= up.last.json.items()
    assert not {"max_completion_tokens", "seed", "user"} & up.last.json.keys()
    await vllm.open(call(max_completion_tokens=9, user="u"), "m", DEADLINES)
    assert {"max_completion_tokens": 9, "user": "u"}.items() <= up.last.json.items()


async def test_what_the_wire_adds_to_streams_is_taken_out_where_it_is_refused(up, http_client):
    up.replies = [STREAM]

    await texts(await make("mistral", http_client, up.url).open(call(stream=True), "mistral-large", DEADLINES))
    assert "stream_options" not in up.last.json
    await texts(await make("vllm", http_client, up.url).open(call(stream=True), "m", DEADLINES))
    assert up.last.json["stream_options"] == {"include_usage": True}


async def test_a_limit_that_both_names_have_is_said_once(up, http_client):
    await make("mistral", http_client, up.url).open(call(max_tokens=5, max_completion_tokens=9), "m", DEADLINES)

    assert up.last.json["max_tokens"] == 5
    assert "max_completion_tokens" not in up.last.json


async def test_a_field_that_is_wanted_and_was_not_given_is_added(up, http_client):
    provider = make("anthropic", http_client, up.url)

    await provider.open(call("anthropic.messages"), "claude-x", DEADLINES)
    assert up.last.json["max_tokens"] == 4096
    await provider.open(call("anthropic.messages", max_tokens=3), "claude-x", DEADLINES)
    assert up.last.json["max_tokens"] == 3


async def test_only_headers_that_mean_something_to_the_provider_go_on(up, http_client):
    given = (
        (b"anthropic-beta", b"x-1"),
        (b"anthropic-version", b"2023-01-01"),
        (b"idempotency-key", b"k"),
        (b"x-stainless-lang", b"python"),
        (b"authorization", b"Bearer gk_of_the_caller"),
        (b"x-api-key", b"gk_of_the_caller"),
        (b"cookie", b"a=b"),
    )
    provider = make("anthropic", http_client, up.url)

    await provider.open(call("anthropic.messages", given, max_tokens=1), "claude-x", DEADLINES)
    assert up.last.header("anthropic-beta") == "x-1"
    assert up.last.header("anthropic-version") == "2023-01-01"
    assert up.last.header("idempotency-key") == "k"
    assert up.last.header("x-api-key") == KEY
    assert [
        name for name, _ in up.last.headers if name.startswith("x-stainless") or name in {"authorization", "cookie"}
    ] == []
    await provider.open(call("openai.chat", given), "claude-x", DEADLINES)
    assert up.last.header("anthropic-beta") is None
    assert up.last.header("anthropic-version") == "2023-06-01"


async def test_headers_of_the_settings_are_sent_and_those_with_keys_refused(up, http_client):
    provider = make("openrouter", http_client, up.url, headers={"X-Team": "gold"})

    await provider.open(call(headers=((b"x-title", b"app"), (b"http-referer", b"https://a"))), "a/b", DEADLINES)
    assert [up.last.header(name) for name in ("x-team", "x-title", "http-referer")] == ["gold", "app", "https://a"]
    assert up.last.json["model"] == "a/b"
    for name, value in [("Authorization", "x"), ("x-api-key", "x"), ("a b", "x"), ("x-a", "b\r\nc: d"), ("x-a", "ü")]:
        with pytest.raises(ConfigurationError, match="cannot be set"):
            make("vllm", http_client, up.url, headers={name: value})


async def test_azure_puts_deployments_and_the_version_into_the_path(up, http_client):
    provider = make(
        "azure", http_client, f"{up.url}/openai/v1/", api_version="2024-10-21", deployments={"gpt-4o": "my 4o/eu"}
    )

    await provider.open(call(), "gpt-4o", DEADLINES)
    assert up.last.target == "/openai/deployments/my%204o%2Feu/chat/completions?api-version=2024-10-21"
    assert up.last.json["model"] == "my 4o/eu"
    await provider.open(call("openai.responses"), "emb", DEADLINES)
    assert up.last.target == "/openai/responses?api-version=2024-10-21"
    assert await provider.models() == ["gpt-4o"]
    with pytest.raises(ConfigurationError, match="no version"):
        make("azure", http_client, up.url, api_version="2024&x=1")


async def test_names_of_models_cannot_leave_their_place_in_a_path(up, http_client):
    gemini = make("gemini", http_client, up.url)
    bedrock = make("bedrock", http_client, up.url, region="us-east-1")

    await gemini.open(call("gemini.generate"), "x?key=1#y z", DEADLINES)
    assert up.last.target == "/models/x%3Fkey%3D1%23y%20z:generateContent"
    await gemini.open(call("gemini.generate"), "tunedModels/mine", DEADLINES)
    assert up.last.target == "/tunedModels/mine:generateContent"
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x-v1:0"
    await bedrock.open(call("bedrock.converse"), arn, DEADLINES)
    assert up.last.target == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-x-v1%3A0/converse"
    )


async def test_without_a_key_no_header_is_sent(up, http_client):
    await make("vllm", http_client, up.url, key="").open(call(), "m", DEADLINES)

    assert up.last.header("authorization") is None


@pytest.mark.parametrize(
    "url",
    ["ftp://a/v1", "http://", "//a", "http://u:p@a/v1", "http://a:99999/v1", "http://a/v1?x=1", "http://a/\r\nx", "x"],
)
async def test_an_address_that_is_none_is_refused(http_client, url):
    with pytest.raises(ConfigurationError) as caught:
        make("openai", http_client, url)

    assert "p@a" not in str(caught.value)


async def test_names_of_models_do_not_fill_the_memory(up, http_client):
    provider = make("vllm", http_client, up.url)

    for number in range(3000):
        provider._build(f"m{number}", call().wire)

    assert len(provider._roads) <= 1024


def test_every_kind_can_be_made_and_every_quirk_says_why():
    for kind in kinds().values():
        assert kind.wires or kind.by == "local"
        assert all(quirk.reason.endswith(".") for quirk in (*kind.quirk, *kind.only))
        assert not kind.found or kind.key_env
        assert set(kind.wires) >= {wire for quirk in kind.quirk for wire in quirk.wires}
