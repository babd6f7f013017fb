"""Drawing traces so that the same seed draws the same ones, in bounded memory, whatever order they come in.

Each trace has a lot: a hash of the seed and its id. Those with the lowest lots are drawn, which is a simple random sample
of every part at once ("bottom-k" sampling; Cohen and Kaplan, PODC 2007). Where more fit than are kept in mind, only lots
below a half are looked at from there on, then below a quarter, and so on (distinct sampling; Gibbons, VLDB 2001): what is
kept is a random share of all, and the columns are asked for no more than that.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from gimbal.axis.evals.building.model import OWN_FEATURES
from gimbal.axis.traces.filters import Condition, TraceFilter
from gimbal.axis.traces.finding import listed
from gimbal.axis.traces.model import TraceSummary
from gimbal.kernel.context import Context
from gimbal.kernel.pages import MAX_LIMIT

MOST_IN_MIND = 50_000
_RANGE = 1 << 64
PartsOf = Callable[[Sequence[TraceSummary]], Awaitable[Mapping[str, str]]]
"""Tells of traces, by their ids, which part each belongs to."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A trace that may be drawn."""

    lot: int
    trace_id: str


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """The traces among which is drawn."""

    parts: dict[str, list[Candidate]]
    """By name of the part; each with the lowest lot first."""
    share: float
    """Of all that fit."""
    evaluations: int
    """Traces of what Gimbal itself asked, evaluations first of all, that were left out."""

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.parts.values()))


def lot(seed: int, trace_id: str) -> int:
    """Return 64 bits that are as good as random, the same for the same seed and trace; ClickHouse's `halfMD5`."""
    digest = hashlib.md5(f"{seed}:{trace_id}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big")


def below(narrowed: TraceFilter, seed: int, halvings: int) -> TraceFilter:
    """Return a filter of traces whose lots are below a power of a half."""
    if not halvings:
        return narrowed
    values = {"lot_seed": f"{seed}:", "lot_bound": _RANGE >> halvings}
    drawn = Condition("halfMD5(concat({lot_seed:String}, trace_id)) < {lot_bound:UInt64}", values, ("trace_id",))
    return msgspec.structs.replace(narrowed, judged=(*narrowed.judged, drawn))


async def look(
    ctx: Context, narrowed: TraceFilter, seed: int, parts_of: PartsOf, *, most: int = MOST_IN_MIND
) -> Looked:
    """Return the traces that fit, page by page, or a random share of them where they are more than `most`."""
    kept: list[tuple[int, str, str]] = []
    halvings = evaluations = 0
    cursor: str | None = None
    own = OWN_FEATURES - {narrowed.feature}
    while True:
        page = await listed(ctx, below(narrowed, seed, halvings), cursor=cursor, limit=min(MAX_LIMIT, most))
        meant = [one for one in page.items if one.feature not in own]
        evaluations += len(page.items) - len(meant)
        parts = await parts_of(meant)
        kept += [(lot(seed, one.trace_id), one.trace_id, parts.get(one.trace_id, "")) for one in meant]
        while len(kept) > most:
            halvings += 1
            kept = [one for one in kept if one[0] < _RANGE >> halvings]
        cursor = page.next
        if cursor is None:
            break
    found: dict[str, list[Candidate]] = {}
    # A trace that changed in the meantime may be on two pages; it is where it was last.
    last = {trace_id: (number, part) for number, trace_id, part in kept}
    for trace_id, (number, part) in sorted(last.items(), key=lambda one: (one[1][0], one[0])):
        found.setdefault(part, []).append(Candidate(lot=number, trace_id=trace_id))
    return Looked(parts=dict(sorted(found.items())), share=0.5**halvings, evaluations=evaluations)


def allotted(most: int, there: Mapping[str, int], *, equal: bool) -> dict[str, int]:
    """Return how many of each part are drawn: at most `most` in all and none more than there are.

    Proportional ones by largest remainders (Hamilton), equal ones in turns until a part has no more.
    """
    total = sum(there.values())
    if total <= most:
        return dict(there)
    names = sorted(there)
    if not equal:
        found = {name: most * there[name] // total for name in names}
        rest = most - sum(found.values())
        for name in sorted(names, key=lambda one: (-(most * there[one] % total), one))[:rest]:
            found[name] += 1
        return found
    found = dict.fromkeys(names, 0)
    left = most
    while left:
        open_ = [name for name in names if found[name] < there[name]]
        each = max(1, left // len(open_))
        for name in open_:
            more = min(each, there[name] - found[name], left)
            found[name] += more
            left -= more
    return found
