"""Guards ready to look at texts: made once for a version of a policy, used for many calls, from any thread."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import msgspec

from gimbal.engines.text.custom import custom
from gimbal.engines.text.folding import folded
from gimbal.engines.text.model import Detector, Finding
from gimbal.engines.text.registry import chosen
from gimbal.engines.text.scanner import Scanner
from gimbal.generative.guards.holds import Hold, earliest, hold_of, last
from gimbal.generative.guards.model import Direction, Guard, PolicyManifest
from gimbal.generative.guards.words import words
from gimbal.kernel.refs import ResolvedRef

TOO_LONG = "too_long"
_DEEPEST = 64


class Looked(NamedTuple):
    """A text as a guard leaves it, and what the guard found in it by kind."""

    text: str
    found: dict[str, int]


class Ready:
    """One guard with its detectors."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.masks = guard.action == "mask"
        self.changes = guard.action != "flag"
        """Whether what it does can change what the other side sees."""
        detectors: list[Detector] = list(chosen(guard.detectors))
        holds: list[Hold] = [hold_of(one.name) for one in detectors]
        for one in guard.patterns:
            detectors.append(custom(one.kind, one.pattern))
            holds.append(last(one.longest))
        if guard.words:
            detector, hold = words(guard.words)
            detectors.append(detector)
            holds.append(hold)
        self.looks = bool(detectors)
        """Whether it looks at what a text says, and not at its length alone."""
        self.context = max([256, *(2 * one.longest for one in guard.patterns)])
        """Characters before a text that its detectors may look at."""
        self._scanner = Scanner(detectors)
        self._hold = earliest(holds)

    @property
    def name(self) -> str:
        """The guard's name."""
        return self.guard.name

    def find(self, text: str, before: str = "") -> list[Finding]:
        """Return what is found, in order; `before` says what the text is, such as the name of its field."""
        return self._scanner.find(text, before=before) if self.looks else []

    def look(self, text: str, before: str = "") -> Looked:
        """Look at a whole text."""
        findings = self.find(text, before)
        if not findings:
            return Looked(text, {})
        found = dict(Counter(one.kind for one in findings))
        return Looked(masked(text, findings) if self.changes else text, found)

    def look_at_json(self, text: str) -> Looked:
        """Look at a text that should be JSON: at each string and number by itself, with the name of its field before it.

        A number that is masked becomes a string, so that the text stays JSON. What is no JSON is a text like any other.
        """
        if not self.looks:
            return Looked(text, {})
        try:
            value = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            return self.look(text)
        found: Counter[str] = Counter()

        def see(said: str, before: str) -> str:
            looked = self.look(said, before)
            found.update(looked.found)
            return looked.text

        changed = _walked(value, see, "", 0)
        if changed == value:
            return Looked(text, dict(found))
        return Looked(msgspec.json.encode(changed).decode(), dict(found))

    def waits_from(self, text: str) -> int:
        """Return the character from which on a text must wait for more."""
        plain, places = folded(text)
        data = plain.encode(errors="replace")
        at = self._hold(_readable(data))
        if at >= len(data):
            return len(text)
        place = at if len(data) == len(plain) else len(data[:at].decode(errors="replace"))
        return place if places is None else places[place]


def _readable(data: bytes) -> bytes:
    """Return the bytes as detectors read them: a line's end that is written as two characters is two spaces."""
    if b"\\" in data:
        for escape in (b"\\n", b"\\r", b"\\t"):
            data = data.replace(escape, b"  ")
    return data


def masked(text: str, findings: list[Finding]) -> str:
    """Return a text with `[kind]` in the place of each finding."""
    pieces: list[str] = []
    at = 0
    for one in findings:
        pieces += (text[at : one.start], f"[{one.kind}]")
        at = one.end
    return "".join((*pieces, text[at:]))


def _walked(value: Any, see: Callable[[str, str], str], before: str, depth: int) -> Any:
    """Return JSON with what `see` makes of its strings and numbers."""
    if isinstance(value, str):
        return see(value, before)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        said = str(value)
        seen = see(said, before)
        return value if seen == said else seen
    if depth > _DEEPEST:
        return see(msgspec.json.encode(value).decode(), before)
    if isinstance(value, list):
        return [_walked(one, see, before, depth + 1) for one in cast("list[Any]", value)]
    fields = cast("dict[str, Any]", value)
    return {see(name, ""): _walked(one, see, f"{name}: ", depth + 1) for name, one in fields.items()}


class Policy:
    """A version of a policy with its guards."""

    def __init__(self, manifest: PolicyManifest, ref: ResolvedRef | None = None) -> None:
        self.manifest = manifest
        self.ref = ref
        self.guards = tuple(Ready(guard) for guard in manifest.guards)
        self.input = self._of("input")
        self.output = self._of("output")
        self.changes_output = any(one.changes for one in self.output)
        """Whether an answer may be changed, so that a provider's own bytes cannot go on."""

    def _of(self, direction: Direction) -> tuple[Ready, ...]:
        return tuple(one for one in self.guards if one.guard.looks_at(direction))
