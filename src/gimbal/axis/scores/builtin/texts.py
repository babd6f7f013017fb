"""How scorers read text: case, articles, punctuation and spacing do not count; numbers do, with sign and point.

Source: the normalisation of SQuAD 1.1's evaluation, with Unicode word characters instead of ASCII. Unlike it, a number
keeps its sign and its decimal point (-5 is not 5, 3.14 is not 3 14), and a text of nothing but articles or symbols
(the answer "A" of a multiple choice, "->") is compared as it stands, because an empty text equals every other.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gimbal.axis.scores.model import Missing, ScoreValue

BAD_EXPECTATION = "bad_expectation"
"""Why there is no value where the expectation is not what the scorer can read: a pattern that is none, a schema that is none."""
TOO_LONG = "too_long"
"""Why there is no value where comparing would take the evaluation's time for itself."""
# A text of this many characters takes about a second where n-grams are counted.
_LONGEST = 100_000
# A minus belongs to a number unless it stands between two words: `-5` and `5 - -3`, but not `2013-05`.
_WORD = re.compile(r"(?<!\w)-?\d+(?:[.,]\d+)*\w*|\w+")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
# The end of a fence is looked for from its own beginning, so that no end of one passes for the beginning of another.
_FENCE = re.compile(r"^[ \t]*+```([^\n`]*+)\n(.*?)(?:```|\Z)", re.DOTALL | re.MULTILINE)
_MOST_FENCES = 20
_ARTICLES = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """Return the normalised words of a text in order; only a text of nothing but spaces has none."""
    plain = _folded(text).replace("\u2212", "-")
    found = [_number(word) for word in _WORD.findall(plain)]
    return [word for word in found if word not in _ARTICLES] or found or plain.split()


def _folded(text: str) -> str:
    # Folding may leave letters apart from their accents, so what it gives is composed again.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _number(word: str) -> str:
    return word.replace(",", "") if _THOUSANDS.fullmatch(word) else word


def answers(expected: Mapping[str, Any]) -> list[str]:
    """Return the accepted answers of an example: `answers`, or else `answer`; null is none."""
    return listed(expected, "answers", "answer")


def listed(expected: Mapping[str, Any], many: str, one: str) -> list[str]:
    """Return what an expectation lists under `many`, or else has as `one`, as texts; null is nothing."""
    found: Any = expected.get(many)
    if found is None:
        found = expected.get(one)
    return [str(item) for item in (found if isinstance(found, list) else [found]) if item is not None]


def output_text(output: Mapping[str, Any]) -> str | None:
    """Return the text of an output, or None when there is none."""
    text = output.get("text")
    return text if isinstance(text, str) else None


def compared(expected: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[list[str], str] | ScoreValue:
    """Return the accepted answers and the text of an output, or what to say where one of them is not there."""
    accepted, text = answers(expected), output_text(output)
    if not accepted:
        return missing(Missing.NO_EXPECTATION)
    if text is None:
        return missing(Missing.NO_OUTPUT)
    return accepted, text


def missing(reason: str, why: str = "") -> ScoreValue:
    """Return a judgement without a value: one of Missing or a reason of this package's own, and why in words."""
    return ScoreValue(value=None, missing=reason, explanation=why)


def needs_extra(library: str, extra: str) -> ScoreValue:
    """Return what to say where a library is not installed."""
    return missing(Missing.NEEDS_EXTRA, f"This needs {library}: pip install 'gimbal-ops[{extra}]'.")


def too_long(texts: Iterable[str], most: int = _LONGEST) -> ScoreValue | None:
    """Return what to say where a text is longer than can be compared; None where none is."""
    longest = max(map(len, texts), default=0)
    return (
        missing(TOO_LONG, f"A text has {longest} characters; at most {most} are compared.") if longest > most else None
    )


def composed(text: str, *, ignore_case: bool = False) -> str:
    """Return a text with its accents in one form (NFC); without case if that shall not count."""
    whole = unicodedata.normalize("NFC", text)
    # Folding may leave letters apart from their accents, so what it gives is composed again.
    return unicodedata.normalize("NFC", whole.casefold()) if ignore_case else whole


def fenced(text: str, *languages: str) -> Iterator[str]:
    """Yield what stands in the first Markdown fences of these languages, or of none that is named."""
    for found in itertools.islice(_FENCE.finditer(text), _MOST_FENCES):
        if found[1].strip().lower() in {"", *languages}:
            yield found[2]
