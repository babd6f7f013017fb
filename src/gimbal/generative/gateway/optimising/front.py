"""Which candidate goes on: one that is best at something, the more often the likelier.

Candidates that are best on average alone would all be alike; the front keeps each that no other matches on some example,
and leaves out those whose examples another one covers (Agrawal et al., arXiv 2507.19457, section 3.3).
"""

from collections.abc import Mapping, Sequence

_SAME = 1e-9


def covered(marks: Sequence[Mapping[str, float]]) -> dict[int, set[str]]:
    """Return the examples that each candidate of the front is best at; dominated candidates are not there."""
    wins: dict[int, set[str]] = {place: set() for place in range(len(marks))}
    for example in {name for found in marks for name in found}:
        best = max(found[example] for found in marks if example in found)
        for place, found in enumerate(marks):
            if example in found and found[example] >= best - _SAME:
                wins[place].add(example)
    kept = {place: found for place, found in wins.items() if found}
    # The smallest first: of two that win the same, the earlier stays.
    for place in sorted(kept, key=lambda place: (len(kept[place]), -place)):
        others: set[int] = set(kept) - {place}
        if any(kept[place] <= kept[other] for other in others):
            del kept[place]
    return kept
