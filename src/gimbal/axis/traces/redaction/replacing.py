"""Finding what a policy looks for in texts, and putting something in its place.

The texts of a span are looked through in one piece, and most times that is all: only a text in which something was found
is looked at by itself. It fails closed: a text whose detectors fail or run out of their time is replaced as a whole. What
takes the place of a finding is found by nothing again, so that redacting twice changes nothing.
"""

import bisect
import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from gimbal.axis.traces.redaction.model import (
    FAILED,
    LATE,
    SESSION,
    USER,
    SetRedaction,
)
from gimbal.axis.traces.redaction.rules import actions_of, detectors_of, wildcards
from gimbal.axis.traces.redaction.tokens import MOST_CHARACTERS, ProjectKeys
from gimbal.axis.traces.redaction.walking import Slot, Walk
from gimbal.engines.text.matching import has_digits, pattern
from gimbal.engines.text.model import Finding
from gimbal.engines.text.national_ids import any_digit
from gimbal.engines.text.scanner import Scanner

# Between two texts that are looked through in one piece.
_APART = "\n\n"
# Seconds of processor time that the texts of one span may take, and for each character.
_SECONDS, _SECONDS_A_CHARACTER = 1.0, 2e-6
_MOST_ROUNDS = 5
# Of any script.
_digit = re.compile(r"\d")
_MOST_NAMES = 20_000
_SHORTEST_ID = 8


