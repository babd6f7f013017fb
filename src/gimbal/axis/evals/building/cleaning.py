"""Personal data and secrets out of examples: each finding becomes `[EMAIL_1]`, the same one the same in all of an example.

So an answer still speaks of the address that the question was about, and nobody learns whose it is. Numbers are given
anew in each example: what stands in two of them cannot be put together. Detectors are those of `engines/text`.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gimbal.axis.traces.redaction.rules import RECOMMENDED
from gimbal.axis.traces.redaction.walking import Slot, Walk
from gimbal.engines.text.matching import pattern
from gimbal.engines.text.registry import DETECTORS, chosen
from gimbal.engines.text.scanner import Scanner
from gimbal.kernel.errors import BadInput

_SECRET = "secret"  # noqa: S105 - the name of the family
# What was taken out may let something be seen beside it.
_MOST_ROUNDS = 5


class Cleaner:
    """Takes out what a caller does not keep; used for many examples, from any thread."""

    def __init__(self, keep: Sequence[str]) -> None:
        """Make one; raise BadInput for what is no detector, and for secrets."""
        kept = chosen(keep)
        secret = next((one.name for one in kept if one.family == _SECRET), None)
        if secret is not None:
            raise BadInput(
                f"{secret} finds secrets, which never stay in a suite.", where="keep", todo="Leave it out of `keep`."
            )
        names = {one.name for one in kept}
        detectors = [one for one in chosen(RECOMMENDED.detectors) if one.name not in names]
        kinds = "|".join(sorted({one.kind for one in DETECTORS.values()} | {"user", "session", "redaction"}))
        # Placeholders of the redaction of traces, and our own.
        opaque = pattern(
            rf"\[(?:(?i:{kinds})(?:_[0-9]+)?|(?:{kinds}):(?:dropped|failed|timeout|(?:tok|id)_[a-z0-9]{{1,16}}_[A-Za-z0-9_-]{{22,}}))\]"
        )
        self._scanner = Scanner(detectors, opaque=opaque)

    def clean(self, values: Sequence[Any]) -> tuple[list[Any], dict[str, int]]:
        """Return values of one example with placeholders, and how many findings they stand for, by kind."""
        into, walk = list(values), Walk()
        for place in range(len(into)):
            walk.value(into, place, "", _never)
        names, counts = _Names(), Counter[str]()
        changed: set[int] = set()
        for slot in walk.slots:
            new = self._text(slot.text, slot.before, names, counts)
            if new != slot.text:
                _put(slot, new)
                changed.add(slot.parent)
        # Names of fields may be personal data, too.
        holders: dict[int, list[dict[str, Any]]] = {}
        for holder, parent in walk.maps:
            if any(self._scanner.find(str(name)) for name in holder):
                holders.setdefault(parent, []).append(holder)
                changed.add(parent)

        def rename(parent: int) -> None:
            for holder in holders.get(parent, ()):
                items = list(holder.items())
                holder.clear()
                for name, value in items:
                    new = called = self._text(str(name), "", names, counts)
                    # Two that are the same thing, written differently, are two fields nevertheless.
                    again = itertools.count(2)
                    while new in holder:
                        new = f"{called} {next(again)}"
                    holder[new] = value

        if changed:
            walk.write(changed, rename)
        return into, dict(counts)

    def _text(self, text: str, before: str, names: "_Names", counts: Counter[str]) -> str:
        for _ in range(_MOST_ROUNDS):
            found = self._scanner.find(text, before=before)
            if not found:
                break
            pieces: list[str] = []
            at = 0
            for one in found:
                pieces += (text[at : one.start], names.of(one.kind, text[one.start : one.end]))
                counts[one.kind] += 1
                at = one.end
            text = "".join((*pieces, text[at:]))
        return text


class _Names:
    """What findings of one example are called."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._last: Counter[str] = Counter()

    def of(self, kind: str, text: str) -> str:
        """Return the placeholder of a finding; of the same one the same, however it is written."""
        same = (kind, text.strip().casefold())
        if same not in self._names:
            self._last[kind] += 1
            self._names[same] = f"[{kind.upper()}_{self._last[kind]}]"
        return self._names[same]


def _put(slot: Slot, new: str) -> None:
    slot.holder[slot.key] = new


def _never(_: Any) -> bool:
    return False
