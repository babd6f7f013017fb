"""Errors in the form that OTLP asks for: `google.rpc.Status`, over gRPC, in protobuf and in JSON.

Written here field by field because the Python package of these few messages is not needed for anything else. Sources:
google/rpc/status.proto, code.proto and error_details.proto; the OTLP specification, "Failures" over HTTP.
"""

from typing import Any

import msgspec
from google.protobuf.duration_pb2 import Duration

from gimbal.axis.traces.otlp import JSON, PROTOBUF
from gimbal.kernel.errors import (
    BadInput,
    Busy,
    DeadlineExceeded,
    Forbidden,
    GimbalError,
    NotAuthenticated,
    NotFound,
    TooLarge,
    Unavailable,
    WrongMediaType,
)
from gimbal.kernel.http import HttpReply

_DOMAIN = "gimbal"
_TYPE = "type.googleapis.com/google.rpc."
INTERNAL = 13
_CODES: tuple[tuple[type[GimbalError], int], ...] = (
    (NotAuthenticated, 16),
    (Forbidden, 7),
    (NotFound, 5),
    # The protocol's sign of back-pressure. Not RESOURCE_EXHAUSTED: with that, some exporters drop the spans.
    (Busy, 14),
    (Unavailable, 14),
    (DeadlineExceeded, 4),
    (BadInput, 3),
    (TooLarge, 3),
    (WrongMediaType, 3),
)


def code_of(error: GimbalError) -> int:
    """Return the number of google.rpc.Code that an error is."""
    number = next((number for kind, number in _CODES if isinstance(error, kind)), None)
    return number if number is not None else INTERNAL if error.status >= 500 else 3


def field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field of a protobuf message."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def retry_info(seconds: float) -> bytes:
    """Return a google.rpc.RetryInfo: when to come again."""
    delay = Duration()
    delay.FromMilliseconds(round(seconds * 1000))
    return field(1, delay.SerializeToString())


def status(error: GimbalError) -> bytes:
    """Return the google.rpc.Status of an error: an ErrorInfo with what our own form has, and a RetryInfo."""
    found = bytes([1 << 3, code_of(error)]) + field(2, error.message.encode(errors="replace"))
    told = b"".join(
        field(3, field(1, name.encode()) + field(2, value.encode(errors="replace")))
        for name, value in _metadata(error).items()
    )
    info = field(1, error.code.encode()) + field(2, _DOMAIN.encode()) + told
    found += field(3, field(1, f"{_TYPE}ErrorInfo".encode()) + field(2, info))
    if error.retry_after is not None:
        found += field(3, field(1, f"{_TYPE}RetryInfo".encode()) + field(2, retry_info(error.retry_after)))
    return found


def reply(error: GimbalError, media_type: str) -> HttpReply:
    """Return the answer over HTTP: protobuf to whoever sent protobuf, else JSON.

    The JSON has our own form beside the fields of the Status, so that our client reads one form everywhere.
    """
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after else {}
    if isinstance(error, NotAuthenticated):
        headers["www-authenticate"] = "Bearer"
    if media_type == PROTOBUF:
        return HttpReply(status=error.status, body=status(error), media_type=PROTOBUF, headers=headers)
    details: list[dict[str, Any]] = [
        {"@type": f"{_TYPE}ErrorInfo", "reason": error.code, "domain": _DOMAIN, "metadata": _metadata(error)}
    ]
    if error.retry_after is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{error.retry_after:.3f}s"})
    document = {"code": code_of(error), "message": error.message, "details": details, "error": error.body()}
    return HttpReply(status=error.status, body=msgspec.json.encode(document), media_type=JSON, headers=headers)


def _metadata(error: GimbalError) -> dict[str, str]:
    own = {"where": error.where, "kept": error.kept, "todo": error.todo}
    return {name: value for name, value in own.items() if value}
