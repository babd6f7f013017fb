"""Examples to show: which of them, and how many.

Sets are drawn at random and grown or shrunk from the best of them (bootstrapped few-shot with random search: Khattab et
al., arXiv 2310.03714); within a set the examples are as far from each other as can be, by the words that they share
(Jaccard 1912).
"""

import re
from collections.abc import Sequence

import numpy as np

from gimbal.generative.gateway.optimising.candidates import Shot

MOST = 8
_SIZES = (1, 2, 4, MOST)
_WORD = re.compile(r"\w+")
_MOST_WORDS = 500


def words(text: str) -> frozenset[str]:
    """Return the words of a text; of a long one, of its beginning."""
    return frozenset(_WORD.findall(text[: _MOST_WORDS * 20].lower())[:_MOST_WORDS])


def distance(one: frozenset[str], other: frozenset[str]) -> float:
    """Return 0 for the same words and 1 for none in common."""
    either = one | other
    return 1 - len(one & other) / len(either) if either else 0.0


def drawn(pool: Sequence[Shot], rng: np.random.Generator) -> tuple[Shot, ...]:
    """Return a set of a size by chance: the first by chance, each next the farthest of some others from those that are in."""
    sizes = [size for size in _SIZES if size <= len(pool)] or [1]
    size = sizes[int(rng.integers(len(sizes)))]
    rest = [pool[place] for place in rng.permutation(len(pool))]
    found = [rest.pop(0)]
    while len(found) < size:
        # Of a few, so that two sets of one size differ.
        some = rest[: max(3, len(rest) // 2)]
        found.append(_farthest(found, some))
        rest.remove(found[-1])
        rest = [rest[place] for place in rng.permutation(len(rest))]
    return tuple(found)


def neighbour(shots: Sequence[Shot], pool: Sequence[Shot], rng: np.random.Generator) -> tuple[Shot, ...]:
    """Return a set that has one example more or less than a good one."""
    others = [shot for shot in pool if shot not in shots]
    grow = bool(others) and len(shots) < MOST and (len(shots) < 2 or rng.random() < 0.5)
    if grow:
        some = [others[place] for place in rng.permutation(len(others))][: max(3, len(others) // 2)]
        return (*shots, _farthest(shots, some))
    if len(shots) < 2:
        return tuple(shots)
    out = int(rng.integers(len(shots)))
    return tuple(shot for place, shot in enumerate(shots) if place != out)


def _farthest(shots: Sequence[Shot], some: Sequence[Shot]) -> Shot:
    inside = [words(shot.user) for shot in shots]
    return max(some, key=lambda shot: min((distance(words(shot.user), one) for one in inside), default=1.0))
