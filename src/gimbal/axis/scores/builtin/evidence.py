"""Whether passages say what a claim says, by words: deterministic, free, and deaf to meaning.

A claim is supported where enough of its content words stand within three sentences of a passage, together with every
number, date and name in it, and where the sentence that is nearest to it is negated as it is. Words are compared by
their English stems; of scripts without spaces, pairs of characters stand for words. The measure is that of lexical
entailment (Glickman, Dagan and Koppel 2005: the share of the hypothesis' words that the text has), with the guards
against what it is known to miss: swapped numbers, swapped names and negation.
"""

import functools
import re
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import snowballstemmer

from gimbal.axis.scores.builtin.claims import clauses, sentences
from gimbal.axis.scores.builtin.texts import TOO_LONG, missing
from gimbal.axis.scores.model import ScoreValue

THRESHOLD = 0.7
MOST_CLAIMS = 500
MOST_TEXT, MOST_CONTEXT = 500_000, 1_000_000
# Each comparison is of one claim with three sentences; this many take a few seconds.
_MOST_WINDOWS = 500_000
_SPAN = 3
_LONGEST_PIECE = 500
"""Characters of a passage that count as standing in one sentence, at most."""
_TOKEN = re.compile(r"\d{4}-\d\d-\d\d(?!\d)|\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]{2}")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_YEAR = "january february march april may june july august september october november december"
_MONTHS = {
    name[:size]: f"month {place}" for place, name in enumerate(_YEAR.split(), start=1) for size in (3, 4, len(name))
}
_UP_FROM_TWO = "two three four five six seven eight nine ten eleven twelve"
_COUNTED = {name: str(number) for number, name in enumerate(_UP_FROM_TWO.split(), start=2)}
_STOP_TEXT = """
a about after all also am an and any are as at be because been before being both but by can could did do does doing
each for from further get gets had has have having he her here hers him his how i if in into is it its itself just let
may me might more most much must my of off on once one only or other our out over own per please same shall she should
so some such than that the their them then there these they this those through to too under until up upon very was we
were what when where which while who whom whose why will with would yes you your yours ok sure aber als auch auf aus
bei das dass dem den der des die du ein eine einem einen einer eines er es für hat ich ihr im ist ja mit nach oder
sich sie sind und uns vom von vor war waren wie wir wird zu zum zur au aux avec ce ces cette dans de elle elles en est
et il ils je la le les leur lui mais nous ou par pour qu que qui sa se ses son sont sur un une vous al como con del el
ella esta este las lo los más mi o para pero por si su sus una y
"""
_STOP = frozenset(_STOP_TEXT.split())
_NEGATIONS_TEXT = """
no not never none nobody nothing nowhere neither nor cannot without nicht kein keine keinen keinem keiner nie niemals
nichts ohne pas jamais aucun aucune sans rien nunca jamás sin nada ningún ninguna
"""
_NEGATIONS = frozenset(_NEGATIONS_TEXT.split())
_NEGATING = re.compile("[不没沒無无未非]|ない|ません|なかった")


class _OfThread(threading.local):
    """A stemmer keeps the word that it works on, so each thread has its own."""

    def __init__(self) -> None:
        self.stemmer = snowballstemmer.stemmer("english")


_own = _OfThread()


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a piece of text."""

    words: frozenset[str]
    """Stems of its content words, and its numbers."""
    must: frozenset[str]
    """Those of them that have to agree: numbers, dates and names."""
    negated: bool
    """Whether it denies something."""


class TooMuch(Exception):
    """Comparing would take the evaluation's time for itself."""


