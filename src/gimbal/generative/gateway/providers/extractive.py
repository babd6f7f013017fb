"""A real extractive answerer: it says nothing that the context does not say, and says so when it says nothing.

Every unit of the context (a sentence, list item, table row or code block) is scored by what it and its surroundings
share with the question: BM25 over units, weighted by how rare a word is in this context; a part of the weight for words
in the heading and in what leads into the unit; what kind of answer the question asks for (a number, a command, a
reason, a definition); and how well its passage was ranked. The best units are shown with their source markers, further
ones only while they cover something of the question that is not covered yet. Below a coverage of the question's weight
the answer is that it does not know. Deterministic; no model, no network.
"""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from gimbal.generative.gateway.providers.reading import Passage, Reading
from gimbal.generative.gateway.providers.units import Unit, units
from gimbal.generative.knowledge.analysis import terms
from gimbal.generative.knowledge.bm25 import Bm25

NAME = "gimbal-extractive-1"

_K1, _B = 0.6, 0.5
_LEAD, _HEADING, _KIN = 0.4, 0.4, 0.7
"""Share of a word's weight when it stands in what leads into a unit, or in its heading, instead of in the unit; and
when only a word of the same family stands there (decide, decision)."""
_NOISE_WEIGHT = 0.25
"""Share that the words count which a question needs as a sentence rather than for its subject."""
_NOISE = frozenset(
    terms(
        """allow ask call can case come different do exactly explain find give go happen have kind know let list long look
        make many may mean might must name need new possible purpose say see set shall show sort start take tell thing
        type want way word work"""
    )
)
_RANK_DECAY = 0.08
"""How much less a unit counts for each passage before its own: retrieval has ranked them already."""
_MIN_COVERAGE = 0.3
"""Share of the question's weight that must be covered by the best unit and its surroundings."""
_MIN_OWN = 0.12
"""Share that the unit itself must hold: a heading alone answers nothing."""
_NEXT_GAIN = 0.25
"""Share of the question's weight that a further unit must add."""
_NEXT_FLOOR = 0.55
"""Share of the best unit's score that a further unit must have."""
_MAX_UNITS = 3
_MAX_LED = 6
"""Items that are shown after a chosen unit that ends in a colon."""
_LONG = 45
"""Words from which a unit is held back for its length."""


class Cue(msgspec.Struct, frozen=True):
    """If the question looks like this, units that look like that are more likely to be the answer."""

    asks: re.Pattern[str]
    shows: re.Pattern[str]
    factor: float


def _cue(asks: str, shows: str, factor: float) -> Cue:
    return Cue(re.compile(asks, re.IGNORECASE), re.compile(shows), factor)


_CUES = (
    _cue(
        r"\bhow (?:many|much|long|often|large|big|fast|old)\b|\b(?:port|size|limit|maximum|minimum|version)\b",
        r"\d",
        1.25,
    ),
    _cue(
        r"\bhow (?:do|can|does|to|should)\b|\b(?:command|commands|option|flag|variable|setting|header|route|url|path|file|"
        r"folder|function|method|header|field|parameter)\b",
        r"`|^\s*\$|https?://|--\w",
        1.15,
    ),
    _cue(
        r"\bwhy\b|\breasons?\b", r"(?i)\bbecause\b|\bso that\b|\bsince\b|\btherefore\b|\bthat is why\b|\breason\b", 1.3
    ),
    _cue(
        r"\bwhen\b|\bhow often\b",
        r"(?i)\bwhen(?:ever)?\b|\bafter\b|\bbefore\b|\bonce\b|\bevery\b|\buntil\b|\bas soon\b",
        1.15,
    ),
    _cue(r"\bwho\b|\bwhich role\b", r"(?i)\badmins?\b|\bmembers?\b|\bowners?\b|\busers?\b|\broles?\b|\bonly\b", 1.1),
    _cue(r"\bwhere\b", r"`[^`]*[/.][^`]*`|(?i:\bin the\b|\bunder\b|\binside\b|\bfolder\b|\bstored\b)", 1.15),
    _cue(r"\bwhat happens\b|\bwhat if\b", r"(?i)\bif\b|\bwhen\b|\bthen\b|\binstead\b|\bfails?\b|\brefuse", 1.1),
)
_DEFINES = re.compile(
    r"\bwhat(?:'s| is| are| does)\b(?P<subject>.*?)(?:\bmean\b|\bfor\b|\bdo\b)?\s*\??$", re.IGNORECASE
)
_DEFINITION = re.compile(
    r"(?i)^(?:an?\s+|the\s+|one\s+|each\s+|every\s+)?(?P<subject>(?:\S+\s+){0,3}?\S+?)(?::|,|\s+—|\s+(?:is|are|means?|holds?|stands?))(?:\s|$)"
)


