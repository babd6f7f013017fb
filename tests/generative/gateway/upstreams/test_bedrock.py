"""Amazon's signature against its own published examples and its own library, and what Bedrock is sent."""

import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from tests.generative.gateway.upstreams.loopback import DEADLINES, Reply, call, make, texts

from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.providers.upstreams.aws import AwsKey, aws_key, signed
from gimbal.kernel.errors import ConfigurationError

AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
EXAMPLE = AwsKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
HOST = "example.amazonaws.com"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSECRETKEY"
KEY = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET}
# Names and signatures of Amazon's published test suite of version 4.
SUITE = {
    "get-vanilla": ("GET", "/", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "post-vanilla": ("POST", "/", [], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "get-vanilla-query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        [],
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-header-key-duplicate": (
        "GET",
        "/",
        [(b"my-header1", b"value2"), (b"my-header1", b"value2"), (b"my-header1", b"value1")],
        b"",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-trim": (
        "GET",
        "/",
        [(b"My-Header1", b" value1"), (b"My-Header2", b' "a   b   c"')],
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-x-www-form-urlencoded": (
        "POST",
        "/",
        [(b"content-type", b"application/x-www-form-urlencoded")],
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


def proof(headers):
    return dict(headers)[b"authorization"].decode()


@pytest.mark.parametrize("name", SUITE)
def test_the_published_examples_are_signed_as_published(name):
    method, target, headers, body, signature = SUITE[name]
    made = signed(
        EXAMPLE,
        method=method,
        host=HOST,
        target=target.encode(),
        headers=headers,
        body=body,
        region="us-east-1",
        service="service",
        at=AT,
    )

    assert proof(made).endswith(f"Signature={signature}")
    assert "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request" in proof(made)
    assert dict(made)[b"x-amz-date"] == b"20150830T123600Z"


def by_amazon(key, *, host, target, headers, body, region, stamp):
    request = AWSRequest(method="POST", url=f"https://{host}{target}", headers=headers, data=body)
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    if key.session_token:
        request.headers["X-Amz-Security-Token"] = key.session_token
    auth = SigV4Auth(
        Credentials(key.access_key_id, key.secret_access_key, key.session_token or None), "bedrock", region
    )
    text = auth.canonical_request(request)
    return auth.signature(auth.string_to_sign(request, text), request)


@given(st.text(min_size=1, max_size=80), st.binary(max_size=200), st.sampled_from(["", "token+/=="]))
def test_any_model_and_body_is_signed_as_amazons_library_signs_it(model, body, session):
    key = AwsKey("AKID", "secret", session)
    model = model.encode(errors="surrogatepass").decode(errors="replace")
    target = f"/model/{quote(model, safe='')}/converse-stream"
    made = signed(
        key,
        method="POST",
        host="bedrock-runtime.eu-central-1.amazonaws.com",
        target=target.encode(),
        headers=[(b"user-agent", b"gimbal"), (b"content-type", b"application/json")],
        body=body,
        region="eu-central-1",
        service="bedrock",
        at=AT,
    )
    theirs = by_amazon(
        key,
        host="bedrock-runtime.eu-central-1.amazonaws.com",
        target=target,
        headers={"content-type": "application/json"},
        body=body,
        region="eu-central-1",
        stamp="20150830T123600Z",
    )

    assert proof(made).rpartition("=")[2] == theirs


@pytest.mark.parametrize("session", ["", "session-token-0123456789"])
async def test_what_is_sent_is_what_was_signed(up, http_client, session):
    key = KEY | ({"session_token": session} if session else {})
    provider = make("bedrock", http_client, up.url, json.dumps(key), region="us-west-2")
    arn = "arn:aws:bedrock:us-west-2:1:inference-profile/us.anthropic.claude-x-v1:0"

    await provider.open(call("bedrock.converse", text="grüße"), arn, DEADLINES)

    sent = up.last
    found = sent.header("authorization")
    listed = found.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert "host" in listed
    assert ("x-amz-security-token" in listed) == bool(session)
    assert sent.header("x-amz-security-token") == (session or None)
    theirs = by_amazon(
        aws_key(json.dumps(key), "up"),
        host=sent.header("host"),
        target=sent.target,
        headers={name: sent.header(name) for name in listed if not name.startswith(("x-amz", "host"))},
        body=sent.body,
        region="us-west-2",
        stamp=sent.header("x-amz-date"),
    )
    assert found.endswith(f"Signature={theirs}")
    assert SECRET not in f"{sent.headers}{provider!r}{provider._aws!r}"


async def test_a_key_of_bedrocks_own_is_sent_as_a_bearers(up, http_client):
    await make("bedrock", http_client, up.url, "bedrock-api-key-x", region="us-east-1").open(
        call("bedrock.converse"), "m", DEADLINES
    )

    assert up.last.header("authorization") == "Bearer bedrock-api-key-x"
    assert up.last.header("x-amz-date") is None


async def test_throttling_is_told_as_such(up, http_client):
    headers = ((b"content-type", b"application/json"), (b"x-amzn-requestid", b"r-1"))
    up.replies = [Reply(429, b'{"message":"Too many requests, please wait"}', headers)]
    provider = make("bedrock", http_client, up.url, json.dumps(KEY), region="us-east-1")

    with pytest.raises(Refusal, match="Too many requests") as caught:
        await provider.open(call("bedrock.converse"), "m", DEADLINES)

    assert (caught.value.status, dict(caught.value.headers)) == (429, {b"x-amzn-requestid": b"r-1"})
    up.replies = [Reply(403, b'{"message":"The security token included in the request is expired"}')]
    with pytest.raises(Refusal) as caught:
        await provider.open(call("bedrock.converse"), "m", DEADLINES)
    assert (caught.value.status, len(up.sent)) == (502, 2)


async def test_streams_are_signed_too(up, http_client):
    up.replies = [Reply(body=b'{"text":"a"}\n', headers=((b"content-type", b"application/vnd.amazon.eventstream"),))]
    provider = make("bedrock", http_client, up.url, json.dumps(KEY), region="us-east-1")

    assert await texts(await provider.open(call("bedrock.converse", stream=True), "m", DEADLINES)) == ["a"]
    assert up.last.target == "/model/m/converse-stream"
    assert up.last.header("authorization").startswith("AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize("region", ["", "us-east-1.evil.com/", "US"])
async def test_a_region_that_is_none_is_refused(http_client, region):
    with pytest.raises(ConfigurationError) as caught:
        make("bedrock", http_client, "", json.dumps(KEY), region=region)

    assert caught.value.where == "region"


@pytest.mark.parametrize("key", ['{"access_key_id":"AKID"}', "{", '{"secret_access_key":"very-secret"}'])
async def test_a_key_that_is_none_is_refused_without_saying_it(http_client, key):
    with pytest.raises(ConfigurationError) as caught:
        make("bedrock", http_client, "", key, region="us-east-1")

    assert "very-secret" not in str(caught.value)


async def test_the_region_is_in_the_host(http_client):
    provider = make("bedrock", http_client, "", json.dumps(KEY), region="eu-central-1")

    assert provider._origin == ("https", "bedrock-runtime.eu-central-1.amazonaws.com", 443)
