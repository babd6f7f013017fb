"""How scorers read text: case, articles, punctuation and spacing do not count.

Source: the normalisation of SQuAD 1.1's evaluation, with Unicode word characters instead of ASCII.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

_WORD = re.compile(r"\w+")
_ARTICLES = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """Return the normalised words of a text in order."""
    plain = unicodedata.normalize("NFKC", text).lower()
    return [word for word in _WORD.findall(plain) if word not in _ARTICLES]


def answers(expected: Mapping[str, Any]) -> list[str]:
    """Return the accepted answers of an example: `answer` or `answers`."""
    found: Any = expected.get("answers", expected.get("answer"))
    if found is None:
        return []
    return [str(item) for item in found] if isinstance(found, list) else [str(found)]


def output_text(output: Mapping[str, Any]) -> str | None:
    """Return the text of an output, or None when there is none."""
    text = output.get("text")
    return text if isinstance(text, str) else None
