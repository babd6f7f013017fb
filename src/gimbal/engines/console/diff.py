"""The lines of a text difference, for the component that shows them."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from gimbal.engines.text.lines import matcher

Mark = Literal["same", "add", "del", "gap"]


class DiffLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a difference."""

    mark: Mark
    """`same`, `add`, `del`, or `gap` for lines left out."""
    text: str
    before: int | None = None
    """Line number on the left side, from 1."""
    after: int | None = None
    """Line number on the right side, from 1."""


def lines(before: str, after: str, context: int = 3) -> list[DiffLine]:
    """Return the differing lines of two texts with `context` lines around; empty when the texts are equal."""
    left, right = before.splitlines(), after.splitlines()
    found: list[DiffLine] = []
    end = 0
    for group in matcher(left, right).get_grouped_opcodes(context):
        start = group[0][1]
        if start > end:
            found.append(DiffLine(mark="gap", text=f"{start - end} equal lines"))
        for tag, a1, a2, b1, b2 in group:
            found.extend(_part(tag, left, right, (a1, a2), (b1, b2)))
        end = group[-1][2]
    if found and end < len(left):
        found.append(DiffLine(mark="gap", text=f"{len(left) - end} equal lines"))
    return found


def _part(tag: str, left: list[str], right: list[str], a: tuple[int, int], b: tuple[int, int]) -> Iterator[DiffLine]:
    if tag == "equal":
        for offset in range(a[1] - a[0]):
            i, j = a[0] + offset, b[0] + offset
            yield DiffLine(mark="same", text=left[i], before=i + 1, after=j + 1)
        return
    for i in range(*a):
        yield DiffLine(mark="del", text=left[i], before=i + 1)
    for j in range(*b):
        yield DiffLine(mark="add", text=right[j], after=j + 1)