class Extract(msgspec.Struct, frozen=True, kw_only=True):
    """An answer and what stands behind it."""

    text: str
    used: tuple[int, ...]
    """Numbers of the passages it was taken from, from 0, each once."""
    coverage: float
    """Share of the question's weight that the answer and its surroundings cover, 0 to 1."""
    known: bool
    """False when nothing in the context supports an answer."""


def answer(reading: Reading) -> Extract:
    """Return the best supported answer that the passages hold."""
    wanted = list(dict.fromkeys(terms(reading.question)))
    pool = [unit for number, passage in enumerate(reading.passages) for unit in units(passage, number)]
    if not reading.question or not wanted:
        return _unknown("I don't know: the request holds no question that I can look for.")
    if not pool:
        return _unknown("I don't know: the request holds no context to answer from.")
    scored = _Scored(reading, wanted, pool)
    order = np.lexsort((np.arange(len(pool)), -scored.scores))
    best = int(order[0])
    if scored.coverage({best}) < _MIN_COVERAGE or scored.own(best) < _MIN_OWN:
        count = len(reading.passages)
        sources = "the source" if count == 1 else f"any of the {count} sources"
        return _unknown(f"I don't know: I find no support for an answer in {sources}.", scored.coverage({best}))
    chosen = _choose(scored, [int(number) for number in order])
    text = _show([pool[number] for number in chosen], reading.passages)
    used = tuple(dict.fromkeys(pool[number].passage for number in chosen))
    return Extract(text=text, used=used, coverage=scored.coverage(set(chosen)), known=True)


def _unknown(text: str, coverage: float = 0.0) -> Extract:
    return Extract(text=text, used=(), coverage=coverage, known=False)


class _Scored:
    """The units of one reading, and how well each answers."""

    def __init__(self, reading: Reading, wanted: Sequence[str], pool: Sequence[Unit]) -> None:
        own = [terms(unit.text) for unit in pool]
        ranking = Bm25.build(own, k1=_K1, b=_B)
        heads = [set(terms(f"{p.heading} {p.source}")) for p in reading.passages]
        held = np.array([[_holds(words, term) for term in wanted] for words in map(set, own)])
        near = np.zeros_like(held)
        for row, unit in enumerate(pool):
            lead = set(terms(unit.lead))
            near[row] = [max(_LEAD * (t in lead), _HEADING * (t in heads[unit.passage])) for t in wanted]
        self._exact = np.array([[term in words for term in wanted] for words in map(set, own)])
        self._held = held
        self._cover = np.maximum(held, near)
        self._weights = np.array([ranking.idf(t) * (_NOISE_WEIGHT if t in _NOISE else 1.0) for t in wanted])
        self._mass = float(self._weights.sum())
        rank = np.array([1.0 / (1.0 + _RANK_DECAY * unit.passage) for unit in pool])
        cues = np.array([_fit(reading.question, unit) for unit in pool])
        # Words that are only nearby, or of the family only, count in part; the rest by BM25.
        nearby = (np.where(self._exact, 0.0, self._cover) * self._weights).sum(axis=1)
        whole = self._cover @ self._weights / self._mass
        subject = [term for term in wanted if term not in _NOISE]
        own_score = ranking.scores(subject) + _NOISE_WEIGHT * ranking.scores([t for t in wanted if t in _NOISE])
        brief = np.array([min(1.0, (_LONG / max(1, len(unit.text.split()))) ** 0.5) for unit in pool])
        self.scores = (own_score + nearby) * (0.5 + whole) * rank * cues * brief
        # A unit that only asks, or only leads on to what follows, is no answer.
        self.scores *= np.array([0.4 if unit.text.rstrip().endswith(("?", ":")) else 1.0 for unit in pool])
        self.pool = pool
        self.words = [Counter(words) for words in own]

    def own(self, unit: int) -> float:
        """Return the share of the question's weight that stands in the unit itself."""
        return float(self._held[unit] @ self._weights / self._mass)

    def coverage(self, chosen: set[int]) -> float:
        """Return the share of the question's weight that these units and their surroundings cover together."""
        if not chosen:
            return 0.0
        return float(self._cover[sorted(chosen)].max(axis=0) @ self._weights / self._mass)

    def gain(self, chosen: Sequence[int], candidate: int) -> float:
        """Return the share that `candidate` itself adds to what the chosen units cover."""
        covered = self._cover[list(chosen)].max(axis=0)
        return float((self._held[candidate] - covered).clip(min=0) @ self._weights / self._mass)

    def repeats(self, chosen: Sequence[int], candidate: int) -> bool:
        """Tell whether most words of the candidate stand in a chosen unit already."""
        words = self.words[candidate]
        total = sum(words.values())
        return any(sum((words & self.words[other]).values()) > 0.7 * total for other in chosen)


