"""A request for embeddings as the path needs it, and as it goes on to a provider of this wire."""

from typing import Annotated

import msgspec

from gimbal.generative.gateway.wire.fields import bad, request_of
from gimbal.generative.gateway.wire.openai_chat.asked import Limit, Name
from gimbal.generative.gateway.wire.protocol import Asked

_encode = msgspec.json.Encoder().encode
Tokens = Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1)]


class _Request(msgspec.Struct, frozen=True, gc=False):
    model: Name
    input: str | list[msgspec.Raw]
    dimensions: Limit | None = None
    encoding_format: str | None = None
    user: str | None = None


_request = msgspec.json.Decoder(_Request)


def asked(body: bytes) -> Asked:
    """Read a request; raise BadInput naming the field that does not fit."""
    request, fields = request_of(body, _request)
    if not request.input:
        raise bad("There is nothing to embed.", "input", "Send a string, strings, or tokens.")
    if request.encoding_format not in {None, "float", "base64"}:
        raise bad("Expected float or base64.", "encoding_format")
    return Asked(model=request.model, fields=fields, user=request.user or "", said=bytes(fields["input"]))


def same(asked: Asked, model: str) -> bytes:
    """Return the request as it goes on."""
    return _encode({**asked.fields, "model": model})
