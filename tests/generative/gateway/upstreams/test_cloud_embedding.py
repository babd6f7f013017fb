"""Vectors of the clouds: Bedrock's by InvokeModel, Vertex' by predict, as each is asked, and what each cannot do."""

import asyncio
import json
import math
import struct
from base64 import b64decode

import pytest
from tests.generative.gateway.upstreams.loopback import DEADLINES, Reply, make
from tests.generative.gateway.upstreams.test_vertex import ACCOUNT, google, token  # noqa: F401 - a fixture
from tests.upstreams import serve

from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.generative.gateway.wire.openai_embeddings import WIRE
from gimbal.kernel.errors import BadInput, Upstream

KEY = json.dumps({"access_key_id": "AKID", "secret_access_key": "secret-0123456789", "session_token": "sess-012345"})
TITAN_1, TITAN_2 = "amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0"
COHERE_3, COHERE_4 = "cohere.embed-multilingual-v3", "us.cohere.embed-v4:0"


def asked(given=("hello",), **more):
    return WIRE.asked(json.dumps({"model": "x", "input": list(given), **more}).encode(), {})


def bedrock(http_client, url):
    return make("bedrock", http_client, url, KEY, region="eu-central-1", wires=wire_named)


def vertex(http_client, url, token_url):
    return make(
        "vertex", http_client, f"{url}/v1", json.dumps(ACCOUNT), region="eu", token_url=token_url, wires=wire_named
    )


def rows(found):
    return [list(row) for row in found.vectors.vectors]


class Titan:
    """Answers each text with a vector of its own, the later ones first; and counts how many ask at once."""

    def __init__(self):
        self.waiting = self.most = 0
        self.sent = []
        self.refuses = ""

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        text = json.loads(body)["inputText"]
        self.sent.append((scope["raw_path"].decode(), dict(scope["headers"]), json.loads(body)))
        number = int(text)
        for _ in range(20 - number % 20):
            await asyncio.sleep(0)
        self.waiting -= 1
        status, said = 200, {"embedding": [float(number), 0.5], "inputTextTokenCount": number}
        if text == self.refuses:
            status, said = 429, {"message": "Too many requests"}
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})


async def test_titan_is_asked_for_each_text_and_the_answers_stand_in_their_order(http_client):
    app = Titan()
    async with serve(app) as url:
        numbers = list(range(40))
        found = await bedrock(http_client, url).embed(WIRE, asked(map(str, numbers)), TITAN_2, DEADLINES)

    assert rows(found) == [[float(number), 0.5] for number in numbers]
    assert found.vectors.usage.input_tokens == sum(numbers)
    assert 1 < app.most <= 8
    assert {path for path, _, _ in app.sent} == {"/model/amazon.titan-embed-text-v2%3A0/invoke"}
    assert all(head[b"x-amz-security-token"] == b"sess-012345" for _, head, _ in app.sent)
    assert all(b"/eu-central-1/bedrock/aws4_request" in head[b"authorization"] for _, head, _ in app.sent)


async def test_one_text_that_is_refused_refuses_the_request(http_client):
    app = Titan()
    app.refuses = "3"
    async with serve(app) as url:
        with pytest.raises(Refusal, match="Too many") as caught:
            await bedrock(http_client, url).embed(WIRE, asked(map(str, range(40))), TITAN_2, DEADLINES)

    assert caught.value.status == 429
    assert len(app.sent) < 40


async def test_the_length_of_titans_vectors_is_said_or_refused_by_name(up, http_client):
    up.replies = [Reply(body=b'{"embedding":[0.5],"inputTextTokenCount":2,"embeddingsByType":{"float":[0.5]}}')]
    provider = bedrock(http_client, up.url)

    await provider.embed(WIRE, asked(dimensions=256), TITAN_2, DEADLINES)
    assert up.last.json == {"inputText": "hello", "dimensions": 256}
    await provider.embed(WIRE, asked(), TITAN_1, DEADLINES)
    assert up.last.json == {"inputText": "hello"}
    for model, more, where in (
        (TITAN_1, {"dimensions": 256}, "dimensions"),
        (TITAN_2, {"input_type": "query"}, "input_type"),
        (COHERE_3, {"dimensions": 256}, "dimensions"),
        (TITAN_2, {"truncate": "START"}, "truncate"),
        (COHERE_4, {"encoding_format": "hex"}, "encoding_format"),
    ):
        with pytest.raises(BadInput) as caught:
            await provider.embed(WIRE, asked(**more), model, DEADLINES)
        assert caught.value.where == where
    with pytest.raises(BadInput, match="Tokens"):
        await provider.embed(WIRE, asked([[1, 2]]), TITAN_2, DEADLINES)
    assert len(up.sent) == 2


async def test_cohere_on_bedrock_is_asked_by_its_own_wire_and_counted_by_bedrocks_header(up, http_client):
    body = b'{"id":"1","response_type":"embeddings_by_type","embeddings":{"float":[[0.5],[1.5]]},"texts":["a","b"]}'
    up.replies = [Reply(body=body, headers=((b"x-amzn-bedrock-input-token-count", b"7"),))]

    found = await bedrock(http_client, up.url).embed(
        WIRE, asked(["a", "b"], dimensions=512, input_type="query"), COHERE_4, DEADLINES
    )

    assert up.last.target == "/model/us.cohere.embed-v4%3A0/invoke"
    assert up.last.json == {
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 512,
    }
    assert (rows(found), found.vectors.usage.input_tokens) == ([[0.5], [1.5]], 7)


