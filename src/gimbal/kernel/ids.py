"""Identities: UUIDv7 for what Gimbal makes (sortable by time), W3C trace context ids for what happened.

Sources: RFC 9562 section 5.7 (UUIDv7), W3C Trace Context level 2 (traceparent).
"""

import json
import os
import random
import re
import secrets
import threading
import time
import uuid
from datetime import datetime

from gimbal.kernel.clock import from_us
from gimbal.kernel.errors import BadInput

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_HEX = frozenset("0123456789abcdef")
_DERIVED = uuid.UUID("0f6c1a5e-7a53-5d0c-9a41-3a0c4f5a7b21")


class _Sequence:
    """Keeps ids of one process strictly increasing, also within one millisecond and when the clock steps back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """Return 48 bits of milliseconds and 12 bits that count up from a random start within the millisecond."""
        now = (time.time_ns() // 1_000_000) << 12 | secrets.randbits(11)
        with self._lock:
            self._last = now if now > self._last else self._last + 1
            return self._last


_sequence = _Sequence()


def new_id() -> str:
    """Return a UUIDv7 as text; ids made later by one process sort later."""
    stamp = _sequence.next()
    value = (stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def derived_id(*parts: str) -> str:
    """Return the UUID that the same parts always give: whatever has a name of its own is known again by it."""
    return str(uuid.uuid5(_DERIVED, json.dumps(parts)))


def parse_id(text: str, where: str = "id") -> str:
    """Return the canonical text of a UUID; raise BadInput when it is not one."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise BadInput(f"{text!r} is not an id.", where=where, todo="Give the UUID that Gimbal showed.") from None


def id_time(text: str) -> datetime:
    """Return the moment (to the millisecond) at which a UUIDv7 was made."""
    return from_us((uuid.UUID(text).int >> 80) * 1000)


# Every call needs some trace and span ids: they are drawn without asking the operating system each time.
_chance = random.Random(secrets.randbits(256))  # noqa: S311 - ids that nobody needs to guess are no secrets
os.register_at_fork(after_in_child=lambda: _chance.seed(secrets.randbits(256)))


def new_trace_id() -> str:
    """Return a random W3C trace id: 32 lower-case hex digits, not all zero."""
    return f"{_chance.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """Return a random W3C span id: 16 lower-case hex digits, not all zero."""
    return f"{_chance.getrandbits(64) or 1:016x}"


def is_trace_id(text: str) -> bool:
    """Tell whether `text` is a valid W3C trace id."""
    return len(text) == 32 and set(text) <= _HEX and text != "0" * 32


def is_span_id(text: str) -> bool:
    """Tell whether `text` is a valid W3C span id."""
    return len(text) == 16 and set(text) <= _HEX and text != "0" * 16


def parse_traceparent(header: str) -> tuple[str, str, bool] | None:
    """Read a `traceparent` header as (trace id, span id, sampled); None when it is not valid, as the standard asks."""
    match = _TRACEPARENT.fullmatch(header.strip())
    if not match:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not is_trace_id(trace_id) or not is_span_id(span_id):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)


def format_traceparent(trace_id: str, span_id: str, *, sampled: bool = True) -> str:
    """Return the `traceparent` header for a span."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"
