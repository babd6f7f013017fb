"""Inputs that are the same, or nearly: one of them is enough, and two would count as two observations.

What hangs together by pairs that are alike counts as one thing, of which one is taken (connected components, as is usual
where MinHash finds the pairs): `near` does not tell all pairs of a crowd, but nobody of it is left alone.
"""

from collections.abc import Sequence

from gimbal.axis.evals.building.model import Drop
from gimbal.engines.text.near import between, duplicates, exact_key

_KNOWN = -1
_NOTHING = exact_key("")


class Known:
    """The inputs that a suite has."""

    def __init__(self, threshold: float) -> None:
        """Make it empty; from `threshold` on two inputs are the same."""
        self.threshold = threshold
        self.keys: set[str] = set()
        self.texts: list[str] = []

    def take(self, texts: Sequence[str]) -> None:
        """Take inputs that are there."""
        self.keys.update(map(_key, texts))
        self.texts += texts


class Among:
    """New inputs, of which some are taken one after the other."""

    def __init__(self, known: Known, texts: Sequence[str]) -> None:
        """Compare new inputs with those that are there, and with each other."""
        self._known = known
        self._texts = texts
        self._keys = [_key(text) for text in texts]
        self._groups: dict[int, int] = {}
        if known.threshold < 1:
            for pair in duplicates(texts, threshold=known.threshold):
                self._join(pair.left, pair.right)
            for pair in between(texts, known.texts, threshold=known.threshold):
                self._join(pair.left, _KNOWN)
        self._taken: set[int] = set()

    def reason(self, place: int) -> str:
        """Return why the input at a place is not wanted; empty where it is."""
        if self._keys[place] in self._known.keys:
            return Drop.DUPLICATE
        group = self._group(place)
        return Drop.NEAR_DUPLICATE if group == self._group(_KNOWN) or group in self._taken else ""

    def take(self, place: int) -> None:
        """Take the input at a place."""
        self._taken.add(self._group(place))
        self._known.take([self._texts[place]])

    def _join(self, one: int, other: int) -> None:
        one, other = self._group(one), self._group(other)
        self._groups[max(one, other)] = min(one, other)

    def _group(self, place: int) -> int:
        """Return the first place of the group that a place is in."""
        while (above := self._groups.get(place, place)) != place:
            self._groups[place] = self._groups.get(above, above)
            place = above
        return place


def _key(text: str) -> str:
    """Return what equal inputs share; of one without words the text itself."""
    key = exact_key(text)
    return f"={text}" if key == _NOTHING else key
