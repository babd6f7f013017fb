"""What an answer with an error status becomes, and what of it may be seen."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.generative.gateway.upstreams.loopback import DEADLINES, KEY, Plain, Reply, call, make, texts

from gimbal.engines.http.model import Broken, TooSlow, Unreachable
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.providers.upstreams.refusals import refusal, retry_after, said
from gimbal.kernel.errors import Upstream

JSON = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("status", "meant", "code"),
    [
        (400, 400, "bad_input"),
        (401, 502, "upstream"),
        (402, 502, "upstream"),
        (403, 502, "upstream"),
        (404, 404, "not_found"),
        (408, 504, "deadline_exceeded"),
        (409, 502, "upstream"),
        (413, 413, "too_large"),
        (422, 422, "unprocessable"),
        (429, 429, "busy"),
        (500, 502, "upstream"),
        (503, 503, "unavailable"),
        (529, 503, "unavailable"),
        (301, 502, "upstream"),
        (600, 502, "upstream"),
    ],
)
async def test_a_status_means_what_the_caller_can_do_about_it(status, meant, code):
    found = refusal("up", status, b'{"error":{"message":"so","param":"n"}}', [], wire="openai.chat")

    assert (found.status, found.code, found.provider_status) == (meant, code, status)
    assert found.message == f"up answered {status}: so"
    assert found.where == "n"
    assert found.wire == "openai.chat"
    assert bool(found.body_sent) == (status not in {401, 403})


async def test_a_refusal_keeps_the_body_and_what_it_says_of_limits(up, http_client):
    body = b'{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}'
    headers = (
        JSON,
        (b"retry-after", b"7"),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"x-request-id", b"req_1"),
        (b"set-cookie", b"a=b"),
        (b"server", b"cloudflare"),
        (b"openai-organization", b"our-org"),
    )
    up.replies = [Reply(429, body, headers)]

    with pytest.raises(Refusal) as caught:
        await make("openai", http_client, up.url).open(call(), "gpt-4o", DEADLINES)

    assert (caught.value.status, caught.value.retry_after, caught.value.body_sent) == (429, 7.0, body)
    assert dict(caught.value.headers) == dict(headers[1:4])


async def test_an_answer_hands_on_what_the_caller_may_see(up, http_client):
    headers = (JSON, (b"anthropic-ratelimit-requests-limit", b"5"), (b"request-id", b"r"), (b"via", b"x"))
    up.replies = [Reply(headers=headers)]

    answer = await make("anthropic", http_client, up.url).open(call("anthropic.messages"), "claude-x", DEADLINES)

    assert dict(answer.headers) == dict(headers[1:3])


async def test_our_key_is_in_nothing_that_a_provider_says_of_it(up, http_client):
    provider = make("vllm", http_client, up.url)
    for status in (400, 401, 403, 429, 500):
        up.replies = [Reply(status, json.dumps({"error": {"message": f"bad key Bearer {KEY}", "key": KEY}}).encode())]
        with pytest.raises(Refusal) as caught:
            await provider.open(call(), "m", DEADLINES)
        seen = f"{caught.value!r}{caught.value}{caught.value.as_json()!r}{caught.value.body_sent!r}"
        assert KEY not in seen
    assert KEY not in f"{provider!r}{vars(provider)['_setup']!r}"
    half = b'{"error":{"message":"Incorrect API key provided: sk-ab***************7890."}}'
    assert "sk-ab" not in str(refusal("up", 401, half, [], wire=""))


async def test_a_wrong_key_is_our_fault_even_where_the_status_says_otherwise(up, http_client):
    body = b'{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}'
    up.replies = [Reply(400, body)]

    with pytest.raises(Refusal) as caught:
        await make("gemini", http_client, up.url).open(call("gemini.generate"), "gemini-x", DEADLINES)

    assert (caught.value.status, caught.value.provider_status) == (502, 400)
    assert "key of the provider" in caught.value.todo


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"a"}}', "a"),
        (b'{"type":"error","error":{"type":"x","message":"a"}}', "a"),
        (b'[{"error":{"code":400,"message":"a"}}]', "a"),
        (b'{"message":"a"}', "a"),
        (b'{"Message":"a"}', "a"),
        (b'{"error":"a","error_type":"generation"}', "a"),
        (b'{"detail":"a"}', "a"),
        (b'{"object":"error","message":{"detail":[1]}}', '{"detail":[1]}'),
        (b"<html>a</html>", "<html>a</html>"),
        (b"", ""),
        (b"\xff\xfe", "��"),
        (b'"a"', "a"),
    ],
)
def test_the_words_are_found_in_every_form_of_error(body, message):
    assert said(body)[0] == message


@given(st.binary(max_size=200))
def test_any_body_of_an_error_is_read(body):
    words, param = said(body)

    assert isinstance(words, str)
    assert isinstance(param, str)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after", b"7")], 7.0),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"7")], 0.25),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:02:00 GMT")], 20.0),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:00:10 GMT")], 0.0),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"1e99")], None),
        ([(b"retry-after", b"Thu, 99 Jan 1970 00:02:00 GMT")], None),
        ([], None),
    ],
)
def test_the_time_to_wait_is_read_in_each_form(headers, seconds):
    assert retry_after(headers, lambda: 100.0) == seconds


async def test_a_long_error_is_read_as_far_as_is_of_use(up, http_client):
    up.replies = [Reply(500, b"x" * 1_000_000, ((b"content-type", b"text/plain"),))]

    with pytest.raises(Refusal) as caught:
        await make("vllm", http_client, up.url).open(call(), "m", DEADLINES)

    assert len(caught.value.body_sent) == 65_536
    assert len(caught.value.message) < 600


async def test_who_says_too_much_is_not_listened_to(up, http_client):
    up.replies = [Reply(500, b"x" * 100_000, ((b"content-type", b"text/plain"),), gate=asyncio.Event())]

    with pytest.raises(Refusal):
        await make("vllm", http_client, up.url).open(call(), "m", DEADLINES)

    await asyncio.wait_for(up.gone.wait(), 5)


async def test_faults_of_the_connection_name_the_provider(up, http_client):
    gone = make("vllm", http_client, "http://127.0.0.1:9/v1", name="gone")
    with pytest.raises(Unreachable, match="gone"):
        await gone.open(call(), "m", DEADLINES)

    up.replies = [Reply(body=b"", gate=asyncio.Event())]
    slow = make("vllm", http_client, up.url, name="slow", timeout_s=0.05)
    with pytest.raises(TooSlow, match="slow"):
        await slow.open(call(), "m", DEADLINES)
    up.replies = [
        Reply(body=b'{"text":"a"}\n{"te', headers=((b"content-type", b"text/event-stream"),), gate=asyncio.Event())
    ]
    answer = await slow.open(call(stream=True), "m", DEADLINES)
    with pytest.raises(TooSlow, match="slow"):
        await texts(answer)
    await asyncio.wait_for(up.gone.wait(), 5)

    up.replies = [Reply(body=b"abc", headers=((b"content-length", b"100"), (b"content-type", b"text/event-stream")))]
    answer = await make("vllm", http_client, up.url, name="cut").open(call(stream=True), "m", DEADLINES)
    with pytest.raises(Broken, match="cut"):
        await texts(answer)


async def test_an_answer_whose_last_word_had_come_is_whole_though_the_connection_broke(up, http_client):
    headers = ((b"content-length", b"100"), (b"content-type", b"text/event-stream"))
    up.replies = [Reply(body=b'{"text":"a"}\n{"text":"b"}\n', headers=headers)]

    answer = await make("vllm", http_client, up.url).open(call(stream=True), "m", DEADLINES)

    assert await texts(answer) == ["a", "b"]


async def test_a_key_in_an_answer_that_is_none_is_not_shown(up, http_client):
    provider = make("vllm", http_client, up.url)
    up.replies = [Reply(body=b"{}")]
    wire = Plain("openai.chat")
    wire.reader = Echoing

    with pytest.raises(Upstream) as caught:
        await provider.open(Call(wire, call().asked), "m", DEADLINES)

    assert str(caught.value) == "up: it says ***"


class Echoing:
    def __init__(self, provider, *, stream):
        self.provider = provider

    def whole(self, body):
        raise Upstream(f"it says {KEY}")


async def test_a_stream_that_is_left_stops_the_provider(up, http_client):
    gate = asyncio.Event()
    up.replies = [Reply(body=b'{"text":"a"}\n', headers=((b"content-type", b"text/event-stream"),), gate=gate)]
    answer = await make("vllm", http_client, up.url).open(call(stream=True), "m", DEADLINES)
    assert answer.pieces is not None
    async for piece in answer.pieces:
        assert piece.text == "a"
        break
    await answer.aclose()
    await answer.aclose()

    await asyncio.wait_for(up.gone.wait(), 5)


async def test_an_answer_that_was_to_be_a_stream_and_is_none_is_read_whole(up, http_client):
    provider = make("vllm", http_client, up.url)
    answer = await provider.open(call(stream=True), "m", DEADLINES)
    assert (answer.same, await texts(answer)) == (False, ["hello"])

    up.replies = [Reply(body=b'{"error":"no"}')]
    with pytest.raises(Upstream, match="something else"):
        await provider.open(call(stream=True), "m", DEADLINES)


async def test_an_answer_that_is_too_large_is_refused(up, http_client):
    provider = make("vllm", http_client, up.url)
    provider.most_bytes = 1000
    up.replies = [Reply(body=b'{"text":"' + b"x" * 2000 + b'"}')]

    with pytest.raises(Upstream, match="1000"):
        await provider.open(call(), "m", DEADLINES)
