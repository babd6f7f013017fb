"""`gimbal suites synthesise guide.md --name help/written --model …`: a suite that a model writes, watched to its end."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import following, show
from gimbal.kernel.errors import BadInput
from gimbal.kernel.money import format_money

if TYPE_CHECKING:
    from gimbal.axis.evals.synthesis.model import Passage, Synthesis, SynthesisReport


def synthesise(
    *files: Annotated[Path, Parameter(help="Text or Markdown files to write from.")],
    name: Annotated[str, Parameter(help="Name of the suite: help/written.")],
    model: Annotated[str, Parameter(help="Who writes: openai/gpt-5-mini.")],
    source: Annotated[
        str,
        Parameter(
            help="A version to write from instead of files: index:help/docs, or a suite whose examples are seeds."
        ),
    ] = "",
    most: Annotated[int, Parameter(help="How many passages are asked about, spread evenly over all.")] = 100,
    per_passage: Annotated[int, Parameter(help="Questions to ask for from each.")] = 2,
    instructions: Annotated[str, Parameter(help="What else the model is told: language, audience, difficulty.")] = "",
    temperature: Annotated[float | None, Parameter(help="Temperature; the model's own otherwise.")] = None,
    max_tokens: Annotated[int, Parameter(help="Tokens that one answer of the model may have.")] = 2_000,
    scorer: Annotated[
        list[str] | None, Parameter(help="A scorer of the suite; may be given several times.", negative="")
    ] = None,
    slice: Annotated[  # noqa: A002 - the word for it
        bool, Parameter(help="Put the examples into the slice `synthetic`.", negative="")
    ] = False,
    max_cost: Annotated[Decimal | None, Parameter(help="US dollars that it may cost.")] = None,
    yes: Annotated[bool, Parameter(help="Do not ask for a cap before money is spent.", negative="")] = False,
    dry: Annotated[bool, Parameter(help="Tell what it would cost, and ask nothing.", negative="")] = False,
    note: Annotated[str, Parameter(help="A remark for people.")] = "",
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Have a model write a suite: questions with answers, each with the passage it is from and the words it rests on.

    First it says what that costs. Ctrl-C leaves the job running; `gimbal jobs cancel` ends it.
    """
    # Only who asks pays for the HTTP client.
    from gimbal.axis.evals.synthesis.model import SynthesisReport
    from gimbal.faces.client.client import Client

    body: dict[str, Any] = {
        "name": name, "model": model, "source": source, "most": most, "per_passage": per_passage, "slice": slice,
        "instructions": instructions, "temperature": temperature, "max_tokens": max_tokens, "max_cost": max_cost, "note": note,
    }  # fmt: skip
    body = {field: value for field, value in body.items() if value is not None}
    body |= {"scorers": [*scorer]} if scorer else {}
    body |= {"passages": _read(files)} if files else {}
    with Client(project=project) as client:
        planned = client.suites.synthesise(**body, dry=True)
        if not json or not dry:
            _tell_plan(planned)
        if dry:
            if json:
                show.result(msgspec.to_builtins(planned, enc_hook=str), as_json=True)
            return
        if planned.plan.cost != 0 and max_cost is None and not yes:
            raise BadInput("This may cost money.", where="--max-cost", todo="Give --max-cost to bound it, or --yes.")
        begun = client.suites.synthesise(**body)
        found = following.followed(client, begun.job_id or "", SynthesisReport, quiet=json)
    if json:
        show.result(msgspec.to_builtins(found, enc_hook=str), as_json=True)
        return
    _tell(found)


def _read(files: "tuple[Path, ...]") -> "list[Passage]":
    """Return files as passages; the server cuts those that are long."""
    from gimbal.axis.evals.synthesis.model import Passage

    found: list[Passage] = []
    for path in files:
        raw = path.read_bytes()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise BadInput(
                f"{path} is not UTF-8 ({problem.reason} at byte {problem.start}).", where=str(path), todo="Convert it."
            ) from None
        found.append(Passage(id=path.as_posix()[-200:], text=text))
    return found


def _tell_plan(planned: "Synthesis") -> None:
    plan = planned.plan
    cost = "for an unknown amount" if plan.cost is None else f"about {format_money(plan.cost)}" if plan.cost else "free"
    top = f", at most {format_money(plan.most)}" if plan.most else ""
    show.remark(
        f"{plan.passages:,} passage{'' if plan.passages == 1 else 's'}, up to {plan.examples:,} examples, {cost}{top}"
    )
    if plan.left_out:
        show.remark(f"{plan.left_out:,} passages are left out: beyond --most, too short, or there twice")
    if plan.unpriced:
        show.remark(f"the cost is unknown: {plan.unpriced}")


def _tell(found: "SynthesisReport") -> None:
    unpriced = f", {found.unpriced:,} calls without a known price" if found.unpriced else ""
    show.line(
        f"{found.ref or 'nothing is stored'}: {found.examples:,} examples, {format_money(found.cost)}{unpriced}",
        style="bold",
    )
    for what in ("dropped", "failed"):
        for reason, count in getattr(found, what).items():
            show.remark(f"{what}: {count:,} {reason}")
    if found.stopped:
        show.remark(f"stopped: {found.stopped}")


def add(app: App) -> None:
    """Put the command into the app of the group `suites`."""
    app.command(synthesise)
