"""Texts that are the same, nearly the same, or stand inside another one.

Same: the digest of the words (`words`). Nearly the same: the resemblance of Broder, "On the resemblance and containment of
documents" (1997), which is the Jaccard similarity of the sets of shingles, here of two words in a row (of three signs where
a script sets no spaces), since texts of a dozen words have few longer ones in common. Candidates come from MinHash with
banding (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3), with so many bands that a pair at the
threshold is missed less than once in a thousand; each is then verified on its shingles, so no pair is reported that is not
as similar as it says. Inside another one: shared n-grams of words, 13 as in appendix C of Brown et al., "Language models
are few-shot learners" (2020), whole texts where they are shorter.

Everything is deterministic, and takes time in proportion to the texts: of equal texts the first stands for the others, and
where a great many resemble each other each is compared with some, so that they hang together without all pairs of them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gimbal.engines.text.words import Words, is_unspaced, words_of
from gimbal.kernel.errors import BadInput

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
Sides = tuple[NDArray[np.bool_], NDArray[np.bool_]] | None
_PERMUTATIONS = 128
_MISSED = 0.001
_SEED = 1997
_TOLERANCE = 4.0
"""Standard errors of the estimate below the threshold at which a candidate is not looked at."""
_CROWD = 64
_IN_A_CROWD = 16
_LOOKED_AT = 20_000
"""Candidates whose shingles are in memory at a time."""
_LEAST_WORDS = 4.0
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two texts that have something to do with each other, by their places."""

    left: int
    """The place of the one, or of the text that is looked for."""
    right: int
    """The place of the other, or the number of the document that holds it."""
    similarity: float
    """Share of shingles in common; of a text in a document, share of its n-grams that stand there."""


def exact_key(text: str) -> str:
    """Return a digest that texts of the same words share."""
    return _digest(words_of(text)).hex()


