"""A prompt's file in a form, and back: what a browser makes of a text is undone, so that what was not touched stays as it is.

A form shows every line end alike and sends each as CRLF, and HTML has no U+0000 (HTML Standard, "normalize newlines" and
"Constructing the entry list"). The file that a text was taken from says which line ends, byte order mark and characters
it had.
"""

import re
from collections.abc import Sequence

from gimbal.engines.text.lines import matcher

BOM = "\ufeff"
_END = re.compile(r"\r\n|\r|\n")
_NO_CHARACTER = "\ufffd"
_MOST_LINES = 5_000


def shown(text: str) -> str:
    """Return a text as a form shows it: every line end alike, no byte order mark, U+0000 as a mark of its own."""
    return _END.sub("\n", text.removeprefix(BOM)).replace("\0", _NO_CHARACTER)


def restored(sent: str, origin: str) -> str:
    """Return what was sent with the line ends and the byte order mark of the file that it was taken from.

    Lines that were not touched are as they were, byte for byte; new ones end as most others do, with LF in a new file.
    """
    typed = _END.sub("\n", sent)
    mark = BOM if origin.startswith(BOM) else ""
    if typed == shown(origin):
        return origin
    lines = _lines(origin.removeprefix(BOM))
    ends = [end for _, end in lines if end]
    usual = max(dict.fromkeys(ends), key=ends.count, default="\n")
    if set(ends) <= {usual} and "\0" not in origin:
        return mark + typed.replace("\n", usual)
    return mark + _as_before(typed.split("\n"), lines, usual)


def _lines(text: str) -> list[tuple[str, str]]:
    """Return each line with its end; the last has none."""
    found: list[tuple[str, str]] = []
    start = 0
    for end in _END.finditer(text):
        found.append((text[start : end.start()], end[0]))
        start = end.end()
    return [*found, (text[start:], "")]


def _as_before(typed: Sequence[str], lines: Sequence[tuple[str, str]], usual: str) -> str:
    before = [line.replace("\0", _NO_CHARACTER) for line, _ in lines]
    made = [(line, usual) for line in typed]
    for place, other, size in _equal(typed, before):
        made[place : place + size] = lines[other : other + size]
    last = len(made) - 1
    return "".join(line + ((end or usual) if at < last else "") for at, (line, end) in enumerate(made))


def _equal(typed: Sequence[str], before: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return the stretches of lines that are the same: place, place before, and how many."""
    most = min(len(typed), len(before))
    head = next((n for n in range(most) if typed[n] != before[n]), most)
    tail = next((n for n in range(most - head) if typed[-1 - n] != before[-1 - n]), most - head)
    inner, old = typed[head : len(typed) - tail], before[head : len(before) - tail]
    found = [(0, 0, head), (len(typed) - tail, len(before) - tail, tail)]
    if max(len(inner), len(old)) <= _MOST_LINES:
        matched = matcher(inner, old).get_matching_blocks()
        found += [(head + one.a, head + one.b, one.size) for one in matched]
    return found


def notes_of(origin: str) -> list[str]:
    """Return what a form does not show of a file and is kept all the same."""
    ends = {end for _, end in _lines(origin) if end}
    names = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
    told = [f"lines end with {' and '.join(sorted(names[end] for end in ends))}"] if ends - {"\n"} else []
    told += ["a byte order mark"] if origin.startswith(BOM) else []
    return [*told, *(["U+0000"] if "\0" in origin else [])]
