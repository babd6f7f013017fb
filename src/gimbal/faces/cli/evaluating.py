"""`gimbal eval run suite:help/questions --target prompt:help/answer@v2 --against …`: an evaluation, watched to its verdict.

Made for people and for CI alike: what it will cost comes first, a table grows while it runs, and the exit code is the verdict.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import functions, importing_answers, show, watching
from gimbal.kernel.errors import BadInput

if TYPE_CHECKING:
    from gimbal.axis.evals.model import EvaluationPlan, EvaluationRun
    from gimbal.faces.client.client import Client


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
    with watching.errors_exit(), Client(project=project) as client:
        code = _Evaluation(client, suite, options, resume=resume, quiet=json).verdict(
            target, against, margin, scorers=scorer or [], fresh=fresh, yes=yes, files=(junit, markdown)
        )
    raise SystemExit(code)


class _Evaluation:
    """One call of the command."""

    def __init__(self, client: "Client", suite: str, options: dict[str, Any], *, resume: str, quiet: bool) -> None:
        self._client = client
        self._suite = suite
        self._options = {name: value for name, value in options.items() if value is not None}
        self._watch = watching.Watch(client, quiet=quiet)
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
        watching.check_files(files)
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
            found = self._client.evaluations.compare(runs[1].id, to=runs[0].id, margin=margin)
            comparison = watching.decided(found, scorers)
        self._watch.found(runs, comparison)
        self._watch.write(runs[0], comparison, *files)
        if bad is not None:
            show.remark(f"the evaluation {bad.id} {bad.status}: {bad.error or 'see its job'}")
            return watching.ERROR
        return watching.EXIT_CODES[comparison.verdict] if comparison is not None else 0

    def _plan(self, subject: str) -> "EvaluationPlan":
        return self._client.evaluations.plan(suite=self._suite, subject=subject, **self._options)

    def _known(self, plan: "EvaluationPlan") -> "EvaluationRun | None":
        """Return the newest finished run of exactly this version on exactly this suite."""
        found = self._client.evaluations.list(suite=str(plan.suite), subject=str(plan.subject), limit=20)
        fitting = (r for r in found.items if r.status == "done" and r.repeats == plan.repeats and not r.client)
        # The verdict speaks of what is asked for here, by whatever name it was asked then.
        return next((msgspec.structs.replace(r, asked=plan.asked) for r in fitting), None)

    def _agree(self, plans: "Sequence[EvaluationPlan]", *, yes: bool) -> None:
        """Say what it will cost; ask before money is spent, or raise BadInput where nobody can be asked."""
        for plan in plans:
            times = f" × {plan.repeats}" if plan.repeats > 1 else ""
            cached = f" ({plan.cached:,} answers are known)" if plan.cached else ""
            asked = f"{plan.examples:,} examples{times}, {plan.calls:,} calls{cached}"
            self._watch.say(f"{watching.named(plan)}: {asked}, {watching.money(plan.cost, plan.most)}")
            if plan.unpriced:
                self._watch.say(f"  {plan.unpriced}")
            if plan.judges:
                self._watch.say(f"  {watching.judging(plan, before=plan.judged_before)}")
        if plans and plans[0].detectable is not None:
            self._watch.say(
                f"A difference of {plans[0].detectable:.3f} in a share would be found, smaller ones may not."
            )
        costs = any((plan.calls and plan.cost != 0) or plan.judge_cost != 0 for plan in plans)
        watching.agree(costs=costs, sure=yes or "max_cost" in self._options)

    def _watched(self, plan: "EvaluationPlan") -> "EvaluationRun":
        """Start a run and show how far it is, until it has ended; Ctrl-C stops it."""
        begun = self._client.evaluations.start(
            suite=str(plan.suite), subject=str(plan.subject), asked=plan.asked, **self._options
        )
        return self._watch.follow(begun)

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

        latest: list[EvaluationRun] = []
        tell: Callable[[EvaluationRun], None] = latest.append

        def opened(run: "EvaluationRun") -> None:
            nonlocal tell
            latest.append(run)
            tell = self._watch.begin(run)

        def told(done: int, _: int) -> None:
            tell(msgspec.structs.replace(latest[0], done=done))

        resume, self._resume = self._resume, ""
        options = {
            name: self._options[name] for name in ("repeats", "concurrency", "timeout_s") if name in self._options
        }
        try:
            found = evaluate_function(
                self._client, self._suite, function, resume=resume, on_progress=told, on_open=opened, **options
            )
        except KeyboardInterrupt:
            if latest:
                self._watch.say(f"Stopped; what is done is kept. The same with --resume {latest[0].id} goes on.")
            raise
        return judged(self._client, found, timeout=float("inf"))


def add(sub: App) -> None:
    """Put the commands into the app of the group `eval`."""
    sub.command(run)
    sub.command(importing_answers.import_, name="import")
