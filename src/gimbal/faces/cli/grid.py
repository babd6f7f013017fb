"""Lays out a table within the width of a terminal: headings wrap, long texts are cut, and what has no room is named."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

GAP = "  "
_LEAST = 14
# A column whose widest cell is this wide or less is shown whole or not at all: ids, times, numbers, states.
_WHOLE = 36


class Column(NamedTuple):
    """One column: its heading and its cells."""

    heading: str
    cells: Sequence[str]
    right: bool = False
    whole: bool = False
    """Never cut, because people copy it: an id, a reference."""

    @property
    def widest(self) -> int:
        """Width of the widest cell."""
        return max((cell_len(text) for text in self.cells), default=0)

    @property
    def least(self) -> int:
        """Width that it cannot go below."""
        word = max((cell_len(w) for w in self.heading.split()), default=0)
        widest = self.widest
        cut = widest if self.whole or self.right else min(widest, _LEAST)
        return max(word, cut)


class Grid(NamedTuple):
    """A table as lines of text."""

    heading: list[str]
    rows: list[str]
    left_out: list[str]
    """Headings of the columns that had no room."""


def lay(columns: Sequence[Column], width: int | None) -> Grid:
    """Return the table; without a width nothing is cut, as programs that read it want."""
    shown = list(columns)
    if width is not None:
        while len(shown) > 1 and _sum([c.least for c in shown]) > width:
            shown.pop()
    widths = _widths(shown, width)
    heads = [_wrapped(c.heading, w) for c, w in zip(shown, widths, strict=True)]
    height = max((len(h) for h in heads), default=0)
    heading = [
        _line([[""] * (height - len(h)) + h for h in heads], i, shown, widths) for i in range(height)
    ]  # headings stand on the line
    rows = [_row(cells, shown, widths) for cells in zip_longest(*(c.cells for c in shown), fillvalue="")]
    return Grid(heading, rows, [c.heading for c in columns[len(shown) :]])


def _widths(columns: Sequence[Column], width: int | None) -> list[int]:
    wanted = [max(c.widest, cell_len(c.heading)) for c in columns]
    if width is None:
        return wanted
    widths = [min(w, max(c.least, c.widest)) for w, c in zip(wanted, columns, strict=True)]
    if _sum(wanted) <= width:
        return wanted
    while (over := _sum(widths) - width) > 0:
        loose = [i for i, c in enumerate(columns) if widths[i] > c.least]
        if not loose:
            # One column that cannot be cut: the terminal wraps it.
            break
        widest = max(loose, key=lambda i: widths[i])
        widths[widest] -= min(over, max(1, (widths[widest] - columns[widest].least) // 2))
    return widths


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _wrapped(heading: str, width: int) -> list[str]:
    lines = [""]
    for word in heading.split():
        longer = f"{lines[-1]} {word}".strip()
        if cell_len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _line(heads: Sequence[Sequence[str]], i: int, columns: Sequence[Column], widths: Sequence[int]) -> str:
    return _row([h[i] for h in heads], columns, widths)


def _row(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    parts: list[str] = []
    for text, column, width in zip(cells, columns, widths, strict=True):
        short = text if cell_len(text) <= width or column.whole else set_cell_size(text, width - 1).rstrip() + "…"
        space = " " * (width - cell_len(short))
        parts.append(space + short if column.right else short + space)
    return GAP.join(parts).rstrip()
