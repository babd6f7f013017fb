"""Two texts beside each other: which line of the one stands where on the other side."""

import msgspec

from gimbal.engines.text.lines import matcher
from gimbal.generative.prompts.typed import shown

MOST_LINES = 5_000
MOST_CHARACTERS = 200_000
_AROUND = 4


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One row of two texts side by side."""

    mark: str
    """`same`, `changed`, or `gap` for lines left out."""
    left: str | None = None
    """None where the left text has no line here; of a gap the words."""
    right: str | None = None
    before: int | None = None
    """Line number on the left, from 1."""
    after: int | None = None
    """Line number on the right, from 1."""


def sides(before: str, after: str) -> list[Side] | None:
    """Return what differs with some lines around; empty where no line does, None for such as would take long to compare."""
    if max(len(before), len(after)) > MOST_CHARACTERS or max(before.count("\n"), after.count("\n")) > MOST_LINES:
        return None
    left, right = shown(before).split("\n"), shown(after).split("\n")
    found: list[Side] = []
    end = 0
    for group in matcher(left, right).get_grouped_opcodes(_AROUND):
        if (start := group[0][1]) > end:
            found.append(_gap(start - end))
        for tag, a, a_end, b, b_end in group:
            for offset in range(max(a_end - a, b_end - b)):
                i, j = a + offset, b + offset
                found.append(
                    Side(
                        mark="same" if tag == "equal" else "changed",
                        left=left[i] if i < a_end else None,
                        right=right[j] if j < b_end else None,
                        before=i + 1 if i < a_end else None,
                        after=j + 1 if j < b_end else None,
                    )
                )
        end = group[-1][2]
    if found and end < len(left):
        found.append(_gap(len(left) - end))
    return found


def _gap(lines: int) -> Side:
    return Side(mark="gap", left=f"{lines} equal lines" if lines > 1 else "1 equal line")
