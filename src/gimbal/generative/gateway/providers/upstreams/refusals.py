"""What an answer with an error status means to the caller, in the provider's own words and without our key in them."""

import email.utils
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, cast

import msgspec

from gimbal.engines.http.model import HeaderList
from gimbal.generative.gateway.provider import Refusal

_MOST_WORDS = 2000
_LONGEST_WAIT_S = 7 * 86_400
_MOST_NAMES = 4096
# Some show the beginning and the end of a key that they refuse.
_HALF_SHOWN = re.compile(r"\S*\*{3,}\S*")
Json = dict[str, Any]

# What the caller can mend keeps its status; a key of ours that is refused, and everything else, is the provider's fault.
_MEANINGS: Mapping[int, tuple[int, str]] = {
    400: (400, "bad_input"),
    404: (404, "not_found"),
    408: (504, "deadline_exceeded"),
    413: (413, "too_large"),
    422: (422, "unprocessable"),
    429: (429, "busy"),
    503: (503, "unavailable"),
    504: (504, "deadline_exceeded"),
    529: (503, "unavailable"),
}
_PASSING = frozenset({429, 503, 529})
# The names of headers that whoever calls may see; rate limits have many names, so those go by their beginnings.
_SHOWN = frozenset(
    {
        b"request-id",
        b"x-request-id",
        b"x-amzn-requestid",
        b"apim-request-id",
        b"openai-processing-ms",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
    }
)
_SHOWN_BEGINNINGS = (b"x-ratelimit-", b"anthropic-ratelimit-", b"anthropic-priority-", b"anthropic-fast-")


class _Shown(dict[bytes, bool]):
    """Whether a header goes on to the caller, by its name: names are few, and are looked at once."""

    def __missing__(self, name: bytes) -> bool:
        found = name in _SHOWN or name.startswith(_SHOWN_BEGINNINGS)
        if len(self) < _MOST_NAMES:
            self[name] = found
        return found


_shown = _Shown()


def shown(headers: HeaderList) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a provider's answer that go on to the caller."""
    return tuple([row for row in headers if _shown[row[0]]])


def refusal(
    name: str,
    status: int,
    body: bytes,
    headers: HeaderList,
    *,
    wire: str,
    secrets: Sequence[bytes] = (),
    bad_key: Sequence[str] = (),
    now: Callable[[], float] = time.time,
) -> Refusal:
    """Return the error that an answer with an error status is."""
    for secret in secrets:
        if secret in body:
            body = body.replace(secret, b"***")
    words, param = said(body)
    of_key = status in {401, 403} or (status == 400 and any(word in words for word in bad_key))
    if of_key:
        words = _HALF_SHOWN.sub("***", words)
    meant, code = (502, "upstream") if of_key else _MEANINGS.get(status, (502, "upstream"))
    return Refusal(
        f"{name} answered {status}: {words or 'no message'}",
        status=meant,
        code=code,
        provider_status=status,
        # What is said of our key tells a caller nothing that they could mend, and may show a part of it.
        body=b"" if of_key else body,
        headers=shown(headers),
        wire=wire,
        where=param or ("model" if meant == 404 else ""),
        todo=_todo(name, status, of_key=of_key),
        retry_after=retry_after(headers, now) if status in _PASSING else None,
    )


def _todo(name: str, status: int, *, of_key: bool) -> str:
    if of_key and status == 403:
        return f"Check what the key of the provider {name} may do."
    if of_key:
        return f"Check the key of the provider {name}."
    if 300 <= status < 400:
        return f"Check the address of the provider {name}: it leads elsewhere, and calls are not sent after it."
    return "Slow down, or come again later." if status == 429 else ""


def said(raw: bytes) -> tuple[str, str]:
    """Return the message and the parameter of an error body: `{"error": {…}}`, `{"message": …}`, or plain text."""
    try:
        value: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw[:500].decode("utf-8", "replace").strip(), ""
    if isinstance(value, list) and value:  # Gemini's, where a stream was asked for
        value = cast("list[Any]", value)[0]
    error: Any = cast("Json", value).get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return str(error)[:_MOST_WORDS], ""
    fields = cast("Json", error)
    # Amazon writes it in capitals in some of its errors, FastAPI's servers call it detail.
    message = fields.get("message") or fields.get("Message") or fields.get("detail") or ""
    words = message if isinstance(message, str) else msgspec.json.encode(message).decode()
    return words[:_MOST_WORDS], str(fields.get("param") or "")


def retry_after(headers: HeaderList, now: Callable[[], float] = time.time) -> float | None:
    """Return the seconds after which to come again, given in milliseconds, seconds or as a date; None when none is."""
    found = dict(headers)
    for name, scale in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        text = found.get(name, b"").decode("latin-1").strip()
        if not text:
            continue
        try:
            seconds = float(text) / scale
        except ValueError:
            seconds = _until(text, now)
        if seconds is not None and 0 <= seconds < _LONGEST_WAIT_S:
            return seconds
    return None


def _until(text: str, now: Callable[[], float]) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now())
