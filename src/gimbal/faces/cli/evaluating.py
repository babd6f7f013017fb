"""`gimbal eval run suite:help/questions --target prompt:help/answer@v2 --against …`: an evaluation, watched to its verdict.

Made for people and for CI alike: what it will cost comes first, a table grows while it runs, and the exit code is the verdict.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.live import Live
from rich.table import Table

from gimbal.faces.cli import functions, importing_answers, show, values
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
    target: Annotated[
        str, Parameter(help="The version to judge, or python:package.module:function; the suite's own task otherwise.")
    ] = "",
    against: Annotated[str, Parameter(help="The version or function to compare it with.")] = "",
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
    resume: Annotated[
        str, Parameter(help="Id of a run of the function that was left open: asks what is missing.")
    ] = "",
    fresh: Annotated[
        bool, Parameter(help="Run --against anew, also where it was evaluated before.", negative="")
    ] = False,
    yes: Annotated[bool, Parameter(help="Do not ask before money is spent.", negative="")] = False,
    junit: Annotated[Path | None, Parameter(help="Write the results here, as JUnit's XML.")] = None,
    markdown: Annotated[Path | None, Parameter(help="Write a summary for a pull request here.")] = None,
    project: Annotated[str | None, Parameter(help="Project; GIMBAL_PROJECT, or default, otherwise.")] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Put a version, or a Python function of yours, through a suite, and say whether it is better than another one.

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
            code = _Evaluation(client, suite, options, resume=resume, quiet=json).verdict(
                target, against, margin, scorers=scorer or [], fresh=fresh, yes=yes, files=(junit, markdown)
            )
    except GimbalError as problem:
        show.error(problem)
        code = ERROR
    raise SystemExit(code)


class _Evaluation:
    """One call of the command."""

    def __init__(self, client: "Client", suite: str, options: dict[str, Any], *, resume: str, quiet: bool) -> None:
        self._client = client
        self._suite = suite
        self._options = {name: value for name, value in options.items() if value is not None}
        self._quiet = quiet
        self._resume = resume

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
        subjects = [target, against] if against else [target]
        # Before anything is asked: what cannot be imported needs no plan.
        called = [functions.load(one) if one.startswith(functions.PREFIX) else None for one in subjects]
        self._check_resume(called[0])
        plans = [None if function else self._plan(one) for one, function in zip(subjects, called, strict=True)]
        known = [None, *(None if plan is None or fresh else self._known(plan) for plan in plans[1:])]
        self._agree([plan for plan, run in zip(plans, known, strict=True) if plan and run is None], yes=yes)
        runs = [
            run or (self._watched(plan) if plan else self._called(function))
            for plan, run, function in zip(plans, known, called, strict=True)
        ]
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
        self._latest = found
        try:
            for _ in self._shown(found, time.monotonic()):
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

    def _check_resume(self, function: "Callable[..., Any] | None") -> None:
        """Raise BadInput for options that a function, or a version, does not have."""
        if function is None and self._resume:
            raise BadInput(
                "Only what a function has answered is gone on with here.",
                where="--resume",
                todo=f"`gimbal evaluations resume {self._resume}` goes on with a version.",
            )
        beyond = [name for name in ("max_cost", "per_minute") if function and name in self._options]
        if beyond:
            flag = f"--{beyond[0].replace('_', '-')}"
            raise BadInput("A function asks as it will.", where=flag, todo="Let the function hold its own limits.")

    def _called(self, function: "Callable[..., Any] | None") -> "EvaluationRun":
        """Call a function of this folder with every example, and show how far it is; Ctrl-C leaves the run open."""
        assert function is not None, "what has no plan is a function"
        from gimbal.faces.client.evaluating.run import evaluate_function, judged

        shown: Iterator[None] = iter(())
        ids: list[str] = []

        def opened(run: "EvaluationRun") -> None:
            nonlocal shown
            self._latest = run
            ids.append(run.id)
            self._say(f"{self._client.transport.url}/p/{self._client.project}/evaluations/{run.id}")
            shown = self._shown(run, time.monotonic())

        def told(done: int, _: int) -> None:
            self._latest = msgspec.structs.replace(self._latest, done=done)
            next(shown, None)

        resume, self._resume = self._resume, ""
        options = {
            name: self._options[name] for name in ("repeats", "concurrency", "timeout_s") if name in self._options
        }
        try:
            found = evaluate_function(
                self._client, self._suite, function, resume=resume, on_progress=told, on_open=opened, **options
            )
        except KeyboardInterrupt:
            if ids:
                self._say(f"Stopped; what is done is kept. The same with --resume {ids[0]} goes on.")
            raise
        return judged(self._client, found, timeout=float("inf"))

    def _shown(self, found: "EvaluationRun", begun: float) -> Iterator[None]:
        """Show a run on a terminal as a table that changes, elsewhere as a line for each tenth of it."""
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
    sub.command(importing_answers.import_, name="import")
