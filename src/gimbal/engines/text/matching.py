"""RE2 on the bytes of a text, and what may stand beside a number that is one.

Python's own engine backtracks, and one line of text can hold it up for minutes; RE2 cannot be. Patterns of detectors have
bounded repetitions, so that after a match the engine does not read on to the end of the text each time.
"""

from collections.abc import Callable, Iterator
from typing import Any

import re2

from gimbal.engines.text.model import Extent
from gimbal.kernel.errors import BadInput

# How far before a number the word may stand that says what it is.
_NEAR = 48
_ALNUM = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS = frozenset(b"0123456789")
Pattern = Any  # RE2 comes without types


def pattern(text: str) -> Pattern:
    """Return a compiled pattern that reads UTF-8 bytes; raise BadInput with RE2's reason for one it refuses."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text.encode(), options)
    except UnicodeEncodeError:
        raise BadInput("The pattern is not text.", where="pattern", todo="Leave out lone surrogates.") from None
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise BadInput(
            f"RE2 refuses the pattern: {reason}.",
            where="pattern",
            todo="Use RE2's syntax: no look-around, no back references, repetitions up to 1000.",
        ) from None


def words(*names: str, then: str = "") -> Pattern:
    """Return a pattern of words as people and programs write them: `tax id`, `tax_id`, `TAX-ID`, `userTaxId`.

    `then` matches what stands between the word and the number, where not just anything may.
    """
    plain = "|".join(name.replace(" ", "[ _-]?") for name in names)
    humped = "|".join("".join(part.capitalize() for part in name.split(" ")) for name in names)
    return pattern(rf"(?:(?:^|[^A-Za-z])(?i:{plain})|[a-z](?:{humped})){then}")


def near(data: bytes, start: int, named: Pattern) -> bool:
    """Tell whether one of the words stands shortly before."""
    return named.search(data[max(0, start - _NEAR) : start]) is not None


def alone(data: bytes, extent: Extent, *, hyphens: bool = True) -> bool:
    """Tell whether a number is not a part of something longer: an identifier, a version, a float, a UUID by its hyphens."""
    start, end = extent
    return not (
        _joined(data[max(0, start - 1) : start], data[max(0, start - 2) : max(0, start - 1)], hyphens=hyphens)
        or _joined(data[end : end + 1], data[end + 1 : end + 2], hyphens=hyphens)
    )


def _joined(neighbour: bytes, beyond: bytes, *, hyphens: bool) -> bool:
    if not neighbour:
        return False
    if neighbour[0] in _ALNUM:
        return True
    return bool(beyond) and (
        (neighbour == b"." and beyond[0] in _DIGITS) or (hyphens and neighbour == b"-" and beyond[0] in _ALNUM)
    )


def matches(
    compiled: Pattern, data: bytes, accept: Callable[[Extent], bool], *, group: int = 0, rest: Pattern = None
) -> Iterator[Extent]:
    """Yield the matches (or one group of them) that are accepted; behind one that is not, the next byte may begin one.

    A match that is accepted goes on over what `rest` matches behind it: so the repetitions of `compiled`, which may be read
    again from the next byte on, stay bounded, and a long value is found to its end.
    """
    at = 0
    while (found := compiled.search(data, at)) is not None:
        extent = Extent(*found.span(group))
        if not accept(extent):
            at = found.start() + 1
        elif rest is None:
            yield extent
            at = max(found.end(), found.start() + 1)
        else:
            extent = Extent(extent.start, rest.match(data, extent.end).end())
            yield extent
            at = max(found.end(), extent.end)
        if at >= len(data):
            return


def digits_of(text: bytes) -> str:
    """Return the digits of a candidate, without what separates them."""
    return "".join(chr(byte) for byte in text if byte in _DIGITS)


_some_digits = pattern(r"\d(?:[ ./()+-]{0,3}\d){6}")


def has_digits(data: bytes) -> object:
    """Return something truthy where seven digits stand together, however separated; no number looked for has fewer."""
    return _some_digits.search(data)
