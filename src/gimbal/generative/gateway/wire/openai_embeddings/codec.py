"""Requests for embeddings and their vectors, between OpenAI's form and the normal one.

Vectors in base64 are 32-bit floats, the lowest byte first, whatever machine this is.
"""

import base64
import binascii
import math
import struct
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.wire.answers import failed, garbage
from gimbal.generative.gateway.wire.embedding import Embeddings, Vectors
from gimbal.generative.gateway.wire.fields import Table, invalid, value_of
from gimbal.generative.gateway.wire.hints import asks_nothing
from gimbal.generative.gateway.wire.openai_chat.usage import chat_usage
from gimbal.generative.gateway.wire.openai_embeddings.asked import Tokens
from gimbal.generative.gateway.wire.protocol import Asked, inexpressible
from gimbal.kernel.errors import Upstream

WHOSE = "OpenAI's embeddings"
_PURPOSES: Mapping[str, str] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}
"""Words of `input_type`, by which several servers of this wire are told what the vectors are for."""


class _Row(msgspec.Struct, gc=False):
    embedding: str | list[float]
    index: int | None = None


class _Unread(msgspec.Struct, gc=False):
    embedding: msgspec.Raw


class _Answer(msgspec.Struct, gc=False):
    data: list[_Row] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Counted(msgspec.Struct, gc=False):
    data: list[_Unread] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_answer = msgspec.json.Decoder(_Answer)
_counted = msgspec.json.Decoder(_Counted)


def embeddings(asked: Asked) -> Embeddings:
    """Decode all of a request; raise BadInput naming the field that does not fit."""
    extras: Json = {}
    top = Table({name: value_of(raw, name) for name, raw in asked.fields.items() if name != "model"}, "", extras)
    inputs = _inputs(top.take("input"))
    kind = top.word("input_type", *_PURPOSES)
    top.word("encoding_format", "float", "base64")
    found = Embeddings(
        inputs=inputs,
        dimensions=top.count("dimensions", 1),
        purpose=_PURPOSES.get(kind, ""),
        user=top.text("user"),
        extras=extras,
    )
    top.close()
    return found


def _inputs(given: Any) -> tuple[str | tuple[int, ...], ...]:
    """Return what is to be embedded: a string, strings, tokens, or lists of tokens."""
    if isinstance(given, str):
        return (given,)
    kind: Any = list[str]
    if given and isinstance(given[0], list):
        kind = list[Tokens]
    elif given and isinstance(given[0], int):
        kind = Tokens
    try:
        rows = msgspec.convert({"input": given}, dict[str, kind])["input"]
    except msgspec.ValidationError as problem:
        error = invalid(problem)
        error.where = error.where.replace("[...]", "input", 1)
        raise error from None
    return (tuple(rows),) if kind is Tokens else tuple(row if isinstance(row, str) else tuple(row) for row in rows)


def request(embeddings: Embeddings, model: str) -> Json:
    """Encode a request; raise BadInput naming what cannot be expressed."""
    for where, value in embeddings.extras.items():
        if not asks_nothing(where, value):
            raise inexpressible(where, where, WHOSE)
    inputs: list[Any] = [row if isinstance(row, str) else list(row) for row in embeddings.inputs]
    body: Json = {"model": model, "input": inputs, "encoding_format": "float"}
    if embeddings.dimensions is not None:
        body["dimensions"] = embeddings.dimensions
    return body | {"user": embeddings.user} if embeddings.user else body


def read(body: bytes, *, provider: str, count: int, same: bool) -> Vectors:
    """Read an answer to `count` inputs; raise Upstream for what is none."""
    try:
        answer = (_counted if same else _answer).decode(body)
    except (ValueError, RecursionError):
        raise garbage(provider, body) from None
    if answer.error:
        raise failed(provider, answer.error, streamed=False)
    if answer.data is None:
        raise garbage(provider, body)
    if len(answer.data) != count:
        raise Upstream(f"{provider} answered with {len(answer.data)} vectors to {count} inputs.", todo="Try again.")
    usage = None if answer.usage is None else chat_usage(answer.usage)
    vectors = _in_order(answer.data, provider) if isinstance(answer, _Answer) and answer.data else ()
    return Vectors(vectors=vectors, usage=usage, model=answer.model or "", raw=body)


def _in_order(rows: Sequence[_Row], provider: str) -> Sequence[Sequence[float]]:
    places = [place if row.index is None else row.index for place, row in enumerate(rows)]
    if sorted(places) != list(range(len(rows))):
        raise Upstream(f"{provider} answered with vectors whose indexes are not 0 to {len(rows) - 1}.")
    found: list[Sequence[float]] = [()] * len(rows)
    for place, row in zip(places, rows, strict=True):
        found[place] = unpacked(row.embedding, provider) if isinstance(row.embedding, str) else row.embedding
    return found


def unpacked(text: str, provider: str) -> Sequence[float]:
    """Return the vector of its base64; raise Upstream for what is none."""
    try:
        raw = base64.b64decode(text, validate=True)
        vector = struct.unpack(f"<{len(raw) // 4}f", raw)
    except (binascii.Error, struct.error, ValueError):
        vector = (math.nan,)
    if not all(map(math.isfinite, vector)):
        raise Upstream(f"{provider} sent a vector that is not base64 of 32-bit floats.", todo="Try again.")
    return vector


def packed(vector: Sequence[float]) -> str:
    """Return a vector as base64; numbers too large for 32 bits become infinite there."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *array("f", vector))).decode()


def write(asked: Asked, vectors: Vectors, *, model: str) -> bytes:
    """Return the body of an answer, with the vectors as the caller wants them."""
    wanted = asked.fields.get("encoding_format")
    as_text = wanted is not None and bytes(wanted) == b'"base64"'
    usage = vectors.usage
    assert usage is not None, "what nobody told has been estimated"
    rows = [
        {"object": "embedding", "index": place, "embedding": packed(vector) if as_text else list(vector)}
        for place, vector in enumerate(vectors.vectors)
    ]
    told = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return msgspec.json.encode({"object": "list", "data": rows, "model": model, "usage": told})
