"""Evaluations watched from a terminal: how far they are while they run, what a comparison found, reports for CI.

`evaluating` and `replaying` are the commands.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gimbal.faces.cli import show, values
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.money import format_money

if TYPE_CHECKING:
    from rich.table import Table

    from gimbal.axis.evals.model import EvaluationPlan, EvaluationResult, EvaluationRun
    from gimbal.axis.evals.verdicts import Comparison
    from gimbal.faces.client.client import Client
    from gimbal.generative.gateway.replaying.model import ReplayPlan

WORSE, UNDERPOWERED, ERROR = 1, 2, 3
EXIT_CODES = {"better": 0, "equivalent": 0, "worse": WORSE, "underpowered": UNDERPOWERED}
_LOOK_S = 0.5
_PAGE = 500
_STEPS = 10
_ENDED = frozenset({"done", "failed", "cancelled", "stopped"})
_WORDS = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "equivalent to",
    "underpowered": "not told apart from",
}


class Watch:
    """Tells how far evaluations are: on a terminal as a table that changes, elsewhere as a line for each tenth."""

    def __init__(self, client: "Client", *, quiet: bool) -> None:
        self._client = client
        self._quiet = quiet

    def say(self, text: str) -> None:
        """Say something beside the result."""
        if not self._quiet:
            show.remark(text)

    def begin(self, run: "EvaluationRun") -> "Callable[[EvaluationRun], None]":
        """Say where a run is to be seen; return what is told of it from now on."""
        self.say(f"{self._client.transport.url}/p/{self._client.project}/evaluations/{run.id}")
        latest = run

        def look() -> "EvaluationRun":
            return latest

        shown = self._shown(look, time.monotonic())

        def tell(now: "EvaluationRun") -> None:
            nonlocal latest
            latest = now
            next(shown, None)

        tell(run)
        return tell

    def follow(self, run: "EvaluationRun") -> "EvaluationRun":
        """Return a run once it has ended; Ctrl-C stops it, and what is done is kept."""
        tell = self.begin(run)
        try:
            while run.status not in _ENDED:
                time.sleep(_LOOK_S)
                run = self._client.evaluations.show(run.id)
                tell(run)
        except KeyboardInterrupt:
            self._client.evaluations.cancel(run.id)
            self.say(f"Stopped; what is done is kept. `gimbal evaluations resume {run.id}` goes on.")
            raise
        return run

    def _shown(self, look: "Callable[[], EvaluationRun]", begun: float) -> Iterator[None]:
        told = -1
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
                while True:
                    live.update(_table(look(), time.monotonic() - begun), refresh=True)
                    yield
        while True:
            now = look()
            if (step := now.done * _STEPS // max(now.total, 1)) > told:
                told = step
                self.say(f"{now.subject}: {now.done:,} of {now.total:,}")
            yield

    def found(self, runs: "Sequence[EvaluationRun]", comparison: "Comparison | None") -> None:
        """Print what came of it."""
        if self._quiet:
            show.result(msgspec.to_builtins(comparison or runs[0], enc_hook=str), as_json=True)
        elif comparison is not None:
            show.table([_compared(row) for row in comparison.scorers])
            after, before = map(named, runs)
            show.line(f"{after} is {_WORDS[comparison.verdict]} {before}.", style="bold")
        else:
            show.table([_scored(row) for row in runs[0].summaries])
            if runs[0].asked:
                show.line(named(runs[0]))

    def write(
        self, run: "EvaluationRun", comparison: "Comparison | None", junit: Path | None, markdown: Path | None
    ) -> None:
        """Write reports for CI and for a pull request."""
        if junit is None and markdown is None:
            return
        from gimbal.axis.evals.formats.junit import junit as as_junit
        from gimbal.axis.evals.formats.markdown import markdown as as_markdown

        results = list(self._results(run.id))
        if junit is not None:
            junit.write_text(as_junit(run, results), encoding="utf-8")
        if markdown is not None:
            markdown.write_text(as_markdown(run, results, comparison), encoding="utf-8")

    def _results(self, run_id: str) -> "Iterator[EvaluationResult]":
        cursor: str | None = None
        while True:
            page = self._client.evaluations.results(run_id, cursor=cursor, limit=_PAGE)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return


@contextlib.contextmanager
def errors_exit() -> Iterator[None]:
    """Tell what goes wrong, and exit with 3: with 1, as any other command, it would say worse."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (GimbalError, OSError) as problem:
        of_disk = BadInput(f"{problem}.", todo="Check the path and the permissions.")
        show.error(problem if isinstance(problem, GimbalError) else of_disk)
        raise SystemExit(ERROR) from None


