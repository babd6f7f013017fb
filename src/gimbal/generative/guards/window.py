"""A text in pieces, as a stream brings it: what one guard makes of it, released as soon as nothing can change it any more.

What comes out is what the guard would make of the whole text, wherever it was cut. Guards are put in a row: each sees the
text as the one before it released it, and none sees how that was cut.
"""

from collections import Counter

from gimbal.generative.guards.holds import AFTER
from gimbal.generative.guards.prepared import Ready

# Up to here each piece is looked at at once; what waits longer, because it has been found or may be, is looked at again
# when it has grown by an eighth, so that a long stream costs what its text costs.
_AT_ONCE = 512


class Window:
    """One guard over one text."""

    def __init__(self, guard: Ready) -> None:
        self._guard = guard
        self._passes = not guard.changes
        self._before = ""
        """The end of what was released, as it came."""
        self._waiting = ""
        self._enough = 0
        """Characters that must wait before another look can tell more."""
        self.found: Counter[str] = Counter()
        """What was found so far, by kind."""

    @property
    def waiting(self) -> str:
        """What was taken and has not been released."""
        return "" if self._passes else self._waiting

    def forget(self) -> None:
        """Let go of what waits: somebody else has released it."""
        self._waiting = ""

    def feed(self, text: str) -> str:
        """Take a piece; return what may go on."""
        if not self._guard.looks or not text:
            return text
        self._waiting += text
        released = self._release(over=False) if len(self._waiting) >= self._enough else ""
        return text if self._passes else released

    def end(self) -> str:
        """Return the rest, since no more text comes for now."""
        if not self._waiting:
            return ""
        released = self._release(over=True)
        return "" if self._passes else released

    def _release(self, *, over: bool) -> str:
        base = len(self._before)
        text = self._before + self._waiting
        findings = self._guard.find(text)
        safe = len(text) if over else self._guard.waits_from(text)
        if not over:
            for one in reversed(findings):
                if one.end > len(text) - AFTER or one.end > safe:
                    safe = min(safe, one.start)
        safe = max(safe, base)
        pieces: list[str] = []
        at = base
        for one in findings:
            if one.end <= base:
                continue
            if one.start >= safe:
                break
            pieces += (text[at : max(at, one.start)], f"[{one.kind}]")
            at = max(at, one.end)
            self.found[one.kind] += 1
        pieces.append(text[at:safe])
        self._before = text[max(0, safe - self._guard.context) : safe]
        self._waiting = text[safe:]
        waits = len(self._waiting)
        self._enough = 0 if waits <= _AT_ONCE else waits + waits // 8
        return "".join(pieces)
