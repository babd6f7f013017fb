"""How the versions of a prompt did on suites: of each version and suite the newest evaluation, and the one before it."""

import contextlib
from collections.abc import Collection, Sequence

import msgspec

from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.model import EvaluationRun
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.verdicts import Comparison
from gimbal.generative.prompts.model import KIND
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError

_AT_ONCE = 200
_MARGIN = 0.02
_MOST_READS = 5
# Pairs that are compared while somebody waits for the page; the others are a link away.
_MOST_PAIRS, _MOST_ANSWERS = 3, 1_000


class VersionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one version came to on one suite."""

    run: EvaluationRun
    """The newest evaluation of it."""
    runs: int
    """How many evaluations of it there are among those looked at."""
    before: EvaluationRun | None = None
    """The newest evaluation of the nearest earlier version that is done, on the same version of the suite."""
    comparison: Comparison | None = None
    """Of the two; None where it was not made here."""


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a prompt's versions."""

    rows: Sequence[VersionResult]
    """The newest version first, its suites by name."""
    more: bool
    """Whether there are older evaluations that were not looked at."""


async def results_of(ctx: Context, name: str) -> Results:
    """Return how the versions of a prompt did: one row for each that was evaluated, and suite."""
    runs, more = await _runs(ctx, name)
    newest: dict[tuple[int, str], EvaluationRun] = {}
    count: dict[tuple[int, str], int] = {}
    for run in runs:
        place = (run.subject.number, str(run.suite))
        count[place] = count.get(place, 0) + 1
        held = newest.get(place)
        # One that is done says more than a newer one that is not.
        if held is None or (held.status != "done" and run.status == "done"):
            newest[place] = run
    order = sorted(newest, key=lambda place: (-place[0], place[1]))
    rows = [
        VersionResult(run=newest[place], runs=count[place], before=_before(place, newest, order)) for place in order
    ]
    return Results(rows=await _compared(ctx, rows), more=more)


async def _runs(ctx: Context, name: str) -> tuple[list[EvaluationRun], bool]:
    """Return the newest evaluations of a prompt, and whether there are more than are looked at."""
    found: list[EvaluationRun] = []
    cursor: str | None = None
    for _ in range(_MOST_READS):
        page = await ctx.get(Evaluations).runs.page(ctx, subject=f"{KIND.name}:{name}", cursor=cursor, limit=_AT_ONCE)
        # Names that begin with this one are asked for by it, too.
        found += [run for run in page.items if run.subject.name == name]
        cursor = page.next
        if cursor is None:
            return found, False
    return found, True


def _before(
    place: tuple[int, str], newest: dict[tuple[int, str], EvaluationRun], order: Collection[tuple[int, str]]
) -> EvaluationRun | None:
    if newest[place].status != "done":
        return None
    earlier = [one for one in order if one[1] == place[1] and one[0] < place[0] and newest[one].status == "done"]
    return newest[max(earlier)] if earlier else None


async def _compared(ctx: Context, rows: Sequence[VersionResult]) -> list[VersionResult]:
    """Return the rows, the newest pair of each suite compared where that takes no time."""
    suites: set[str] = set()
    found: list[VersionResult] = []
    for row in rows:
        suite = str(row.run.suite)
        fresh = row.before is not None and suite not in suites and len(suites) < _MOST_PAIRS
        if row.before is not None:
            suites.add(suite)
        if row.before is None or not fresh or max(row.run.total, row.before.total) > _MOST_ANSWERS:
            found.append(row)
            continue
        with contextlib.suppress(GimbalError):  # the suite cannot be read any more: the marks can
            comparison = await compare_runs(ctx, ctx.get(Evaluations), row.before.id, row.run.id, _MARGIN)
            row = msgspec.structs.replace(row, comparison=comparison)  # noqa: PLW2901 - the row as it is shown
        found.append(row)
    return found