async def test_more_texts_than_cohere_takes_are_several_requests(up, http_client):
    def reply(count):
        floats = [[float(count)]] * count
        return Reply(
            body=json.dumps({"embeddings": {"float": floats}}).encode(),
            headers=((b"x-amzn-bedrock-input-token-count", str(count).encode()),),
        )

    up.replies = [reply(96), reply(96), reply(8)]
    found = await bedrock(http_client, up.url).embed(WIRE, asked(["a"] * 96), COHERE_3, DEADLINES)
    assert len(rows(found)) == 96
    up.replies = [reply(96)]
    with pytest.raises(Upstream, match="96 vectors for 4"):
        await bedrock(http_client, up.url).embed(WIRE, asked(["a"] * 100), COHERE_3, DEADLINES)


async def test_usage_that_nobody_tells_is_not_zero(up, http_client):
    up.replies = [Reply(body=b'{"embeddings":{"float":[[0.5]]}}')]
    found = await bedrock(http_client, up.url).embed(WIRE, asked(), COHERE_4, DEADLINES)
    assert found.vectors.usage is None
    up.replies = [Reply(body=b'{"embedding":[0.5],"inputTextTokenCount":3}'), Reply(body=b'{"embedding":[0.5]}')]
    found = await bedrock(http_client, up.url).embed(WIRE, asked(["a", "b"]), TITAN_1, DEADLINES)
    assert found.vectors.usage is None


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b'{"embedding":"x","inputTextTokenCount":1}', b'{"embedding":[[1.0]]}', b'{"message":"no"}'],
)
async def test_what_is_no_vector_of_titans_is_said_so(up, http_client, body):
    up.replies = [Reply(body=body)]
    with pytest.raises(Upstream, match="up"):
        await bedrock(http_client, up.url).embed(WIRE, asked(), TITAN_1, DEADLINES)


async def test_the_caller_gets_openais_form_in_either_encoding(up, http_client):
    up.replies = [Reply(body=b'{"embedding":[0.5,-2.0],"inputTextTokenCount":3}')]
    for form in ("float", "base64"):
        request = asked(encoding_format=form)
        found = await bedrock(http_client, up.url).embed(WIRE, request, TITAN_1, DEADLINES)
        told = json.loads(WIRE.write(request, found.vectors, model="up/titan"))
        vector = told["data"][0]["embedding"]
        if form == "base64":
            vector = list(struct.unpack("<2f", b64decode(vector)))
        assert all(map(math.isclose, vector, [0.5, -2.0]))
        assert told["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_vertex_is_asked_by_predict(up, google, http_client):  # noqa: F811 - a fixture
    said = [
        {"embeddings": {"values": [0.5], "statistics": {"token_count": 4, "truncated": False}}},
        {"embeddings": {"values": [1.5], "statistics": {"token_count": 2, "truncated": False}}},
    ]
    up.replies = [Reply(body=json.dumps({"predictions": said, "metadata": {"billableCharacterCount": 9}}).encode())]
    provider = vertex(http_client, up.url, f"{google.url}/token")

    found = await provider.embed(
        WIRE, asked(["a", "b"], dimensions=256, input_type="document"), "text-embedding-005", DEADLINES
    )

    place = "/v1/projects/proj-1/locations/eu/publishers/google/models"
    assert up.last.target == f"{place}/text-embedding-005:predict"
    assert up.last.header("authorization").startswith("Bearer ya29")
    assert up.last.json == {
        "instances": [
            {"content": "a", "task_type": "RETRIEVAL_DOCUMENT"},
            {"content": "b", "task_type": "RETRIEVAL_DOCUMENT"},
        ],
        "parameters": {"autoTruncate": False, "outputDimensionality": 256},
    }
    assert (rows(found), found.vectors.usage.input_tokens) == ([[0.5], [1.5]], 6)
    up.replies = [Reply(body=json.dumps({"predictions": said[:1]}).encode())]
    found = await provider.embed(WIRE, asked(["a", "b", "c"]), "gemini-embedding-001", DEADLINES)
    assert up.last.target == f"{place}/gemini-embedding-001:predict"
    assert [len(sent.json["instances"]) for sent in up.sent[1:]] == [1, 1, 1]
    assert found.vectors.usage.input_tokens == 12


@pytest.mark.parametrize(
    "body", [b'{"error":{"message":"quota"}}', b'{"predictions":[]}', b'{"predictions":[{"embeddings":{}}]}', b"[]"]
)
async def test_what_is_no_vector_of_vertex_is_said_so(up, google, http_client, body):  # noqa: F811 - a fixture
    up.replies = [Reply(body=body)]
    with pytest.raises(Upstream, match="up"):
        await vertex(http_client, up.url, f"{google.url}/token").embed(
            WIRE, asked(), "text-multilingual-embedding-002", DEADLINES
        )


async def test_models_answer_either_conversations_or_vectors(up, google, http_client):  # noqa: F811 - a fixture
    provider = vertex(http_client, up.url, f"{google.url}/token")
    with pytest.raises(BadInput, match="no embeddings"):
        await provider.embed(WIRE, asked(), "gemini-2.5-pro", DEADLINES)
    assert provider.speaks("gemini-embedding-001") == ["vertex.embed"]
    assert bedrock(http_client, up.url).speaks("anthropic.claude-x-v1:0") == ["bedrock.converse"]
    assert up.sent == []
