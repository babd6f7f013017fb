"""A suite's examples beside texts from elsewhere, and beside each other. Pure: texts in, findings out."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from gimbal.axis.evals.contaminating.model import KINDS, MOST_NAMED, Repeated, Split
from gimbal.axis.evals.contaminating.reading import Passage, leaves, says_enough, text_of
from gimbal.axis.evals.model import Example
from gimbal.engines.text.near import between, contained, duplicates, exact_key

_SHOWN = 200
_AROUND = 40
_NEEDLE = 24
_AT_A_TIME = 100_000
"""Texts whose signatures are in memory at once; of short rows a version has millions."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """An example and a text that holds it, by their places."""

    example: int
    passage: int
    kind: str
    similarity: float
    needle: str
    """The text of the example that was found."""

    @property
    def rank(self) -> tuple[bool, float, int]:
        """What sorts hits: see `rank_of`."""
        return rank_of(self.kind, self.similarity)


def rank_of(kind: str, similarity: float) -> tuple[bool, float, int]:
    """Return what sorts findings: the same words first, then by what is in common."""
    return kind != "exact", -similarity, KINDS.index(kind)


class Sought:
    """What is looked for of each example: its whole input, and the parts of it that no other example has."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.texts = [text_of(example.input) for example in examples]
        """The whole input of each."""
        parts = [list(leaves(example.input)) for example in examples]
        # A context that several examples share does not tell which of them was seen.
        common = Counter(key for row in parts for key in {exact_key(part) for part in row})
        self.needles = list(self.texts)
        self.owners = list(range(len(examples)))
        for owner, row in enumerate(parts):
            for part in row if len(row) > 1 else ():
                if common[exact_key(part)] == 1 and says_enough(part):
                    self.needles.append(part)
                    self.owners.append(owner)

    def hits(self, passages: Sequence[Passage], threshold: float, n: int) -> list[Hit]:
        """Return every example and passage that have the same text, the strongest way of it once."""
        alike = [at for at, passage in enumerate(passages) if passage.part != "document"]
        held = [(at, passage.text) for at, passage in enumerate(passages) if passage.part != "line"]
        best: dict[tuple[int, int], Hit] = {}
        for begin in range(0, len(alike), _AT_A_TIME):
            some = alike[begin : begin + _AT_A_TIME]
            for pair in between(self.needles, [passages[at].text for at in some], threshold=threshold):
                at = some[pair.right]
                same = pair.similarity == 1 and exact_key(self.needles[pair.left]) == exact_key(passages[at].text)
                self._take(best, pair.left, at, "exact" if same else "near", pair.similarity)
        for pair in contained(self.needles, held, n=n):
            if pair.similarity >= threshold:
                self._take(best, pair.left, pair.right, "contained", pair.similarity)
        return list(best.values())

    def _take(self, best: dict[tuple[int, int], Hit], needle: int, passage: int, kind: str, similarity: float) -> None:
        text = self.needles[needle]
        hit = Hit(example=self.owners[needle], passage=passage, kind=kind, similarity=round(similarity, 4), needle=text)
        known = best.get((hit.example, passage))
        if known is None or hit.rank < known.rank:
            best[hit.example, passage] = hit


def shown(text: str, around: str = "") -> str:
    """Return a text in one line and short; of a long one the part where another one stands, if that is found."""
    start = 0
    if around and len(text) > _SHOWN:
        at = text.casefold().find(around.casefold().strip()[:_NEEDLE])
        start = max(0, at - _AROUND)
    part = " ".join(text[start : start + _SHOWN * 4].split())
    cut = part[:_SHOWN]
    more = len(cut) < len(part) or start + _SHOWN * 4 < len(text)
    # An answer in JSON has to be UTF-8, which half a surrogate pair is not.
    whole = f"{'…' if start else ''}{cut}{'…' if more else ''}"
    return whole.encode("utf-8", "replace").decode()


def inside(examples: Sequence[Example], texts: Sequence[str], threshold: float) -> list[Repeated]:
    """Return pairs of a suite's own examples that are the same, or nearly."""
    return [
        Repeated(
            left=examples[pair.left].id,
            right=examples[pair.right].id,
            kind="exact" if exact_key(texts[pair.left]) == exact_key(texts[pair.right]) else "near",
            similarity=round(pair.similarity, 4),
            apart=_cluster(examples[pair.left]) != _cluster(examples[pair.right]),
            excerpt=shown(texts[pair.left]),
        )
        for pair in duplicates(texts, threshold=threshold)
    ]


def _cluster(example: Example) -> str:
    return example.cluster or example.id


def split_clusters(examples: Sequence[Example], pairs: Sequence[Repeated]) -> list[Split]:
    """Return groups of clusters that hang together by examples which are alike, in the order of the suite."""
    of_example = {example.id: _cluster(example) for example in examples}
    above = {cluster: cluster for cluster in of_example.values()}

    def top(cluster: str) -> str:
        while above[cluster] != cluster:
            above[cluster] = above[above[cluster]]
            cluster = above[cluster]
        return cluster

    for pair in pairs:
        above[top(of_example[pair.right])] = top(of_example[pair.left])
    groups: dict[str, list[str]] = {}
    for cluster in above:
        groups.setdefault(top(cluster), []).append(cluster)
    return [Split(clusters=group[:MOST_NAMED], count=len(group)) for group in groups.values() if len(group) > 1]
