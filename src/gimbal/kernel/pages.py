"""Lists come in pages: items, and an opaque cursor that says where the next page starts (keyset, never offset)."""

import base64
import binascii
from typing import Any, Generic, TypeVar

import msgspec

from gimbal.kernel.errors import BadInput

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    items: list[T]
    next: str | None = None
    """Give this as `cursor` to get the next page; null on the last one."""
    total: int | None = None
    """How many there are in all, where counting is cheap; null means not counted."""


def encode_cursor(place: dict[str, Any]) -> str:
    """Return opaque text for the sort key of the last item of a page."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def decode_cursor(text: str) -> dict[str, Any]:
    """Return what `encode_cursor` was given; raise BadInput when the text was not made by it."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        raise _foreign() from None


def cursor_number(text: str, name: str) -> int:
    """Return a whole number of a cursor's sort key; raise BadInput when it has none that a database can hold."""
    value = decode_cursor(text).get(name)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _foreign()
    return value


def cursor_text(text: str, name: str) -> str:
    """Return a text of a cursor's sort key; raise BadInput when it has none."""
    value = decode_cursor(text).get(name)
    if not isinstance(value, str) or "\0" in value:
        raise _foreign()
    return value


def _foreign() -> BadInput:
    return BadInput(
        "The cursor was not made by this list.", where="cursor", todo="Use `next` of the page before, unchanged."
    )


def check_limit(limit: int) -> int:
    """Return a page size from 1 to 1000; raise BadInput otherwise."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadInput(f"A page cannot have {limit} items.", where="limit", todo=f"Ask for 1 to {MAX_LIMIT}.")
    return limit