def _choose(scored: _Scored, order: Sequence[int]) -> list[int]:
    chosen = [order[0]]
    floor = _NEXT_FLOOR * float(scored.scores[order[0]])
    for candidate in order[1:]:
        if len(chosen) == _MAX_UNITS or scored.scores[candidate] < floor:
            break
        if scored.gain(chosen, candidate) >= _NEXT_GAIN and not scored.repeats(chosen, candidate):
            chosen.append(candidate)
    led = {number for chosen_one in chosen for number in _led_on(scored.pool, chosen_one)}
    return sorted({*chosen, *led}, key=lambda number: (scored.pool[number].passage, scored.pool[number].place))


def _led_on(pool: Sequence[Unit], number: int) -> list[int]:
    """Return what a unit that ends in a colon leads on to: the code, items or rows below it."""
    unit = pool[number]
    if not unit.text.endswith(":"):
        return []
    found: list[int] = []
    for after in range(number + 1, min(number + 1 + _MAX_LED, len(pool))):
        if pool[after].passage != unit.passage or unit.text not in pool[after].lead:
            break
        found.append(after)
        if pool[after].code:
            break
    return found


def _fit(question: str, unit: Unit) -> float:
    """Return how well the kind of unit fits the kind of question: 1 when nothing speaks for or against it."""
    factor = 1.0
    for cue in _CUES:
        if cue.asks.search(question) and cue.shows.search(unit.text):
            factor *= cue.factor
    match = _DEFINES.search(question.strip())
    if match:
        subject = set(terms(match["subject"]))
        defines = _DEFINITION.match(unit.text)
        if subject and defines and subject <= set(terms(defines["subject"])):
            factor *= 1.5
    return factor


def _holds(words: set[str], term: str) -> float:
    """Return 1 when the term is among the words, less when one of its family is, else 0."""
    if term in words:
        return 1.0
    return _KIN if len(term) >= 5 and any(_kin(term, word) for word in words) else 0.0


def _kin(term: str, word: str) -> bool:
    """Tell whether two stems are of one family: they begin alike for three quarters of the longer one."""
    longer = max(len(term), len(word))
    if min(len(term), len(word)) < 5 or term[:4] != word[:4]:
        return False
    alike = next((n for n, (a, b) in enumerate(zip(term, word, strict=False)) if a != b), min(len(term), len(word)))
    return alike >= 0.75 * longer


def _show(chosen: Sequence[Unit], passages: Sequence[Passage]) -> str:
    parts: list[str] = []
    for unit in chosen:
        marker = passages[unit.passage].marker
        glue = "\n" if unit.code else " "
        parts.append(f"{unit.text}{glue}{marker}" if marker else unit.text)
    return "\n".join(parts) if any(unit.code for unit in chosen) else " ".join(parts)
