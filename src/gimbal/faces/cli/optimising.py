"""`gimbal prompts optimise prompt:help/answer@production --suite suite:help/questions --max-cost 2`: a better prompt, proven.

What it will ask and cost comes first; then a line shows how far the search is, and at the end stand the comparison on the
held-out part and what differs.
"""

import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.live import Live
from rich.text import Text

from gimbal.faces.cli import show
from gimbal.faces.cli.sync import show_changes, show_text
from gimbal.kernel.errors import BadInput
from gimbal.kernel.money import format_money

if TYPE_CHECKING:
    from gimbal.faces.client.client import Client
    from gimbal.generative.gateway.optimising.model import Optimisation, OptimisationPlan

_LOOK_S = 0.5
_ENDED = frozenset({"done", "failed", "cancelled", "stopped"})


def optimise(
    ref: Annotated[str, Parameter(help="The prompt to begin with: prompt:help/answer@production.")],
    *,
    suite: Annotated[str, Parameter(help="The suite to improve it by: suite:help/questions.")],
    max_cost: Annotated[
        Decimal | None, Parameter(help="US dollars that all of it may cost; needed unless every call is free.")
    ] = None,
    mark: Annotated[
        list[str] | None,
        Parameter(
            help="Scorers to improve, exact_match or exact_match=2; the suite's first mark otherwise.", negative=""
        ),
    ] = None,
    method: Annotated[
        list[Literal["few_shot", "reflection"]] | None,
        Parameter(help="How candidates are made; both ways otherwise.", negative=""),
    ] = None,
    reflector: Annotated[str, Parameter(help="Model that writes instructions; the prompt's own otherwise.")] = "",
    rounds: Annotated[int, Parameter(help="Candidates to try.")] = 12,
    max_calls: Annotated[int | None, Parameter(help="Answers and reflections of the search.")] = None,
    minibatch: Annotated[int, Parameter(help="Examples that a reflection looks at.")] = 4,
    validation: Annotated[float, Parameter(help="Share of the suite that is held out for the proof.")] = 0.5,
    margin: Annotated[float, Parameter(help="Differences within ± this are equivalent.")] = 0.02,
    seed: Annotated[int, Parameter(help="Of the split, and of every choice by chance.")] = 0,
    concurrency: Annotated[int, Parameter(help="Calls at the same time, 1 to 64.")] = 4,
    yes: Annotated[bool, Parameter(help="Do not ask before money is spent.", negative="")] = False,
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Search for a better version of a prompt, and prove it on examples that the search never saw.

    Ctrl-C stops it and keeps what is answered: the same command goes on from there. A winner that is not worse becomes a
    version; when it is better, the alias `candidate` stands on it, and release stays the gates' business.
    """
    from gimbal.faces.client.client import Client

    options: dict[str, Any] = {
        "suite": suite, "max_cost": max_cost, "marks": [_mark(one) for one in mark or []],
        "methods": list(method or ("few_shot", "reflection")), "reflector": reflector, "rounds": rounds,
        "max_calls": max_calls, "minibatch": minibatch, "validation": validation, "margin": margin, "seed": seed,
        "concurrency": concurrency,
    }  # fmt: skip
    with Client(project=project) as client:
        plan = client.prompts.optimise_plan(ref, **options)
        _agree(plan, max_cost, yes=yes, quiet=json)
        found = _watched(client, client.prompts.optimise(str(plan.start), **options), quiet=json)
    if json:
        show.result(msgspec.to_builtins(found, enc_hook=str), as_json=True)
    else:
        _tell(found)
    if found.status != "done":
        raise SystemExit(1)


def _mark(text: str) -> dict[str, Any]:
    name, equals, weight = text.rpartition("=")
    if not equals:
        return {"scorer": text}
    try:
        return {"scorer": name, "weight": float(weight)}
    except ValueError:
        raise BadInput(f"{weight!r} is no weight.", where="--mark", todo="Write exact_match=2.") from None


def _agree(plan: "OptimisationPlan", cap: Decimal | None, *, yes: bool, quiet: bool) -> None:
    """Say what it will ask and cost; ask before money is spent, or raise BadInput where nobody can be asked."""
    if not quiet:
        for line in _planned(plan):
            show.remark(line)
    if yes or plan.most == 0 or (cap is not None and not sys.stdin.isatty()):
        return
    try:
        agreed = input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        agreed = False
    if not agreed:
        raise BadInput("Nothing was asked, and nothing was spent.", todo="--yes goes on without asking.")


def _planned(plan: "OptimisationPlan") -> Iterator[str]:
    marks = ", ".join(f"{one.scorer} × {one.weight:g}" if one.weight != 1 else one.scorer for one in plan.marks)
    yield f"{plan.start} on {plan.suite}, to improve {marks}"
    shown = f", {plan.shots:,} to show" if plan.shots else ""
    yield f"{plan.train:,} examples to train on{shown}, {plan.validation:,} held out for the proof"
    money = "free"
    if plan.most != 0:
        money = f"about {format_money(plan.cost)}, never more than {format_money(plan.most)}"
    by = f", instructions by {plan.reflector}" if plan.reflector else ""
    yield f"{plan.rounds} rounds, at most {plan.calls:,} calls, {money}{by}"
    if plan.detectable is not None:
        yield f"The proof finds a difference of {plan.detectable:.3f} in a share; smaller ones it may not."


def _watched(client: "Client", found: "Optimisation", *, quiet: bool) -> "Optimisation":
    """Show how far it is until it has ended; Ctrl-C stops it."""
    if not quiet:
        show.remark(f"{client.transport.url}/p/{client.project}/optimisations/{found.id}")
    live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
    shown = not quiet and sys.stderr.isatty()
    told = -1
    try:
        if shown:
            live.start()
        while found.status not in _ENDED:
            if shown:
                live.update(Text(_progress(found)), refresh=True)
            elif not quiet and found.rounds > told:
                told = found.rounds
                show.remark(_progress(found))
            time.sleep(_LOOK_S)
            found = client.optimisations.show(found.id)
    except KeyboardInterrupt:
        client.optimisations.cancel(found.id)
        show.remark("Stopped; what is answered is kept, and the same command goes on from it.")
        raise
    finally:
        live.stop()
    return found


def _progress(found: "Optimisation") -> str:
    best = "—" if found.best_mark is None else f"{found.best_mark:.3f}"
    begun = "" if found.start_mark is None else f" (the start {found.start_mark:.3f})"
    what = "proving the winner" if found.phase == "proof" else f"round {found.rounds} of {found.options.rounds}"
    return f"{what}, best {best}{begun}, {found.calls:,} calls, {format_money(found.spent)}"


def _tell(found: "Optimisation") -> None:
    if found.refused:
        show.remark("refused: " + ", ".join(f"{count} {why}" for why, count in sorted(found.refused.items())))
    proof = found.proof
    if proof is not None:
        rows = [proof.mark, *proof.scorers] if len(proof.scorers) > 1 else proof.scorers
        show.table([_compared(row) for row in rows])
        show_changes(proof.changes)
        show_text(proof.text)
    show.line(found.outcome or found.error, style="bold")
    if found.winner is not None:
        show.line(f"{found.winner}; {found.alias}")
    show.remark(f"{found.calls:,} calls of the search, {format_money(found.spent)} in all")


def _compared(row: Any) -> dict[str, Any]:
    difference = row.difference
    interval = "" if difference.low is None else f" [{_number(difference.low)}, {_number(difference.high)}]"
    return {
        "scorer": row.scorer,
        "before": _number(row.before.value),
        "after": _number(row.after.value),
        "difference": _number(difference.value) + interval,
        "verdict": row.verdict,
        "pairs": row.paired,
    }


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"
