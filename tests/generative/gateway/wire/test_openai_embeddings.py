"""Embeddings by OpenAI's wire: every form of input, both forms of vectors, and answers that are none."""

import base64
import json
import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.embedding_create_params import EmbeddingCreateParams
from pydantic import TypeAdapter
from tests.generative.gateway.wire.openai_given import body, json_values, outcome

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.wire.embedding import Embeddings, Vectors
from gimbal.generative.gateway.wire.openai_embeddings import WIRE
from gimbal.kernel.errors import BadInput, Busy, Upstream

OFFICIAL = TypeAdapter(EmbeddingCreateParams)


def asked(**fields):
    return WIRE.asked(body(**{"model": "m", "input": "a", **fields}), {})


def answer(*vectors, **more):
    rows = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    told = {"prompt_tokens": 4, "total_tokens": 4}
    return msgspec.json.encode({"object": "list", "data": rows, "model": "e-1", "usage": told} | more)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_every_form_of_input_is_understood(given, inputs):
    found = WIRE.embeddings(asked(input=given, dimensions=8, user="u", encoding_format="base64"))

    assert found == Embeddings(inputs=inputs, dimensions=8, user="u")
    written = WIRE.request(found, "m")
    OFFICIAL.validate_python(written, strict=False)
    assert WIRE.embeddings(WIRE.asked(msgspec.json.encode(written), {})) == found


def test_the_path_learns_what_it_needs():
    given = asked(model="p/m", input=["a"], user="u")

    assert (given.model, given.user, given.stream, given.said) == ("p/m", "u", False, b'["a"]')
    assert WIRE.same(given, "m") == b'{"model":"m","input":["a"],"user":"u"}'


@pytest.mark.parametrize(
    ("said", "purpose"), [("query", "query"), ("passage", "document"), ("search_document", "document")]
)
def test_what_vectors_are_for_is_understood_where_servers_of_this_wire_are_told(said, purpose):
    assert WIRE.embeddings(asked(input_type=said)).purpose == purpose


def test_what_another_wire_cannot_say_is_refused_by_name():
    given = asked(truncate="END", metadata={"a": "b"})

    assert json.loads(WIRE.same(given, "m"))["truncate"] == "END"
    with pytest.raises(BadInput) as caught:
        WIRE.request(WIRE.embeddings(given), "m")
    assert caught.value.where == "truncate"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 1.5}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"user": 3}, "user"),
        ({"input": [1, "a"]}, "input[1]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [[1, -1]]}, "input[0][1]"),
        ({"input": [None]}, "input[0]"),
        ({"input": [True]}, "input[0]"),
        ({"input_type": "poem"}, "input_type"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(fields, where):
    with pytest.raises(BadInput) as caught:
        WIRE.embeddings(asked(**fields))

    assert caught.value.where == where


@given(json_values, json_values)
def test_any_input_is_read_or_refused(given, size):
    found = outcome(lambda: WIRE.request(WIRE.embeddings(asked(input=given, dimensions=size)), "m"))

    assert isinstance(found, dict) or (isinstance(found, BadInput) and found.where)


def packed(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def test_both_forms_of_vectors_are_read_in_their_order():
    raw = msgspec.json.encode(
        {
            "data": [{"embedding": packed(0.5, -2.0), "index": 1}, {"embedding": [1, 0.25], "index": 0}],
            "model": "e-1",
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        }
    )

    found = WIRE.read(raw, provider="some", count=2, same=False)

    assert [list(vector) for vector in found.vectors] == [[1, 0.25], [0.5, -2.0]]
    assert (found.model, found.usage, found.raw) == ("e-1", Usage(input=4), raw)


def test_a_caller_of_the_same_wire_gets_the_bytes_and_nothing_is_decoded():
    raw = answer("not even base64", [1])

    found = WIRE.read(raw, provider="some", count=2, same=True)

    assert (found.raw, list(found.vectors), found.usage) == (raw, [], Usage(input=4))


floats = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8)


@given(st.lists(floats, max_size=4), st.sampled_from(["base64", "float", None]))
def test_vectors_mean_the_same_after_they_were_written(vectors, form):
    usage = Usage(input=9)

    raw = WIRE.write(asked(encoding_format=form), Vectors(vectors=vectors, usage=usage), model="p/m")

    again = WIRE.read(raw, provider="some", count=len(vectors), same=False)
    assert [list(vector) for vector in again.vectors] == vectors
    assert (again.usage, again.model) == (usage, "p/m")
    if form != "base64":
        CreateEmbeddingResponse.model_validate_json(raw)
    assert all(isinstance(row["embedding"], str) == (form == "base64") for row in json.loads(raw)["data"])


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not an answer"),
        (b"<html>", "not an answer"),
        (b"[]", "not an answer"),
        (b"{}", "not an answer"),
        (b'{"error":{"message":"no such model"}}', "no such model"),
        (b'{"data":null}', "not an answer"),
        (answer([1]), "1 vectors to 2 inputs"),
        (answer([1], [2], [3]), "3 vectors to 2 inputs"),
        (b'{"data":[{"embedding":[1],"index":0},{"embedding":[1],"index":0}]}', "indexes"),
        (b'{"data":[{"embedding":[1],"index":1},{"embedding":[1],"index":2}]}', "indexes"),
        (answer([1], "???"), "base64"),
        (answer([1], "AAA="), "base64"),
        (answer([1], packed(math.nan)), "base64"),
        (answer([1], packed(math.inf)), "base64"),
        (answer([1], ["x"]), "not an answer"),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_provider(raw, says):
    with pytest.raises(Upstream, match=says):
        WIRE.read(raw, provider="some", count=2, same=False)


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_vectors_or_an_error(raw, same):
    assert isinstance(outcome(lambda: WIRE.read(raw, provider="some", count=1, same=same)), Vectors | Upstream)


def test_usage_that_contradicts_itself_is_kept_as_far_as_it_goes():
    raw = answer([1], usage={"prompt_tokens": 4, "total_tokens": 9})

    found = WIRE.read(raw, provider="some", count=1, same=False).usage

    assert found is not None
    assert (found.input_tokens, found.contradictory) == (4, True)


def test_errors_have_the_form_that_openais_clients_read():
    reply = WIRE.error_reply(Busy("Too much.", retry_after=2))

    assert (reply.status, reply.headers["retry-after"]) == (429, "2")
    assert json.loads(reply.body)["error"]["code"] == "rate_limit_exceeded"