class Evidence:
    """Passages, ready to be asked for what they say."""

    def __init__(self, passages: Iterable[str]) -> None:
        self._units: list[Read] = []
        self._passage: list[int] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        self._known: dict[tuple[Read, float], str] = {}
        self._left = _MOST_WINDOWS
        for number, passage in enumerate(passages):
            for sentence in sentences(passage, whole=True):
                for piece in _pieces(sentence):
                    self._add(read(piece), number)

    def _add(self, unit: Read, passage: int) -> None:
        for word in unit.words:
            self._places[word].append(len(self._units))
        self._units.append(unit)
        self._passage.append(passage)

    def objection(self, claim: str, threshold: float = THRESHOLD) -> str:
        """Return why the passages do not support a claim, empty where they do; raise TooMuch when asking takes too long."""
        wanted = read(claim)
        key = (wanted, threshold)
        if key not in self._known:
            self._known[key] = self._objection(wanted, threshold)
        return self._known[key]

    def _objection(self, wanted: Read, threshold: float) -> str:
        hits: dict[int, set[str]] = defaultdict(set)
        for word in wanted.words:
            for place in self._places.get(word, ()):
                hits[place].add(word)
        best, reason = 0.0, "nothing of it is there"
        starts = sorted({max(0, place - back) for place in hits for back in range(_SPAN)})
        self._left -= len(starts)
        if self._left < 0:
            raise TooMuch
        for start in starts:
            there = [i for i in range(start, start + _SPAN) if i in hits and self._passage[i] == self._passage[start]]
            found: set[str] = set().union(*(hits[i] for i in there))
            share = len(found) / len(wanted.words)
            problem = self._problem(wanted, found, share, threshold, [(len(hits[i]), i) for i in there])
            if not problem:
                return ""
            if share > best:
                best, reason = share, problem
        return reason

    def _problem(
        self, wanted: Read, found: set[str], share: float, threshold: float, near: Sequence[tuple[int, int]]
    ) -> str:
        if share < threshold:
            return f"{share:.0%} of its words are there together"
        lacking = sorted(wanted.must - found)
        if lacking:
            return f"{lacking[0]} is not there"
        # The nearest sentences decide: one that shares a single word may deny something else.
        most = max((count for count, _ in near), default=0)
        if all(self._units[i].negated != wanted.negated for count, i in near if count == most):
            return "a passage denies it" if not wanted.negated else "a passage affirms what it denies"
        return ""


def objections(evidence: Evidence, claims: Sequence[str], threshold: float) -> list[str] | ScoreValue:
    """Return why each claim is not supported, or what to say where that would take too long."""
    try:
        return [evidence.objection(claim, threshold) for claim in claims]
    except TooMuch:
        return missing(TOO_LONG, f"claims and passages would take more than {_MOST_WINDOWS} comparisons")


def _pieces(sentence: str) -> Iterator[str]:
    """Yield the clauses of a sentence; one that has no end, as in a log or a list of words, is cut."""
    for clause in clauses(sentence):
        begin = 0
        while len(clause) - begin > _LONGEST_PIECE:
            space = clause.rfind(" ", begin + 1, begin + _LONGEST_PIECE)
            end = space if space > begin else begin + _LONGEST_PIECE
            yield clause[begin:end]
            begin = end
        yield clause[begin:]


def read(text: str) -> Read:
    """Return what counts of a sentence or clause."""
    plain = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
    spelled = _TOKEN.findall(plain)
    folded = [token.casefold() for token in spelled]
    found: list[str] = []
    must: set[str] = set()
    capital = _names(spelled)
    for place, word in enumerate(folded):
        keys, strict = _keys(word, folded[max(0, place - 1) : place + 2])
        found.extend(keys)
        if strict or (place in capital and word not in _STOP):
            must.update(keys)
    negated = any(word in _NEGATIONS or word.endswith("n't") for word in folded) or bool(_NEGATING.search(plain))
    return Read(words=frozenset(found), must=frozenset(must), negated=negated)


def content_words(text: str) -> frozenset[str]:
    """Return the stems of the content words of a text."""
    return read(text).words


def _keys(word: str, near: Sequence[str]) -> tuple[list[str], bool]:
    """Return under what a word is compared, and whether it has to agree."""
    if word[0].isdigit():
        return _numbers(word), True
    if word in _COUNTED:
        return [_COUNTED[word]], True
    if word in _MONTHS and any(other[0].isdigit() for other in near):
        return [_MONTHS[word]], True
    if word in _STOP or word in _NEGATIONS or word.endswith("n't"):
        return [], False
    if _UNSPACED.search(word):
        return [word[i : i + 2] for i in range(len(word) - 1)], False
    return [stem(word.removesuffix("'s"))], False


def _numbers(word: str) -> list[str]:
    if "-" in word:
        year, month, day = word.split("-")
        return [year, f"month {int(month)}", str(int(day))]
    plain = word.replace(",", "") if _THOUSANDS.fullmatch(word) else word
    whole, point, rest = plain.partition(".")
    if not rest.isdigit():
        return [plain.lstrip("0") or "0"]
    return [f"{whole.lstrip('0') or '0'}{point}{rest}".rstrip("0").rstrip(".")]


def _names(spelled: Sequence[str]) -> set[int]:
    """Return the places of words that are names by their capitals; none where most words have one, as in a heading."""
    large = {i for i, token in enumerate(spelled) if token[0].isupper()}
    if 2 * len(large) > max(3, len(spelled)) and len(spelled) > 3:
        return set()
    return {i for i in large if i > 0 or (len(spelled[i]) > 1 and spelled[i].isupper())}


@functools.lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the English stem of a lower-case word; a very long one is left as it is."""
    return _own.stemmer.stemWord(word) if len(word) <= 40 else word