def _digest(words: Sequence[str]) -> bytes:
    # What is no Unicode, as half a surrogate pair, is a text like any other here.
    return hashlib.blake2b("\0".join(words).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class _Numbers:
    """Texts as arrays of one number per word; for one call."""

    def __init__(self) -> None:
        self._words = Words()
        self._known: dict[str, int] = {}

    def of(self, words: Sequence[str]) -> Hashes:
        known = self._known
        for word in set(words).difference(known):
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            # The lowest bit tells a sign of a script without spaces from a word.
            alone = len(word) == 1 and is_unspaced(word)
            known[word] = int.from_bytes(digest, "little") & ~1 | alone
        return np.fromiter((known[word] for word in words), np.uint64, len(words))

    def words(self, text: str) -> list[str]:
        return self._words.of(text)

    def forget(self, *, beyond: int) -> None:
        """Keep what is remembered within bounds, between documents."""
        if len(self._known) > beyond:
            self._known.clear()


def _mixed(values: Hashes) -> Hashes:
    """Spread numbers over all bits: the finalizer of splitmix64 (Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _shingles(numbers: Hashes, texts: Places) -> tuple[Hashes, Places]:
    """Return the distinct shingles of words one after another, and of each the text that it is of, in order."""
    begins = np.concatenate([[True], texts[1:] != texts[:-1]])
    # A word that begins a text is the second of no shingle; one that is its whole text is a shingle by itself.
    whole = begins & np.concatenate([begins[1:], [True]])
    two = numbers[:-1] * _ODD + numbers[1:]
    held = ~begins[1:]
    three = two[:-1] * _ODD + numbers[2:]
    alone = (numbers[:-2] & numbers[1:-1] & numbers[2:] & np.uint64(1)).astype(bool) & held[:-1] & held[1:]
    two[:-1] = np.where(alone, three, two[:-1])
    # The last two signs of a text are in its last three.
    held[1:] &= ~(alone & np.concatenate([begins[3:], [True]]))
    shingles = _mixed(np.concatenate([numbers[whole], two[held]]))
    texts = np.concatenate([texts[whole], texts[:-1][held]])
    order = np.lexsort((shingles, texts))
    shingles, texts = shingles[order], texts[order]
    new = np.concatenate([[True], (texts[1:] != texts[:-1]) | (shingles[1:] != shingles[:-1])])
    return shingles[new], texts[new]


class _Texts:
    """Distinct texts of one or more lists: who has which, and their shingles one after another."""

    def __init__(self, texts: Iterable[str]) -> None:
        numbers = _Numbers()
        ranks: dict[bytes, int] = {}
        distinct: list[Hashes] = []
        places: list[int] = []
        for text in texts:
            words = numbers.words(text)
            if not words:
                # An empty text says nothing, and so nothing twice.
                places.append(-1)
                continue
            rank = ranks.setdefault(_digest(words), len(ranks))
            if rank == len(distinct):
                distinct.append(numbers.of(words))
            places.append(rank)
        of_all = np.concatenate(distinct) if distinct else np.zeros(0, np.uint64)
        of_which = np.repeat(np.arange(len(distinct)), [len(one) for one in distinct]).astype(np.int64)
        self.shingles, holders = _shingles(of_all, of_which) if distinct else (of_all, of_which)
        self.ranks: Places = np.array(places, np.int64)
        """Of each text the distinct one that it is; -1 for an empty one."""
        self.sizes: Places = np.bincount(holders, minlength=len(distinct)).astype(np.int64)
        self.starts: Places = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.sizes)

    def signatures(self) -> NDArray[np.uint32]:
        """Return the smallest value of each text's shingles under each of many orders."""
        chance = np.random.Generator(np.random.PCG64(_SEED))
        factors = chance.integers(0, 2**63, _PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        offsets = chance.integers(0, 2**63, _PERMUTATIONS, dtype=np.uint64)
        found = np.empty((_PERMUTATIONS, len(self)), np.uint32)
        for row, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            ordered = ((self.shingles * factor + offset) >> np.uint64(32)).astype(np.uint32)
            found[row] = np.minimum.reduceat(ordered, self.starts[:-1])
        return found.T

    def similarities(self, left: Places, right: Places) -> NDArray[np.float64]:
        """Return the exact share of shingles in common, of pairs."""
        found = np.empty(len(left))
        for begin in range(0, len(left), _LOOKED_AT):
            part = slice(begin, begin + _LOOKED_AT)
            found[part] = self._looked_at(left[part], right[part])
        return found

    def _looked_at(self, left: Places, right: Places) -> NDArray[np.float64]:
        sides = [self._of_pairs(left), self._of_pairs(right)]
        pairs = np.concatenate([pair for pair, _ in sides])
        shingles = np.concatenate([shingle for _, shingle in sides])
        order = np.lexsort((shingles, pairs))
        pairs, shingles = pairs[order], shingles[order]
        twice = (pairs[1:] == pairs[:-1]) & (shingles[1:] == shingles[:-1])
        common = np.bincount(pairs[1:][twice], minlength=len(left))
        return common / (self.sizes[left] + self.sizes[right] - common)

    def _of_pairs(self, texts: Places) -> tuple[Places, Hashes]:
        """Return the shingles of texts one after another, each with the place of its text in `texts`."""
        sizes = self.sizes[texts]
        pairs = np.repeat(np.arange(len(texts)), sizes)
        within = np.arange(len(pairs)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return pairs, self.shingles[self.starts[texts][pairs] + within]


def _bands(threshold: float) -> tuple[int, int]:
    """Return how many bands of how many rows miss hardly a pair at the threshold: the longest rows that do."""
    rows = 1
    for more in range(2, _PERMUTATIONS + 1):
        if (1 - threshold**more) ** (_PERMUTATIONS // more) > _MISSED:
            break
        rows = more
    return _PERMUTATIONS // rows, rows


def _candidates(signatures: NDArray[np.uint32], threshold: float, sides: Sides) -> tuple[Places, Places]:
    """Return pairs of texts that agree in all rows of at least one band, the smaller place first."""
    found: list[Places] = [np.zeros(0, np.int64)]
    bands, rows = _bands(threshold)
    count = len(signatures)
    for band in range(bands):
        key = np.zeros(count, np.uint64)
        for column in range(band * rows, (band + 1) * rows):
            key = _mixed(key * _ODD + signatures[:, column])
        order = np.argsort(key, kind="stable")
        cuts = np.flatnonzero(np.diff(key[order])) + 1
        starts = np.concatenate([[0], cuts])
        sizes = np.diff(np.concatenate([starts, [count]]))
        found.extend(_in_bucket(order[at : at + size], count, sides) for at, size in _shared(starts, sizes))
    both = np.unique(np.concatenate(found))
    return both // count, both % count


def _shared(starts: Places, sizes: Places) -> Iterator[tuple[int, int]]:
    several = sizes > 1
    yield from zip(starts[several].tolist(), sizes[several].tolist(), strict=True)


def _in_bucket(members: Places, count: int, sides: Sides) -> Places:
    """Return pairs of a bucket's texts as one number each; of a crowd each text with the first few of all, or of the other side."""
    if sides is None:
        some = others = members
    else:
        some, others = (members[side[members]] for side in sides)
    if len(members) <= _CROWD:
        pairs = _each(some, others)
    elif sides is None:
        pairs = _each(some[:_IN_A_CROWD], others)
    else:
        # The few of one side may be a crowd's first in all buckets: without those of the other, most would meet nobody.
        pairs = np.concatenate([_each(some[:_IN_A_CROWD], others), _each(some, others[:_IN_A_CROWD])], axis=1)
    left, right = pairs.min(axis=0), pairs.max(axis=0)
    return (left * count + right)[left < right]


def _each(some: Places, others: Places) -> Places:
    """Return every one of some texts with every one of others, as two rows."""
    return np.stack([np.repeat(some, len(others)), np.tile(others, len(some))])


def _resembling(texts: _Texts, threshold: float, sides: Sides = None) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of distinct texts that are as similar as the threshold, in the order of their places.

    `sides` tells of each text whether it is in the one list and in the other, where only pairs of both are wanted.
    """
    if not 0 < threshold <= 1:
        raise BadInput(f"A similarity of {threshold} is none.", where="threshold", todo="Give one from above 0 to 1.")
    if len(texts) < 2:
        return
    signatures = texts.signatures()
    left, right = _candidates(signatures, threshold, sides)
    slack = _TOLERANCE * (threshold * (1 - threshold) / _PERMUTATIONS) ** 0.5
    for begin in range(0, len(left), _LOOKED_AT):
        some, others = left[begin : begin + _LOOKED_AT], right[begin : begin + _LOOKED_AT]
        likely = (signatures[some] == signatures[others]).mean(axis=1) >= threshold - slack
        some, others = some[likely], others[likely]
        exact = texts.similarities(some, others)
        close = exact >= threshold
        yield from zip(some[close].tolist(), others[close].tolist(), exact[close].tolist(), strict=True)


def duplicates(texts: Sequence[str], *, threshold: float = 0.8) -> list[Pair]:
    """Return pairs within a list whose similarity reaches the threshold, `left` before `right`, in order.

    Equal texts have 1.0, and each later one is paired with the first of them, which stands for them in other pairs. Empty
    texts are in no pair. Raise BadInput for a threshold that is not above 0 and at most 1.
    """
    known = _Texts(texts)
    _, first, inverse = np.unique(known.ranks, return_index=True, return_inverse=True)
    firsts: list[int] = first[inverse].tolist()
    found = [
        Pair(left=before, right=at, similarity=1.0)
        for at, (before, rank) in enumerate(zip(firsts, known.ranks.tolist(), strict=True))
        if rank >= 0 and before < at
    ]
    # Distinct texts are numbered as they come: the smaller rank comes first.
    place = {rank: at for at, rank in reversed(list(enumerate(known.ranks.tolist())))}
    for one, other, similarity in _resembling(known, threshold):
        found.append(Pair(left=place[one], right=place[other], similarity=similarity))
    return sorted(found, key=_in_order)


def between(left: Sequence[str], right: Sequence[str], *, threshold: float = 0.8) -> list[Pair]:
    """Return pairs of a text of one list with one of another whose similarity reaches the threshold, in order.

    Equal texts have 1.0. Of equal texts in one list the first stands for them, while each of them is in a pair: with the
    first of those that it resembles. Raise BadInput for a threshold that is not above 0 and at most 1.
    """
    known = _Texts([*left, *right])
    holders: tuple[dict[int, list[int]], dict[int, list[int]]] = ({}, {})
    for at, rank in enumerate(known.ranks.tolist()):
        side, place = (0, at) if at < len(left) else (1, at - len(left))
        if rank >= 0:
            holders[side].setdefault(rank, []).append(place)
    pairs: dict[tuple[int, int], float] = {}

    def pair(one: int, other: int, similarity: float) -> None:
        some, others = holders[0].get(one, []), holders[1].get(other, [])
        pairs.update({(at, others[0]): similarity for at in some if others})
        pairs.update({(some[0], at): similarity for at in others if some})

    for rank in holders[0]:
        pair(rank, rank, 1.0)
    sides = (np.zeros(len(known), np.bool_), np.zeros(len(known), np.bool_))
    for side, held in zip(sides, holders, strict=True):
        side[list(held)] = True
    for one, other, similarity in _resembling(known, threshold, sides):
        pair(one, other, similarity)
        pair(other, one, similarity)
    return sorted((Pair(left=a, right=b, similarity=s) for (a, b), s in pairs.items()), key=_in_order)


def _in_order(pair: Pair) -> tuple[int, int]:
    return pair.left, pair.right


def _grams(numbers: Hashes, width: int) -> Hashes:
    """Return a number for each run of `width` words."""
    count = len(numbers) - width + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    found = np.zeros(count, np.uint64)
    for at in range(width):
        found = found * _ODD + numbers[at : at + count]
    return _mixed(found)


def _long_enough(numbers: Hashes) -> bool:
    """Tell whether a text says enough to be told from common words: four of them, or eight signs."""
    return len(numbers) - 0.5 * int((numbers & np.uint64(1)).sum()) >= _LEAST_WORDS


def contained(needles: Sequence[str], haystacks: Iterable[tuple[int, str]], *, n: int = 13) -> list[Pair]:
    """Return which texts stand inside which documents, with the share of each text's distinct n-grams that is there.

    A text of fewer than `n` words is looked for as a whole; one of fewer than four words (eight signs, where a script sets
    no spaces) is in too many documents by chance to be looked for. Documents are read one after another; `right` is the
    number that came with one.
    """
    if n < 1:
        raise BadInput("An n-gram has at least one word.", where="n", todo="Give 13, as is usual.")
    numbers = _Numbers()
    of_width: dict[int, list[tuple[Hashes, int]]] = {}
    wanted: dict[int, int] = {}
    for at, needle in enumerate(needles):
        known = numbers.of(numbers.words(needle))
        if not _long_enough(known):
            continue
        width = min(n, len(known))
        grams = np.unique(_grams(known, width))
        wanted[at] = len(grams)
        of_width.setdefault(width, []).append((grams, at))
    widths = {width: _owned(owned) for width, owned in of_width.items()}
    found: dict[tuple[int, int], int] = {}
    for number, text in haystacks:
        held = numbers.of(numbers.words(text))
        for width, (grams, owners) in widths.items():
            there = np.unique(_grams(held, width))
            # Looked up, so that a document takes the time of its own words, however many texts are looked for.
            first, last = np.searchsorted(grams, there, "left"), np.searchsorted(grams, there, "right")
            sizes = last - first
            matched = np.repeat(last - np.cumsum(sizes), sizes) + np.arange(int(sizes.sum()))
            for owner, count in Counter(owners[matched].tolist()).items():
                # Of several parts of a document the one that holds the most of a text counts.
                found[owner, number] = max(count, found.get((owner, number), 0))
        numbers.forget(beyond=1_000_000)
    pairs = (Pair(left=at, right=number, similarity=count / wanted[at]) for (at, number), count in found.items())
    return sorted(pairs, key=_in_order)


def _owned(owned: Sequence[tuple[Hashes, int]]) -> tuple[Hashes, Places]:
    """Return all n-grams of texts in their order, each with its text."""
    owners = np.repeat([at for _, at in owned], [len(grams) for grams, _ in owned]).astype(np.int64)
    grams = np.concatenate([grams for grams, _ in owned])
    order = np.argsort(grams, kind="stable")
    return grams[order], owners[order]
