"""Which lines two texts share, found in bounded time."""

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

_MOST_PAIRS = 100
"""Places of a line on the one side times those on the other, up to which it is a place to begin an equal stretch at."""


def matcher(left: Sequence[str], right: Sequence[str]) -> SequenceMatcher[str]:
    """Return what finds equal stretches; lines that stand everywhere, such as blank ones, only go on with one.

    `SequenceMatcher` looks at each pair of equal lines anew for each stretch: with two thousand blank lines between others
    that takes minutes.
    """
    first, second = Counter(left), Counter(right)
    return SequenceMatcher(lambda line: first[line] * second[line] > _MOST_PAIRS, left, right, autojunk=False)
