"""`gimbal eval run suite:help/questions --target prompt:help/answer@v2 --against …`: an evaluation, watched to its verdict.

Made for people and for CI alike: what it will cost comes first, a table grows while it runs, and the exit code is the verdict.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.live import Live
from rich.table import Table

from gimbal.faces.cli import show, values
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.money import format_money

if TYPE_CHECKING:
    from gimbal.axis.evals.model import Comparison, EvaluationPlan, EvaluationResult, EvaluationRun
    from gimbal.faces.client.client import Client

WORSE, UNDERPOWERED, ERROR = 1, 2, 3
EXIT_CODES = {"better": 0, "equivalent": 0, "worse": WORSE, "underpowered": UNDERPOWERED}
_LOOK_S = 0.5
_PAGE = 500
_STEPS = 10
_ENDED = frozenset({"done", "failed", "cancelled", "stopped"})


def run(
    suite: Annotated[str, Parameter(help="The suite: suite:help/questions, or with a version or an alias.")],
    *,
    target: Annotated[str, Parameter(help="The version to judge; the suite's own task otherwise.")] = "",
    against: Annotated[str, Parameter(help="The version to compare it with.")] = "",
    margin: Annotated[float, Parameter(help="Differences within ± this are equivalent.")] = 0.02,
    scorer: Annotated[list[str] | None, Parameter(help="Scorers that decide; all that give marks otherwise.")] = None,
    repeats: Annotated[
        int | None, Parameter(help="Times each example is asked; what the suite says otherwise.")
    ] = None,
    concurrency: Annotated[int, Parameter(help="Calls at the same time, 1 to 64.")] = 4,
    per_minute: Annotated[float | None, Parameter(help="Calls that may begin in a minute.")] = None,
    timeout: Annotated[float, Parameter(help="Seconds for one call.")] = 300.0,
    max_cost: Annotated[Decimal | None, Parameter(help="US dollars that each run may cost.")] = None,
    cache: Annotated[bool, Parameter(help="Take answers that earlier runs got for the same content.")] = True,
    fresh: Annotated[
        bool, Parameter(help="Run --against anew, also where it was evaluated before.", negative="")
    ] = False,
    yes: Annotated[bool, Parameter(help="Do not ask before money is spent.", negative="")] = False,
    junit: Annotated[Path | None, Parameter(help="Write the results here, as JUnit's XML.")] = None,
    markdown: Annotated[Path | None, Parameter(help="Write a summary for a pull request here.")] = None,
    project: Annotated[str | None, Parameter(help="Project; GIMBAL_PROJECT, or default, otherwise.")] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Put a version through a suite, and say whether it is better than another one.

    Exit codes: 0 better or equivalent (or, without --against, done), 1 worse, 2 underpowered: this evidence cannot tell,
    3 an error. Ctrl-C stops the evaluation and keeps what it has found; `gimbal evaluations resume` goes on.
    """
    from gimbal.faces.client.client import Client

    options: dict[str, Any] = {
        "repeats": repeats, "concurrency": concurrency, "per_minute": per_minute, "timeout_s": timeout,
        "max_cost": max_cost, "cache": cache,
    }  # fmt: skip
    try:
        with Client(project=project) as client:
            code = _Evaluation(client, suite, options, quiet=json).verdict(
                target, against, margin, scorers=scorer or [], fresh=fresh, yes=yes, files=(junit, markdown)
            )
    except GimbalError as problem:
        show.error(problem)
        code = ERROR
    raise SystemExit(code)


