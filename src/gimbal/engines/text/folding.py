"""A text in plain characters: what keeps an address or a number from being found while people read it all the same.

Digits of all scripts, letters and signs of full width, hyphens and spaces of all kinds become their plain forms, one for
one; characters that nobody sees (zero-width spaces and joiners, soft hyphens) are passed over. What is found in the folded
text is told by its places in the text as it came.
"""

import functools
import re
import unicodedata

_INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
# Beyond are signs that no digit of a script is among.
_END = 0x20000
_unseen = re.compile(f"[{_INVISIBLE}]")


@functools.cache
def _plain() -> tuple[dict[int, str], re.Pattern[str]]:
    """Return the plain form of each sign that has one, and a pattern of those signs."""
    found = {ord(sign): "-" for sign in _HYPHENS} | {ord(sign): " " for sign in _SPACES}
    for code in range(0x80, _END):
        digit = unicodedata.decimal(chr(code), None)
        if digit is not None:
            found[code] = str(digit)
    for code in (*range(0xFF01, 0xFF5F), *range(0xFE50, 0xFE6C)):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain.isascii():
            found[code] = plain
    return found, re.compile("[" + "".join(re.escape(chr(code)) for code in sorted(found)) + "]")


def folded(text: str) -> tuple[str, list[int] | None]:
    """Return a text in plain characters, and where each of them stands in the text as it came; None for the same place."""
    if text.isascii():
        return text, None
    plain, any_of_them = _plain()
    if any_of_them.search(text) is not None:
        text = text.translate(plain)
    if _unseen.search(text) is None:
        return text, None
    places = [at for at, sign in enumerate(text) if sign not in _INVISIBLE]
    return "".join(text[at] for at in places), places
