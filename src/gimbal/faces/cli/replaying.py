"""`gimbal replay --since 24h --candidate prompt:support/answer@v8 --sample 200`: production's questions, asked of a candidate.

What will be asked and what it costs comes first; then both sides are judged, and the comparison decides the exit code.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from gimbal.faces.cli import show, watching
from gimbal.faces.cli.scorers import read_scorers
from gimbal.kernel.errors import BadInput
from gimbal.kernel.money import format_money

if TYPE_CHECKING:
    from gimbal.generative.gateway.replaying.model import ReplayPlan

_AGO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(min|m|h|d|w)", re.ASCII)
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def replay(
    *,
    candidate: Annotated[str, Parameter(help="The version to try: prompt:support/answer@v8.")],
    since: Annotated[
        str, Parameter(help="Calls from then on: 24h, 30min, 7d, or a time like 2026-05-03T12:00Z.")
    ] = "24h",
    until: Annotated[str, Parameter(help="Calls before then, written alike; now otherwise.")] = "",
    sample: Annotated[int, Parameter(help="Calls at most; of more a random sample is drawn.")] = 200,
    seed: Annotated[int, Parameter(help="The same seed draws the same calls.")] = 0,
    of: Annotated[
        str, Parameter(help="Whose calls: another prompt, or one version; all of the candidate's otherwise.")
    ] = "",
    feature: Annotated[str | None, Parameter(help="Only calls of this feature.")] = None,
    user: Annotated[str | None, Parameter(help="Only of this end user.")] = None,
    score: Annotated[
        list[str] | None, Parameter(help="Only calls with this score: 'helpful:<0.5', helpful:unscored.", negative="")
    ] = None,
    scorer: Annotated[
        list[str] | None, Parameter(help="Scorers that judge both sides, as names or JSON; see the docs.", negative="")
    ] = None,
    margin: Annotated[float, Parameter(help="Differences within ± this are equivalent.")] = 0.02,
    concurrency: Annotated[int, Parameter(help="Calls at the same time, 1 to 64.")] = 4,
    per_minute: Annotated[float | None, Parameter(help="Calls that may begin in a minute.")] = None,
    timeout: Annotated[float, Parameter(help="Seconds for one call.")] = 300.0,
    max_cost: Annotated[Decimal | None, Parameter(help="US dollars that each side may cost.")] = None,
    plan: Annotated[bool, Parameter(help="Tell what would be asked and what it costs, and stop.", negative="")] = False,
    yes: Annotated[bool, Parameter(help="Do not ask before money is spent.", negative="")] = False,
    junit: Annotated[Path | None, Parameter(help="Write the candidate's results here, as JUnit's XML.")] = None,
    markdown: Annotated[Path | None, Parameter(help="Write a summary for a pull request here.")] = None,
    project: Annotated[str | None, Parameter(help="Project; GIMBAL_PROJECT, or default, otherwise.")] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Ask a candidate what production asked a prompt, and compare with what was answered then.

    The captured calls become the next version of suite:replays/NAME, so that the same ones can be asked again. Exit codes as
    of `gimbal eval run`: 0 better or equivalent, 1 worse, 2 underpowered, 3 an error.
    """
    from gimbal.faces.client.client import Client

    now = datetime.now(UTC)
    with watching.errors_exit():
        asked: dict[str, Any] = {
            "candidate": candidate, "since": moment(since, now, "--since"), "sample": sample, "seed": seed, "of": of,
            "until": moment(until, now, "--until") if until else None, "feature": feature, "user": user,
            "score": score or [], "scorers": [one for given in scorer or [] for one in read_scorers(given)], "concurrency": concurrency,
            "per_minute": per_minute, "timeout_s": timeout, "max_cost": max_cost,
        }  # fmt: skip
        watching.check_files((junit, markdown))
        with Client(project=project) as client:
            watch = watching.Watch(client, quiet=json)
            planned = client.replays.plan(**asked)
            if plan and json:
                show.result(msgspec.to_builtins(planned, enc_hook=str), as_json=True)
            else:
                for line in _told(planned):
                    watch.say(line)
            if plan:
                return
            costs = bool(planned.calls) and (planned.cost != 0 or planned.judge_cost != 0)
            watching.agree(costs=costs, sure=yes or max_cost is not None)
            # What was agreed to is what is asked, also when calls come in meanwhile.
            asked["until"] = asked["until"] or now
            found = client.replays.start(**asked)
            runs = [watch.follow(run) for run in (found.after, found.before)]
            code = _ended(client, watch, runs, margin, (junit, markdown))
    raise SystemExit(code)


def _ended(
    client: Any, watch: watching.Watch, runs: list[Any], margin: float, files: tuple[Path | None, Path | None]
) -> int:
    bad = next((run for run in runs if run.status != "done"), None)
    if bad is not None:
        show.remark(f"the evaluation {bad.id} {bad.status}: {bad.error or 'see its job'}")
        return watching.ERROR
    comparison = client.evaluations.compare(runs[1].id, to=runs[0].id, margin=margin)
    watch.found(runs, comparison)
    watch.write(runs[0], comparison, *files)
    return watching.EXIT_CODES[comparison.verdict]


def moment(text: str, now: datetime, where: str) -> datetime:
    """Return a time that is written as how long ago it was, or as it is; raise BadInput."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        found = datetime.fromisoformat(text.strip())
        # A time that does not say where is that of the clock on the wall here.
        return found if found.tzinfo else found.astimezone()
    except (ValueError, OverflowError):
        raise BadInput(f"{text!r} is no time.", where=where, todo="Write 24h, 7d, or 2026-05-03T12:00Z.") from None


def _told(plan: "ReplayPlan") -> list[str]:
    share = f", a random {plan.share:.1%} of all" if plan.share < 1 else ""
    lines = [
        f"{plan.candidate}: {plan.calls:,} captured calls of {plan.clusters:,} sessions ({plan.traces:,} traces{share})"
    ]
    if plan.answered_by:
        lines.append("answered by " + ", ".join(f"{one.ref} ({one.calls:,})" for one in plan.answered_by))
    lines += [f"{count:,} cannot be asked again: {reason}" for reason, count in plan.unused.items()]
    lines += [
        f"{count:,} do not fit the candidate, and will be missing: {reason}" for reason, count in plan.unfit.items()
    ]
    spent = f"; the answers of then cost {format_money(plan.spent)}" if plan.spent else ""
    lines.append(f"{plan.calls:,} calls, {watching.money(plan.cost, plan.most)}{spent}")
    if plan.unpriced:
        lines.append(f"  {plan.unpriced}")
    if plan.judges:
        lines.append(f"  both sides {watching.judging(plan, before=False)}")
    if plan.detectable is not None:
        lines.append(f"A difference of {plan.detectable:.3f} in a share would be found, smaller ones may not.")
    return lines