class _Evaluation:
    """One call of the command."""

    def __init__(self, client: "Client", suite: str, options: dict[str, Any], *, quiet: bool) -> None:
        self._client = client
        self._suite = suite
        self._options = {name: value for name, value in options.items() if value is not None}
        self._quiet = quiet

    def verdict(
        self,
        target: str,
        against: str,
        margin: float,
        *,
        scorers: list[str],
        fresh: bool,
        yes: bool,
        files: "tuple[Path | None, Path | None]",
    ) -> int:
        """Carry it out; return the exit code."""
        plans = [self._plan(target), *([self._plan(against)] if against else [])]
        known = [None, None if fresh or not against else self._known(plans[1])]
        asked = [plan for plan, run in zip(plans, known, strict=False) if run is None]
        self._agree(asked, yes=yes)
        runs = [run or self._watched(plan) for plan, run in zip(plans, known, strict=False)]
        bad = next((run for run in runs if run.status != "done"), None)
        comparison = None
        if against and bad is None:
            comparison = self._client.evaluations.compare(runs[1].id, to=runs[0].id, margin=margin)
            comparison = msgspec.structs.replace(comparison, verdict=_decided(comparison, scorers))
        self._tell(runs, comparison)
        self._write(runs[0], comparison, *files)
        if bad is not None:
            show.remark(f"the evaluation {bad.id} {bad.status}: {bad.error or 'see its job'}")
            return ERROR
        return EXIT_CODES[comparison.verdict] if comparison is not None else 0

    def _plan(self, subject: str) -> "EvaluationPlan":
        return self._client.evaluations.plan(suite=self._suite, subject=subject, **self._options)

    def _known(self, plan: "EvaluationPlan") -> "EvaluationRun | None":
        """Return the newest finished run of exactly this version on exactly this suite."""
        found = self._client.evaluations.list(suite=str(plan.suite), subject=str(plan.subject), limit=20)
        return next((r for r in found.items if r.status == "done" and r.repeats == plan.repeats), None)

    def _agree(self, plans: "Sequence[EvaluationPlan]", *, yes: bool) -> None:
        """Say what it will cost; ask before money is spent, or raise BadInput where nobody can be asked."""
        for plan in plans:
            cost = (
                "for an unknown amount"
                if plan.cost is None
                else f"about {format_money(plan.cost)}"
                if plan.cost
                else "free"
            )
            most = "" if plan.most is None or not plan.most else f", at most {format_money(plan.most)}"
            times = f" × {plan.repeats}" if plan.repeats > 1 else ""
            cached = f" ({plan.cached:,} answers are known)" if plan.cached else ""
            self._say(f"{plan.subject}: {plan.examples:,} examples{times}, {plan.calls:,} calls{cached}, {cost}{most}")
            if plan.unpriced:
                self._say(f"  {plan.unpriced}")
        if plans and plans[0].detectable is not None:
            self._say(f"A difference of {plans[0].detectable:.3f} in a share would be found, smaller ones may not.")
        costs = any(plan.calls and plan.cost != 0 for plan in plans)
        if not costs or yes or "max_cost" in self._options:
            return
        if not sys.stdin.isatty():
            raise BadInput("This may cost money, and nobody can be asked.", todo="Give --max-cost, or --yes.")
        if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise BadInput("Nothing was asked, and nothing was spent.", todo="Give --max-cost to bound it.")

    def _watched(self, plan: "EvaluationPlan") -> "EvaluationRun":
        """Start a run and show how far it is, until it has ended; Ctrl-C stops it."""
        client = self._client.evaluations
        found = client.start(suite=str(plan.suite), subject=str(plan.subject), **self._options)
        self._say(f"{self._client.transport.url}/p/{self._client.project}/evaluations/{found.id}")
        begun = time.monotonic()
        try:
            for _ in self._shown(found, begun):
                time.sleep(_LOOK_S)
                found = client.show(found.id)
                self._latest = found
                if found.status in _ENDED:
                    break
        except KeyboardInterrupt:
            client.cancel(found.id)
            self._say(f"Stopped; what is done is kept. `gimbal evaluations resume {found.id}` goes on.")
            raise
        return found

    def _shown(self, found: "EvaluationRun", begun: float) -> Iterator[None]:
        """Show a run on a terminal as a table that changes, elsewhere as a line for each tenth of it."""
        self._latest = found
        told = -1
        if not self._quiet and sys.stderr.isatty():
            with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
                while True:
                    live.update(_table(self._latest, time.monotonic() - begun), refresh=True)
                    yield
        while True:
            now = self._latest
            if (step := now.done * _STEPS // max(now.total, 1)) > told:
                told = step
                self._say(f"{now.subject}: {now.done:,} of {now.total:,}")
            yield

    def _say(self, text: str) -> None:
        if not self._quiet:
            show.remark(text)

    def _tell(self, runs: "Sequence[EvaluationRun]", comparison: "Comparison | None") -> None:
        if self._quiet:
            show.result(msgspec.to_builtins(comparison or runs[0], enc_hook=str), as_json=True)
        elif comparison is not None:
            show.table([_compared(row) for row in comparison.scorers])
            show.line(f"{runs[0].subject} is {_WORDS[comparison.verdict]} {runs[1].subject}.", style="bold")
        else:
            show.table([_scored(row) for row in runs[0].summaries])

    def _write(
        self, found: "EvaluationRun", comparison: "Comparison | None", junit: Path | None, markdown: Path | None
    ) -> None:
        if junit is None and markdown is None:
            return
        from gimbal.axis.evals.formats.junit import junit as as_junit
        from gimbal.axis.evals.formats.markdown import markdown as as_markdown

        results = list(self._results(found.id))
        if junit is not None:
            junit.write_text(as_junit(found, results), encoding="utf-8")
        if markdown is not None:
            markdown.write_text(as_markdown(found, results, comparison), encoding="utf-8")

    def _results(self, run_id: str) -> "Iterator[EvaluationResult]":
        cursor: str | None = None
        while True:
            page = self._client.evaluations.results(run_id, cursor=cursor, limit=_PAGE)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return


def _decided(comparison: "Comparison", scorers: list[str]) -> str:
    """Return the verdict of the scorers that decide; raise BadInput for one that the suite has not."""
    from gimbal.axis.evals.model import verdict_of

    known = [row.scorer for row in comparison.scorers]
    unknown = next((name for name in scorers if name not in known), None)
    if unknown is not None:
        raise BadInput(f"The suite has no scorer {unknown!r}.", where="scorer", todo=f"It has: {', '.join(known)}.")
    return verdict_of(comparison.scorers, scorers)


_WORDS = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "equivalent to",
    "underpowered": "not told apart from",
}


def _table(found: "EvaluationRun", seconds: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("Subject", "Done", "Left", "Status"):
        table.add_column(name)
    left = seconds / found.done * (found.total - found.done) if found.done else None
    table.add_row(
        str(found.subject),
        f"{found.done:,} of {found.total:,}",
        "—" if left is None else values.duration(left),
        found.status,
    )
    return table


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


def add(sub: App) -> None:
    """Put the commands into the app of the group `eval`."""
    sub.command(run)
