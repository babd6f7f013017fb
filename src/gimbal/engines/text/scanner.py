"""Several detectors on one text: what they find, overlaps joined, and the text with placeholders.

What overlaps becomes one finding over all of it, so that no end of a number sticks out of a placeholder; it is called what
the longest of them is called, or of two as long the more specific one.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from gimbal.engines.text.model import Detector, Extent, Finding, Redacted

_ESCAPES = (b"\\n", b"\\r", b"\\t")


class Scanner:
    """Finds and replaces what its detectors look for; made once for a policy, used for many texts, from any thread."""

    def __init__(self, detectors: Iterable[Detector]) -> None:
        self._gates: dict[Callable[[bytes], object], list[Detector]] = {}
        for detector in detectors:
            self._gates.setdefault(detector.gate, []).append(detector)

    def find(self, text: str) -> list[Finding]:
        """Return what is found, from left to right, without overlaps."""
        data = text.encode(errors="replace")
        if b"\\" in data:
            # JSON within JSON writes a line's end as two characters, of which the second would belong to the next word.
            for escape in _ESCAPES:
                data = data.replace(escape, b"  ")
        found = _joined(self._found(data))
        if not found or len(data) == len(text):
            return [Finding(kind=one.kind, start=extent.start, end=extent.end) for extent, one in found]
        findings: list[Finding] = []
        at = characters = 0
        for (start, end), one in found:
            first = characters + len(data[at:start].decode())
            at, characters = end, first + len(data[start:end].decode())
            findings.append(Finding(kind=one.kind, start=first, end=characters))
        return findings

    def redact(self, text: str) -> Redacted:
        """Return the text with `[kind]` in the place of each finding, and how many there were of each kind."""
        findings = self.find(text)
        if not findings:
            return Redacted(text, {})
        pieces: list[str] = []
        at = 0
        for one in findings:
            pieces += (text[at : one.start], f"[{one.kind}]")
            at = one.end
        return Redacted("".join((*pieces, text[at:])), dict(Counter(one.kind for one in findings)))

    def _found(self, data: bytes) -> list[tuple[Extent, Detector]]:
        return [
            (extent, detector)
            for gate, detectors in self._gates.items()
            if gate(data)
            for detector in detectors
            for extent in detector.find(data)
        ]


def _joined(found: list[tuple[Extent, Detector]]) -> list[tuple[Extent, Detector]]:
    """Return findings that do not overlap, in order, each over all that overlapped."""
    joined: list[tuple[Extent, Detector]] = []
    best = (0, 0)
    for extent, detector in sorted(found, key=lambda one: one[0]):
        weight = (extent.end - extent.start, detector.rank)
        if joined and extent.start < joined[-1][0].end:
            whole, named = joined[-1]
            if weight > best:
                best, named = weight, detector
            joined[-1] = (Extent(whole.start, max(whole.end, extent.end)), named)
        else:
            joined.append((extent, detector))
            best = weight
    return joined
