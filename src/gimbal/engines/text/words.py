"""A text as the words that count when texts are compared: one form for what reads the same, in any script.

Words are in Unicode's form NFKC (UAX 15) and case folded; white space and punctuation only part them. Signs that change
what is said stay as words of their own: symbols, `%`, `&`, `@`, `#`, operators between digits and the minus of a number, so
that `C` is not `C#`, `6*2` not `6/2` and `-5` not `5`. In scripts that set no spaces between words each sign is a word.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x1AAF),  # Tai Le, New Tai Lue, Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x3005, 0x3007),  # the iteration mark and zero of Han
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0xA4CF),  # Han, Yi
    (0xA980, 0xA9DF),  # Javanese
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_KEPT = frozenset("%&@#")
_OPERATORS = {"*": " × ", "/": " ÷ ", "-": " − "}
# Between digits, or before one that may have a sign; a minus also where it begins a number.
_operator = re.compile(r"(?<=[0-9]) ?([*/-]) ?(?=-?[0-9])|(?<!\w)(-)(?=[0-9])")
# Unicode's stream-safe text has at most 30 marks in a row; longer runs are cut, as sorting them takes time squared.
_PIECE = 256
_MARKS = 30
_REMEMBERED = 64
_MOST_REMEMBERED = 1_000_000


def is_unspaced(sign: str) -> bool:
    """Tell whether a sign belongs to a script that sets no spaces between words."""
    code = ord(sign)
    return code >= 0x0E00 and any(first <= code <= last for first, last in _UNSPACED)


class _Plain(dict[int, str]):
    """What stands for a sign: a space for what parts words, itself between spaces for what is a word alone."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        category = unicodedata.category(sign)
        if category == "Cf":
            found = ""
        elif sign in _KEPT or category[0] == "S" or category == "Cs" or is_unspaced(sign):
            found = f" {sign} "
        elif category[0] in "PZ" or category == "Cc":
            found = " "
        else:
            found = sign
        self[code] = found
        return found


_plain = _Plain()


def _pieces(word: str) -> Iterable[str]:
    """Cut a very long word before signs that do not join the one before them."""
    start = 0
    while len(word) - start > _PIECE:
        end = start + _PIECE
        stop = end + _MARKS
        while end < stop and end < len(word) and unicodedata.combining(word[end]):
            end += 1
        yield word[start:end]
        start = end
    yield word[start:]


def _folded(word: str) -> str:
    if word.isascii():
        return word.casefold()
    normal = unicodedata.normalize
    return "".join(normal("NFKC", normal("NFKC", piece).casefold()) for piece in _pieces(word))


class Words:
    """Makes words of texts, and remembers those that it has seen; for one thread."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, text: str) -> list[str]:
        """Return the words of a text; of one that is all punctuation its signs, so that `?` is not `!`."""
        if any(sign in text for sign in _OPERATORS):
            text = _operator.sub(lambda match: _OPERATORS[match[1] or match[2]], text)
        parts = text.split()
        found = list(itertools.chain.from_iterable(map(self._of_part, parts)))
        return found or [_folded(part) for part in parts if not part.isspace()]

    def _of_part(self, part: str) -> tuple[str, ...]:
        known = self._known.get(part)
        if known is None:
            known = tuple(_folded(part).translate(_plain).split())
            if len(part) <= _REMEMBERED:
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()
                self._known[part] = known
        return known


def words_of(text: str) -> list[str]:
    """Return the words of one text."""
    return Words().of(text)


def weight(words: Iterable[str]) -> float:
    """Return how many words these amount to: a sign of a script without spaces is half of one."""
    return sum(0.5 if len(word) == 1 and is_unspaced(word) else 1.0 for word in words)
