"""Words and phrases that a project does not want: whole, in any case, whatever space is between them."""

import re
from collections.abc import Iterable, Iterator

from gimbal.engines.text.folding import folded
from gimbal.engines.text.matching import Pattern, pattern
from gimbal.engines.text.model import Detector, Extent
from gimbal.generative.guards.holds import Hold

KIND = "word"
_SPACE = r"\s{1,8}"
# From here on scripts write words without a space between them, so that nothing tells where one ends.
_UNSPACED = "\u0e00"
_EDGE = r"\pL\pN\pM_"


def _parts(word: str) -> list[str]:
    """Return a phrase as patterns, one for each character."""
    plain = " ".join(folded(word)[0].split())
    return [_SPACE if sign == " " else re.escape(sign) for sign in plain]


def _spaced(sign: str) -> bool:
    return sign.isalnum() and sign < _UNSPACED


def _whole(word: str) -> str:
    plain = " ".join(folded(word)[0].split())
    before = f"(?:^|[^{_EDGE}])" if _spaced(plain[0]) else ""
    after = f"(?:[^{_EDGE}]|\\z)" if _spaced(plain[-1]) else ""
    return f"(?i:{before}({''.join(_parts(word))}){after})"


def _begun(word: str) -> str:
    """Return a pattern of the beginnings of a phrase, up to all of it, at the end of a text."""
    parts = _parts(word)
    found = parts[-1]
    for part in reversed(parts[:-1]):
        found = f"{part}(?:{found})?"
    return f"(?i:{found})"


def _found(patterns: list[Pattern], data: bytes) -> Iterator[Extent]:
    for one in patterns:
        at = 0
        while (found := one.search(data, at)) is not None:
            extent = Extent(*found.span(1))
            yield extent
            # The space behind one is the space before the next.
            at = max(extent.end, at + 1)
            if at >= len(data):
                break


def words(given: Iterable[str]) -> tuple[Detector, Hold]:
    """Return a detector of words, and the rule by which streams wait for the rest of one."""
    each = tuple(dict.fromkeys(given))
    patterns = [pattern(_whole(word)) for word in each]
    any_of_them = pattern("|".join(f"(?:{''.join(_parts(word))})" for word in each).join(("(?i:", ")")))
    begun = pattern(f"(?:{'|'.join(_begun(word) for word in each)})\\z")

    def find(data: bytes) -> Iterator[Extent]:
        # One look at all of them first: texts that have none are the rule.
        return _found(patterns, data)

    def hold(data: bytes) -> int:
        match = begun.search(data)
        return len(data) if match is None else match.start()

    detector = Detector(
        name=KIND,
        kind=KIND,
        family="custom",
        description="words that are not wanted",
        rank=110,
        gate=any_of_them.search,
        find=find,
        apart=True,
    )
    return detector, hold
