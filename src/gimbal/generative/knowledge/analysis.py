"""Text into tokens (for sizes and for the local answerer's bill) and into terms (for ranking), both deterministic.

Tokens are pieces of at most eight letters, runs of up to three digits, and single marks: the counts lie near those of
common byte-pair vocabularies for English prose without needing one, and are named `gimbal-pieces-1` wherever they are
shown. Terms are lower-case stems (Snowball English) of words; identifiers such as `move_alias`, `gimbal.run` or
`/v2/models` count both whole and in parts.
"""

import functools
import re
import threading
import unicodedata
from importlib.metadata import version

import snowballstemmer

TOKENIZER = "gimbal-pieces-1"
ANALYZER = f"english-snowball-{version('snowballstemmer')}-1"

_PIECE = re.compile(r"[^\W\d_]{1,8}|\d{1,3}|[^\w\s]|_+")
_COMPOUND = re.compile(r"\w+(?:[._/:@-]\w+)*")
_PART = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class _OfThread(threading.local):
    """A stemmer keeps the word that it works on, so each thread has its own: two at one word would both get it wrong."""

    def __init__(self) -> None:
        self.stemmer = snowballstemmer.stemmer("english")


_own = _OfThread()

# Words that say nothing about the subject. Question words are here too: what they ask for is weighed elsewhere.
_STOP = """
a about after again all also am an and any are as at be because been before being between both but by can could
did do does doing done down during each few for from further get gets had has have having he her here hers him
his how i if in into is it its itself just let me more most much my no nor not of off on once one only or other
our out over own per please same she should so some such tell than that the their them then there these they
this those through to too under until up use used uses using very was we were what when where which while who
whom whose why s t will with would you your yours
"""
STOPWORDS = frozenset(_STOP.split())


def count_tokens(text: str) -> int:
    """Return how many tokens `text` has by the tokenizer `gimbal-pieces-1`."""
    return sum(1 for _ in _PIECE.finditer(text))


def split_tokens(text: str) -> list[str]:
    """Return the tokens with the white space that follows each, so that joining them gives `text` again.

    White space before the first token belongs to it. A text without any token is one token, an empty one none.
    """
    starts = [match.start() for match in _PIECE.finditer(text)]
    if not starts:
        return [text] if text else []
    edges = [0, *starts[1:], len(text)]
    return [text[edges[i] : edges[i + 1]] for i in range(len(starts))]


@functools.lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the Snowball stem of a lower-case word."""
    return _own.stemmer.stemWord(word)


@functools.lru_cache(maxsize=65_536)
def _terms_of(compound: str) -> tuple[str, ...]:
    parts = [part.lower() for piece in _CAMEL.split(compound) for part in _PART.findall(piece)]
    found = [stem(part) for part in parts if part not in STOPWORDS]
    whole = compound.lower()
    if len(parts) > 1 and whole not in parts:
        found.append(whole)
    return tuple(found)


def terms(text: str) -> list[str]:
    """Return the terms of `text` in order, stop words left out."""
    normal = unicodedata.normalize("NFKC", text)
    return [term for match in _COMPOUND.finditer(normal) for term in _terms_of(match[0])]