def check_files(files: Sequence[Path | None]) -> None:
    """Raise BadInput where a report could not be written because its folder is not there."""
    for folder in (path.parent for path in files if path is not None):
        if not folder.is_dir():
            raise BadInput(f"There is no folder {folder}.", kept="nothing was asked", todo="Make it first.")


def named(found: "EvaluationPlan | EvaluationRun") -> str:
    """Return the version that is judged, and the name it was asked as where that was another."""
    return f"{found.subject} (asked as {found.asked})" if found.asked else str(found.subject)


def money(cost: Decimal | None, most: Decimal | None) -> str:
    """Return what something will cost, in words."""
    about = "for an unknown amount" if cost is None else f"about {format_money(cost)}" if cost else "free"
    return about if not most else f"{about}, at most {format_money(most)}"


def judging(plan: "EvaluationPlan | ReplayPlan", *, before: bool) -> str:
    """Return who will judge, how often and for how much, in words; `before` where a run has told it."""
    who = f"judged by {', '.join(plan.judges)}"
    if plan.judge_cost is None:
        return f"{who}, for an unknown amount: {plan.judge_unpriced}"
    source = "as in the newest run of this suite" if before else "if answers are of usual length"
    amount = f"about {format_money(plan.judge_cost)}" if plan.judge_cost else "free"
    return f"{who} with about {plan.judge_calls:,} calls, {amount} ({source})"


def agree(*, costs: bool, sure: bool) -> None:
    """Ask before money is spent, unless somebody is sure; raise BadInput where nobody agrees, or can be asked."""
    if not costs or sure:
        return
    if not sys.stdin.isatty():
        raise BadInput("This may cost money, and nobody can be asked.", todo="Give --max-cost, or --yes.")
    if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise BadInput("Nothing was asked, and nothing was spent.", todo="Give --max-cost to bound it.")


def decided(comparison: "Comparison", scorers: Sequence[str]) -> "Comparison":
    """Return a comparison with the verdict of the scorers that decide; raise BadInput for one that the suite has not."""
    from gimbal.axis.evals.verdicts import verdict_of

    known = [row.scorer for row in comparison.scorers]
    unknown = next((name for name in scorers if name not in known), None)
    if unknown is not None:
        raise BadInput(f"The suite has no scorer {unknown!r}.", where="scorer", todo=f"It has: {', '.join(known)}.")
    return msgspec.structs.replace(comparison, verdict=verdict_of(comparison.scorers, scorers))


def _table(found: "EvaluationRun", seconds: float) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("Subject", "Done", "Left", "Cost", "Status"):
        table.add_column(name)
    left = seconds / found.done * (found.total - found.done) if found.done else None
    table.add_row(
        str(found.subject),
        f"{found.done:,} of {found.total:,}",
        "—" if left is None else values.duration(left),
        _spent(found),
        found.status,
    )
    return table


def _spent(found: "EvaluationRun") -> str:
    """Return what a run has cost so far; a dash for nothing, or nothing known."""
    answers = "—" if found.cost is None else format_money(found.cost)
    return answers if found.judge_cost is None else f"{answers}, judges {format_money(found.judge_cost)}"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _interval(row: Any) -> str:
    return _number(row.value) if row.low is None else f"{_number(row.value)} [{_number(row.low)}, {_number(row.high)}]"


def _scored(row: Any) -> dict[str, Any]:
    missing = ", ".join(f"{count} {why}" for why, count in row.missing.items())
    return {
        "scorer": row.scorer,
        "value": _interval(row.estimate),
        "examples": row.estimate.n,
        "missing": missing or "—",
        "worst": _number(row.worst),
        "best": _number(row.best),
    }


def _compared(row: Any) -> dict[str, Any]:
    return {
        "scorer": row.scorer,
        "before": _number(row.before.value),
        "after": _number(row.after.value),
        "difference": _interval(row.difference),
        "verdict": row.verdict,
        "detectable": _number(row.detectable),
        "pairs": row.paired,
    }
