"""Okapi BM25 over term lists: score(q, d) = Σ idf(t) · tf·(k1+1) / (tf + k1·(1 − b + b·|d|/avg|d|)).

idf(t) = ln(1 + (N − n + ½) / (n + ½)), never negative (Robertson and Zaragoza, The Probabilistic Relevance Framework,
2009, with the +1 of Lucene). Postings are three flat arrays, so that they are written without pickle, byte for byte the
same each time; equal scores keep the order of the documents. It is our own because of that: bm25s ties its file format
and its vocabulary order to its own release, rank-bm25 (last release 2022) scans every document and can only be pickled.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


class Postings(msgspec.Struct, frozen=True, kw_only=True):
    """The inverted index as bytes; integers are little-endian int32."""

    vocabulary: list[str]
    """Terms, sorted."""
    offsets: bytes
    """Where each term's postings start, and one more: the end."""
    documents: bytes
    """Document number per posting, ascending within a term."""
    frequencies: bytes
    """How often the term is in that document."""
    lengths: bytes
    """Terms per document."""


class Bm25:
    """Ranks documents by number; immutable."""

    def __init__(self, postings: Postings, *, k1: float, b: float) -> None:
        self.postings = postings
        self.k1 = k1
        self._slots = {term: slot for slot, term in enumerate(postings.vocabulary)}
        self._offsets = _ints(postings.offsets)
        self._documents = _ints(postings.documents)
        self._frequencies = _ints(postings.frequencies).astype(np.float64)
        lengths = _ints(postings.lengths).astype(np.float64)
        self.size = len(lengths)
        average = float(lengths.mean()) if self.size and lengths.any() else 1.0
        self._norms: Floats = k1 * (1 - b + b * lengths / average)

    @classmethod
    def build(cls, documents: Sequence[Sequence[str]], *, k1: float = 1.2, b: float = 0.75) -> "Bm25":
        """Index documents that are given as terms."""
        postings: dict[str, list[tuple[int, int]]] = {}
        for number, terms in enumerate(documents):
            for term, count in Counter(terms).items():
                postings.setdefault(term, []).append((number, count))
        vocabulary = sorted(postings)
        rows = [pair for term in vocabulary for pair in postings[term]]
        sizes = np.cumsum([0, *(len(postings[term]) for term in vocabulary)])
        return cls(
            Postings(
                vocabulary=vocabulary,
                offsets=_bytes(sizes),
                documents=_bytes([number for number, _ in rows]),
                frequencies=_bytes([count for _, count in rows]),
                lengths=_bytes([len(terms) for terms in documents]),
            ),
            k1=k1,
            b=b,
        )

    def idf(self, term: str) -> float:
        """Return the weight of a term: ln(1 + (N − n + ½) / (n + ½)); a term that no document has weighs most."""
        slot = self._slots.get(term)
        holders = 0 if slot is None else int(self._offsets[slot + 1] - self._offsets[slot])
        return float(np.log1p((self.size - holders + 0.5) / (holders + 0.5)))

    def scores(self, query: Sequence[str]) -> Floats:
        """Return one score per document; a term that the query repeats counts as often."""
        total: Floats = np.zeros(self.size)
        for term, times in Counter(query).items():
            slot = self._slots.get(term)
            if slot is None:
                continue
            rows = slice(int(self._offsets[slot]), int(self._offsets[slot + 1]))
            numbers, counts = self._documents[rows], self._frequencies[rows]
            total[numbers] += times * self.idf(term) * counts * (self.k1 + 1) / (counts + self._norms[numbers])
        return total

    def top(self, query: Sequence[str], k: int) -> list[tuple[int, float]]:
        """Return the best `k` documents that have a term of the query, as (number, score), best first."""
        scores = self.scores(query)
        found = np.flatnonzero(scores > 0)
        order = found[np.lexsort((found, -scores[found]))][:k]
        return [(int(number), float(scores[number])) for number in order]


def _ints(raw: bytes) -> Ints:
    return np.frombuffer(raw, dtype="<i4")


def _bytes(values: Sequence[int] | npt.NDArray[np.int64]) -> bytes:
    return np.asarray(values, dtype="<i4").tobytes()
