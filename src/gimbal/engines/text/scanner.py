"""Several detectors on one text: what they find, overlaps joined, and the text with placeholders.

What overlaps becomes one finding over all of it, so that no end of a number sticks out of a placeholder; it is called what
the longest of them is called, or of two as long the more specific one. Texts are read as people see them: `folding`.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from gimbal.engines.text.folding import folded
from gimbal.engines.text.matching import Pattern
from gimbal.engines.text.model import Detector, Extent, Finding, Redacted

_ESCAPES = (b"\\n", b"\\r", b"\\t")


class Scanner:
    """Finds and replaces what its detectors look for; made once for a policy, used for many texts, from any thread.

    What matches `opaque` is not looked into: placeholders of an earlier time, media.
    """

    def __init__(self, detectors: Iterable[Detector], *, opaque: Pattern = None) -> None:
        self._gates: dict[Callable[[bytes], object], list[Detector]] = {}
        self._apart: list[Detector] = []
        for detector in detectors:
            if detector.apart:
                self._apart.append(detector)
                continue
            self._gates.setdefault(detector.gate, []).append(detector)
        self._opaque = opaque

    def find(self, text: str, *, before: str = "") -> list[Finding]:
        """Return what is found, from left to right, without overlaps.

        `before` is what stands before the text elsewhere, such as the name of its field: it tells what a number is. Custom
        patterns are not shown it.
        """
        plain, places = folded(text)
        data = self._readable(plain.encode(errors="replace"))
        ahead = before.encode(errors="replace")
        found = _joined(self._found(data, ahead))
        if not found:
            return []
        findings: list[Finding] = []
        at = characters = 0
        wide = len(data) != len(plain)
        for (start, end), one in found:
            first, last = start, end
            if wide:
                first = characters + len(data[at:start].decode(errors="replace"))
                last = first + len(data[start:end].decode(errors="replace"))
                at, characters = end, last
            if places is not None:
                first, last = places[first], places[last - 1] + 1
            findings.append(Finding(kind=one.kind, start=first, end=last))
        return findings

    def may_find(self, text: str) -> bool:
        """Tell by one look for each detector whether anything may be found; what is false is certain."""
        data = self._readable(folded(text)[0].encode(errors="replace"))
        return any(gate(data) for gate in self._gates) or any(one.gate(data) for one in self._apart)

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

    def _readable(self, data: bytes) -> bytes:
        """Return the bytes to look at, in the same places."""
        if b"\\" in data:
            # JSON within JSON writes a line's end as two characters, of which the second would belong to the next word.
            for escape in _ESCAPES:
                data = data.replace(escape, b"  ")
        if self._opaque is not None and self._opaque.search(data) is not None:
            # The end of a line is a part of nothing that is looked for.
            data = self._opaque.sub(lambda found: b"\n" * (found.end() - found.start()), data)
        return data

    def _found(self, data: bytes, ahead: bytes) -> list[tuple[Extent, Detector]]:
        whole = ahead + data if ahead else data
        found: list[tuple[Extent, Detector]] = []
        for gate, detectors in self._gates.items():
            if gate(whole):
                for detector in detectors:
                    found += [(extent, detector) for extent in _behind(detector.find(whole), len(ahead))]
        found += [(extent, detector) for detector in self._apart for extent in detector.find(data)]
        return [
            (extent, one) for extent, one in found if self._opaque is None or data[extent.start : extent.end].strip()
        ]


def _behind(found: Iterable[Extent], ahead: int) -> Iterable[Extent]:
    """Return the extents in what stands behind the first bytes, by their places in it."""
    if not ahead:
        return found
    return [Extent(max(0, start - ahead), end - ahead) for start, end in found if end > ahead]


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
