"""Vertex: the signed claim, the token and its life, one fetch for all who wait, and publishers by their own wires."""

import asyncio
import base64
import json
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.generative.gateway.upstreams.loopback import DEADLINES, Reply, call, loopback, make, texts

from gimbal.generative.gateway.provider import Refusal
from gimbal.kernel.errors import ConfigurationError, Upstream

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


ACCOUNT = {
    "type": "service_account",
    "project_id": "proj-1",
    "private_key_id": "kid-1",
    "private_key": pem(PRIVATE),
    "client_email": "gimbal@proj-1.iam.gserviceaccount.com",
    "token_uri": "http://169.254.169.254/evil",
}
TOKEN = "ya29.token-0123456789"


def token(number=0, expires_in=3600):
    return Reply(body=json.dumps({"access_token": f"{TOKEN}-{number}", "expires_in": expires_in}).encode())


@pytest.fixture
async def google():
    async with loopback() as app:
        app.replies = [token(number) for number in range(20)]
        yield app


@pytest.fixture
def vertex(up, google, http_client):
    return make(
        "vertex", http_client, f"{up.url}/v1", json.dumps(ACCOUNT), region="eu", token_url=f"{google.url}/token"
    )


async def test_the_claim_is_signed_as_google_wants_it(vertex, up, google):
    await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)

    form = parse_qs(google.last.body.decode())
    assert google.last.header("content-type") == "application/x-www-form-urlencoded"
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    head, claims, signature = form["assertion"][0].split(".")

    def part(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    PRIVATE.public_key().verify(part(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(part(head)) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    said = json.loads(part(claims))
    assert (said["iss"], said["aud"]) == (ACCOUNT["client_email"], f"{google.url}/token")
    assert said["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert said["exp"] - said["iat"] == 3600
    assert up.last.header("authorization") == f"Bearer {TOKEN}-0"


async def test_publishers_models_are_asked_in_their_places_by_their_wires(vertex, up):
    base = "/v1/projects/proj-1/locations/eu"
    stream = Reply(body=b'{"text":"a"}\n', headers=((b"content-type", b"text/event-stream"),))

    await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert up.last.target == f"{base}/publishers/google/models/gemini-x:generateContent"
    await vertex.open(call("anthropic.messages", max_tokens=5), "claude-x@20250101", DEADLINES)
    assert up.last.target == f"{base}/publishers/anthropic/models/claude-x@20250101:rawPredict"
    assert up.last.json["anthropic_version"] == "vertex-2023-10-16"
    assert up.last.json["max_tokens"] == 5
    assert "model" not in up.last.json
    await vertex.open(call("openai.chat"), "claude-x", DEADLINES)
    assert (up.last.json["from"], "model" in up.last.json) == ("conversation", False)
    await vertex.open(call("openai.chat"), "meta/llama-x", DEADLINES)
    assert up.last.target == f"{base}/endpoints/openapi/chat/completions"
    assert up.last.json["model"] == "meta/llama-x"
    up.replies = [stream]
    await texts(await vertex.open(call("gemini.generate", stream=True), "gemini-x", DEADLINES))
    assert up.last.target == f"{base}/publishers/google/models/gemini-x:streamGenerateContent?alt=sse"
    await texts(await vertex.open(call("anthropic.messages", stream=True), "claude-x", DEADLINES))
    assert up.last.target == f"{base}/publishers/anthropic/models/claude-x:streamRawPredict"


async def test_a_token_is_used_until_shortly_before_it_ends(vertex, up, google):
    now = [1_000_000.0]
    vertex._tokens._now = lambda: now[0]

    async def used():
        await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
        return up.last.header("authorization")[-1]

    assert [await used(), await used()] == ["0", "0"]
    now[0] += 3600 - 121
    assert await used() == "0"
    now[0] += 2
    assert [await used(), await used()] == ["1", "1"]
    assert len(google.sent) == 2


async def test_those_who_need_a_token_at_once_wait_for_one_fetch(vertex, up, google):
    gate = asyncio.Event()
    google.replies = [Reply(body=b'{"access_token":"once","expires_in":3600}', gate=gate)]

    calls = [asyncio.create_task(vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)) for _ in range(20)]
    await asyncio.wait_for(google.arrived.wait(), 5)
    gate.set()
    await asyncio.gather(*calls)

    assert len(google.sent) == 1
    assert {sent.header("authorization") for sent in up.sent} == {"Bearer once"}


async def test_a_token_that_is_refused_is_fetched_anew_once(vertex, up, google):
    up.replies = [Reply(401, b"{}"), Reply(), Reply(401, b"{}"), Reply(401, b'{"error":{"message":"no"}}')]

    answer = await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert await texts(answer) == ["hello"]
    assert [sent.header("authorization")[-1] for sent in up.sent] == ["0", "1"]
    with pytest.raises(Refusal) as caught:
        await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert (caught.value.status, len(up.sent), len(google.sent)) == (502, 4, 3)


async def test_a_fetch_that_fails_says_why_and_is_tried_again(vertex, up, google):
    google.replies = [
        Reply(400, b'{"error":"invalid_grant","error_description":"Invalid JWT"}'),
        Reply(body=b"<html>"),
        token(7),
    ]

    with pytest.raises(Upstream, match="invalid_grant") as caught:
        await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert ACCOUNT["client_email"] in caught.value.todo
    with pytest.raises(Upstream, match="none"):
        await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert up.sent == []
    await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert up.last.header("authorization") == f"Bearer {TOKEN}-7"


async def test_those_who_wait_for_a_fetch_that_fails_are_told_by_that_one(vertex, google):
    gate = asyncio.Event()
    google.replies = [Reply(500, b'{"error":"down"}', gate=gate)]

    calls = [asyncio.create_task(vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)) for _ in range(10)]
    await asyncio.wait_for(google.arrived.wait(), 5)
    calls[0].cancel()
    gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert [type(one) for one in results[1:]] == [Upstream] * 9
    assert len(google.sent) == 1


async def test_a_token_that_is_still_good_is_used_while_no_other_is_given(vertex, up, google):
    now = [1_000_000.0]
    vertex._tokens._now = lambda: now[0]
    google.replies = [token(0), Reply(503, b"{}")]

    async def used():
        await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
        return up.last.header("authorization")[-1]

    assert await used() == "0"
    now[0] += 3600 - 60
    assert [await used(), await used()] == ["0", "0"]
    assert len(google.sent) == 2
    now[0] += 6
    assert await used() == "0"
    assert len(google.sent) == 3
    now[0] += 50
    with pytest.raises(Upstream, match="503"):
        await used()


async def test_a_token_that_was_replaced_meanwhile_is_not_thrown_away(vertex, up, google):
    await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    late = [(b"authorization", b"Bearer one-that-was-used-before")]

    assert vertex.stale(late)
    await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert len(google.sent) == 1
    assert vertex.stale([(b"authorization", f"Bearer {TOKEN}-0".encode())])
    await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    assert len(google.sent) == 2


async def test_neither_token_nor_key_is_in_what_is_said(vertex, up):
    up.replies = [Reply(), Reply(400, f'{{"error":{{"message":"bad {TOKEN}-0"}}}}'.encode())]
    await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)
    with pytest.raises(Refusal) as caught:
        await vertex.open(call("gemini.generate"), "gemini-x", DEADLINES)

    assert TOKEN not in f"{caught.value}{caught.value.body_sent!r}"
    assert "PRIVATE KEY" not in f"{vertex!r}{vertex._account!r}"


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("", "https://aiplatform.googleapis.com/v1/projects/proj-1/locations/global"),
        ("global", "https://aiplatform.googleapis.com/v1/projects/proj-1/locations/global"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com/v1/projects/proj-1/locations/europe-west4"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1/projects/proj-1/locations/eu"),
    ],
)
async def test_the_location_is_in_the_host(http_client, region, url):
    provider = make("vertex", http_client, "", json.dumps(ACCOUNT), region=region)

    assert f"https://{provider._origin.host}{provider._base}" == url


@pytest.mark.parametrize(
    ("key", "settings", "where"),
    [
        ("not json", {}, "key"),
        (json.dumps({"client_email": "a"}), {}, "key"),
        (json.dumps(ACCOUNT | {"private_key": "secret-words"}), {}, "key"),
        (json.dumps(ACCOUNT | {"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}), {}, "key"),
        (json.dumps(ACCOUNT), {"region": "evil.com/"}, "region"),
        (json.dumps(ACCOUNT), {"account": "a/b"}, "account"),
        (json.dumps(ACCOUNT | {"project_id": ""}), {}, "account"),
    ],
)
async def test_what_is_no_service_account_is_refused_without_saying_it(http_client, key, settings, where):
    with pytest.raises(ConfigurationError) as caught:
        make("vertex", http_client, "", key, **settings)

    assert caught.value.where == where
    assert "secret-words" not in str(caught.value)
