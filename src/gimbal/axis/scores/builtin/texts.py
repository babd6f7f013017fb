"""How scorers read text: case, articles, punctuation and spacing do not count; numbers do, with sign and point.

Source: the normalisation of SQuAD 1.1's evaluation, with Unicode word characters instead of ASCII. Unlike it, a number
keeps its sign and its decimal point (-5 is not 5, 3.14 is not 3 14), and a text of nothing but articles or symbols
(the answer "A" of a multiple choice, "->") is compared as it stands, because an empty text equals every other.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

# A minus belongs to a number unless it stands between two words: `-5` and `5 - -3`, but not `2013-05`.
_WORD = re.compile(r"(?<!\w)-?\d+(?:[.,]\d+)*\w*|\w+")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
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
