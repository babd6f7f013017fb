"""Page tokens of lists that are read by offset: bound to what was asked, so that one of another list is refused."""

import hashlib
from typing import Any

import msgspec

from gimbal.kernel.errors import BadInput
from gimbal.kernel.pages import cursor_number, cursor_text, encode_cursor


def offset_of(token: str, *asked: Any) -> int:
    """Return where a page starts; raise BadInput for a token that was not made for this question."""
    if not token:
        return 0
    try:
        offset, of = cursor_number(token, "at"), cursor_text(token, "of")
    except BadInput:
        offset, of = -1, ""
    if offset < 0 or of != _mark(asked):
        raise BadInput(
            "Invalid page token: it was not made for this search.",
            where="page_token",
            todo="Use next_page_token of the page before, with the same filter and order.",
        )
    return offset


def token_for(offset: int, *asked: Any) -> str:
    """Return the token of the page that starts at `offset`."""
    return encode_cursor({"at": offset, "of": _mark(asked)})


def limited(asked: int | None, usual: int, most: int) -> int:
    """Return how many to show; raise BadInput for none or too many."""
    found = usual if asked is None else asked
    if not 1 <= found <= most:
        raise BadInput(
            f"Invalid value {found} for parameter 'max_results' supplied: it must be at least 1 and at most {most}.",
            where="max_results",
            todo=f"Ask for 1 to {most}.",
        )
    return found


def _mark(asked: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:16]