class Replacing:
    """What a policy does to texts; of any thread."""

    def __init__(self, policy: SetRedaction, keys: ProjectKeys | None) -> None:
        detectors = detectors_of(policy)
        self.actions = actions_of(policy)
        self._keys = keys
        kinds = "|".join(sorted({one.kind for one in detectors} | {USER, SESSION, "redaction"}))
        self._opaque = pattern(
            rf"\[(?:(?i:{kinds})|(?:{kinds}):(?:dropped|failed|timeout|(?:tok|id)_[a-z0-9]{{1,16}}_[A-Za-z0-9_-]{{22,}}))\]"
            r"|gimbal-media:b3:[0-9a-f]{64}[;=\w./+-]*|data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,[A-Za-z0-9+/_=-]*"
        )
        own = [one for one in detectors if one.apart]
        words = [one for one in detectors if not one.apart]
        gates = (has_digits, any_digit)
        self._words = Scanner([one for one in words if one.gate not in gates], opaque=self._opaque)
        self._numbers = [Scanner([one for one in words if one.gate is gate], opaque=self._opaque) for gate in gates]
        self._own = Scanner(own, opaque=self._opaque) if own else None
        self._all = Scanner(detectors, opaque=self._opaque)
        self._allowed = pattern(wildcards(policy.allow)) if policy.allow else None
        self._left = pattern(wildcards(policy.allow_keys)) if policy.allow_keys else None
        self._names: dict[str, int] = {}

    def identity(self, kind: str, value: str, counts: Counter[str] | None = None) -> str:
        """Return what stands for the id of a user or session; as it is, where the policy lets it be."""
        action = self.actions.get(kind)
        if action is None or not value or self._opaque.fullmatch(value.encode(errors="replace")) is not None:
            return value
        if counts is not None:
            counts[kind] += 1
        return self._instead(kind, value)

    def name(self, name: str) -> str:
        """Return a short name, which others are called too, as it may be told."""
        return self._redacted(Slot([], 0, "", name, -1), Counter()) if self._known(name) > 0 else name

    def walked(self, values: list[Any], into: list[Any]) -> Walk:
        """Put values into `into`, and return the texts in them."""
        walk = Walk()
        into[:] = values
        for place in range(len(into)):
            walk.value(into, place, "", self._skip)
        return walk

    def run(self, walk: Walk, exact: dict[str, str], counts: Counter[str]) -> None:
        """Replace what is found in texts, where they stand; `exact` are texts that are replaced as a whole."""
        until = time.thread_time() + _SECONDS + _SECONDS_A_CHARACTER * walk.size
        changed: set[int] = set()
        for slot in self._touched(walk.slots, exact, until):
            instead = exact.get(slot.text) if exact else None
            if instead is not None and (len(slot.text) >= _SHORTEST_ID or _is_of_identity(slot.before)):
                new = instead
            elif time.thread_time() > until:
                counts[LATE] += 1
                new = f"[redaction:{LATE}]"
            else:
                new = self._redacted(slot, counts)
            if new != slot.text:
                slot.holder[slot.key] = new
                changed.add(slot.parent)
        # Their names hold the places of what is written into them: they change when all of it was written.
        named: dict[int, list[dict[str, Any]]] = {}
        for holder, parent in walk.maps:
            if self._names_any(holder):
                named.setdefault(parent, []).append(holder)
                changed.add(parent)

        def rename(parent: int) -> None:
            for holder in named.get(parent, ()):
                self._rename(holder, counts)

        if changed:
            walk.write(changed, rename)

    def _touched(self, slots: Sequence[Slot], exact: dict[str, str], until: float) -> list[Slot]:
        """Return the texts in which something may have been found."""
        if not slots:
            return []
        try:
            texts = [slot.before + slot.text for slot in slots]
            touched = _holding(self._words, texts, range(len(texts)))
            # Most texts have no digits, or few.
            numbered = [place for place, text in enumerate(texts) if _digit.search(text) is not None]
            long, any_ = self._numbers
            touched |= _holding(long, texts, [place for place in numbered if long.may_find(texts[place])])
            touched |= _holding(any_, texts, numbered)
        except Exception:  # noqa: BLE001 - whatever it is, each text is looked at by itself, and fails by itself
            return list(slots)
        if self._own is not None:
            for place, slot in enumerate(slots):
                if place not in touched and (time.thread_time() > until or self._own.may_find(slot.text)):
                    touched.add(place)
        if exact:
            touched.update(place for place, slot in enumerate(slots) if slot.text in exact)
        return [slots[place] for place in sorted(touched)]

    def found(self, text: str, before: str = "") -> list[Finding]:
        """Return what is found in a text and may not stay."""
        found = self._all.find(text, before=before)
        if self._allowed is None:
            return found
        return [one for one in found if not self._allowed.search(text[one.start : one.end].encode(errors="replace"))]

    def _redacted(self, slot: Slot, counts: Counter[str]) -> str:
        """Return a text as it may be stored."""
        text, here = slot.text, Counter[str]()
        try:
            # What was taken out may let something be seen beside it.
            for _ in range(_MOST_ROUNDS):
                found = self.found(text, slot.before)
                if not found:
                    break
                here.update(one.kind for one in found)
                dropped = next((one.kind for one in found if self.actions[one.kind] == "drop"), None)
                text = f"[{dropped}:dropped]" if dropped else self._replaced(text, found)
        except Exception:  # noqa: BLE001 - fails closed, whatever it is
            counts[FAILED] += 1
            return f"[redaction:{FAILED}]"
        counts.update(here)
        return text

    def _replaced(self, text: str, found: Sequence[Finding]) -> str:
        pieces: list[str] = []
        at = 0
        for one in found:
            pieces += (text[at : one.start], self._instead(one.kind, text[one.start : one.end]))
            at = one.end
        return "".join((*pieces, text[at:]))

    def _instead(self, kind: str, value: str) -> str:
        action = self.actions[kind]
        if action == "drop":
            return f"[{kind}:dropped]"
        # A key may have gone since the policy was set.
        if action == "mask" or self._keys is None or (action == "token" and len(value) > MOST_CHARACTERS):
            return f"[{kind.upper()}]"
        make: Callable[[str, str], str] = self._keys.digest if action == "hash" else self._keys.token
        return make(kind, value)

    def _skip(self, name: Any) -> bool:
        return self._left is not None and self._known(name) < 0

    def _known(self, name: Any) -> int:
        """Return -1 for the name of a field that is left alone, 1 for one that is personal data, 0 for others."""
        if not isinstance(name, str):
            return 0
        known = self._names.get(name)
        if known is None:
            encoded = name.encode(errors="replace")
            if self._left is not None and self._left.search(encoded) is not None:
                known = -1
            else:
                try:
                    known = int(bool(self.found(name, "")))
                except Exception:  # noqa: BLE001 - fails closed
                    known = 1
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            # What is personal data is not kept, in memory either.
            if known <= 0:
                self._names[name] = known
        return known

    def _names_any(self, holder: dict[str, Any]) -> bool:
        """Tell whether the name of a field is personal data."""
        names = self._names
        return any(names.get(name, 1) > 0 for name in holder) and any(self._known(name) > 0 for name in holder)

    def _rename(self, holder: dict[str, Any], counts: Counter[str]) -> None:
        """Replace the names of fields that are personal data."""
        items = list(holder.items())
        holder.clear()
        for name, value in items:
            new = name
            if self._known(name) > 0:
                new = self._redacted(Slot([], 0, "", name, -1), counts)
            number, free = 1, new
            while free in holder:
                number += 1
                free = f"{new} {number}"
            holder[free] = value


def _holding(scanner: Scanner, texts: Sequence[str], places: Sequence[int]) -> set[int]:
    """Return the places of those texts in which a scanner finds something, looked through in one piece."""
    if not places:
        return set()
    found = scanner.find(_APART.join([texts[place] for place in places]))
    if not found:
        return set()
    starts = list(itertools.accumulate((len(texts[place]) + len(_APART) for place in places), initial=0))
    touched: set[int] = set()
    for one in found:
        first, last = bisect.bisect_right(starts, one.start) - 1, bisect.bisect_left(starts, one.end)
        touched.update(places[first : min(last, len(places))])
    return touched


def _is_of_identity(before: str) -> bool:
    named = before.lower()
    return "user" in named or "session" in named or "conversation" in named or "thread" in named
