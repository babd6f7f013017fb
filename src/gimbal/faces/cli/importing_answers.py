"""`gimbal eval import FILE`: answers that another tool got, stored as evaluations of the same kind as all others."""

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from gimbal.faces.cli import show
from gimbal.kernel.errors import BadInput, GimbalError

if TYPE_CHECKING:
    from gimbal.axis.evals.answers import RecordedAnswer
    from gimbal.axis.evals.formats import Imported, ImportedResult
    from gimbal.axis.evals.model import EvaluationRun
    from gimbal.faces.client.client import Client

_ERROR = 3
_MOST_NOTES = 30
_ODD = re.compile(r"[^a-z0-9._-]+")
_TOOLS = {"promptfoo_results": "promptfoo", "lm_eval": "lm-eval"}


def import_(
    *files: Annotated[Path, Parameter(help="Results of promptfoo (JSON), Inspect (.eval) or lm-eval (samples).")],
    suite: Annotated[
        str, Parameter(help="The suite that was asked, with the same ids; made of the files' samples otherwise.")
    ] = "",
    subject: Annotated[
        str, Parameter(help="Whose answers they are: a version, or the name of one to make; by the files otherwise.")
    ] = "",
    scorer: Annotated[
        list[str] | None, Parameter(help="A scorer of the suite that is made, instead of the files' own.", negative="")
    ] = None,
    max_cost: Annotated[Decimal | None, Parameter(help="US dollars that judging each evaluation may cost.")] = None,
    format: Annotated[  # noqa: A002 - the word for it
        str, Parameter(help="promptfoo_results, inspect or lm_eval; found out otherwise.")
    ] = "",
    project: Annotated[str | None, Parameter(help="Project; GIMBAL_PROJECT, or default, otherwise.")] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Store answers that another tool got, and judge them: one evaluation for each model that answered.

    The suite's scorers judge them; what the tool said itself stands beside, by its names: `promptfoo/score`.
    """
    from gimbal.axis.evals.formats import detect, read_suite
    from gimbal.faces.client.client import Client

    try:
        found = read_suite(files, format=format)
        if not found.results:
            raise BadInput("The files have no answers.", where="files", todo="`gimbal suites import` takes examples.")
        kind = format or detect(files[0])
        with Client(project=project) as client:
            runs = _stored(
                client, found, _TOOLS.get(kind, kind), suite, subject, scorer or [], stem=files[0].stem, cap=max_cost
            )
    except GimbalError as problem:
        show.error(problem)
        raise SystemExit(_ERROR) from None
    for note in found.notes[:_MOST_NOTES]:
        show.remark(f"note: {note}")
    if json:
        show.result(msgspec.to_builtins(runs, enc_hook=str), as_json=True)
        return
    for run in runs:
        show.line(f"{run.subject} on {run.suite}: {run.status}, {run.id}", style="bold")
        show.table([_told(row) for row in run.summaries])


def _stored(
    client: "Client",
    found: "Imported",
    tool: str,
    suite: str,
    subject: str,
    scorers: list[str],
    *,
    stem: str,
    cap: Decimal | None,
) -> "list[EvaluationRun]":
    by_subject: dict[str, list[ImportedResult]] = {}
    for one in found.results:
        by_subject.setdefault(one.subject, []).append(one)
    if subject and len(by_subject) > 1:
        raise BadInput(
            f"The files have answers of {len(by_subject)}: {', '.join(list(by_subject)[:5])}.",
            where="--subject",
            todo="Leave it out: each gets a name of its own.",
        )
    if not suite:
        chosen: Any = scorers or [one if one.params else one.scorer for one in found.scorers]
        if not chosen:
            raise BadInput(
                "The files name no scorer of ours.", where="--scorer", todo="Name one: --scorer exact_match."
            )
        made = client.suites.create(
            name=f"{tool}/{_word(stem)}", examples=found.examples, scorers=chosen, repeats=found.repeats
        )
        suite = str(made.ref)
    runs: list[EvaluationRun] = []
    for model, answers in by_subject.items():
        ref = subject if ":" in subject else _version(client, tool, model, subject)
        repeats = 1 + max(one.repeat for one in answers)
        runs.append(_recorded(client, suite, ref, tool, [_answer(one, tool) for one in answers], repeats, cap))
    return runs


def _version(client: "Client", tool: str, model: str, name: str) -> str:
    made = client.functions.register(
        name=name or f"{tool}/{_word(model)}", function=model[:500] or "unknown", module=tool, language="external"
    )
    return str(made.ref)


def _recorded(
    client: "Client",
    suite: str,
    ref: str,
    tool: str,
    answers: "Sequence[RecordedAnswer]",
    repeats: int,
    cap: Decimal | None,
) -> "EvaluationRun":
    from gimbal.faces.client.evaluating.run import judged, recorder, weighed

    run = client.evaluations.open(suite=suite, subject=ref, repeats=repeats, client=tool, max_cost=cap)
    outbox = recorder(lambda batch: _send(client, run.id, [one.answer for one in batch]))
    try:
        for one in answers:
            outbox.add(weighed(one))
        outbox.flush()
    except BaseException:
        client.evaluations.cancel(run.id)
        raise
    finally:
        outbox.close()
    return judged(client, client.evaluations.finish(run.id), timeout=float("inf"))


def _send(client: "Client", run_id: str, answers: "list[RecordedAnswer]") -> None:
    client.evaluations.record(run_id, answers=answers)


def _answer(one: "ImportedResult", tool: str) -> "RecordedAnswer":
    from gimbal.axis.evals.answers import RecordedAnswer

    return RecordedAnswer(
        example_id=one.example_id,
        repeat=one.repeat,
        text=one.text,
        value=one.value,
        error=one.error[:2_000],
        latency_ms=one.latency_ms,
        cost=None if one.cost is None else Decimal(str(one.cost)),
        input_tokens=one.input_tokens,
        output_tokens=one.output_tokens,
        scores={f"{tool}/{name}"[:200]: value for name, value in one.scores.items()},
        missing={f"{tool}/{name}"[:200]: why for name, why in one.missing.items()},
        labels={f"{tool}/{name}"[:200]: word for name, word in one.labels.items()},
    )


def _word(text: str) -> str:
    return _ODD.sub("-", text.lower()).strip("._-")[:60] or "results"


def _told(row: Any) -> dict[str, Any]:
    value = row.estimate
    interval = "" if value.low is None else f" [{value.low:.3f}, {value.high:.3f}]"
    missing = ", ".join(f"{count} {why}" for why, count in row.missing.items())
    return {
        "scorer": row.scorer,
        "value": "—" if value.value is None else f"{value.value:.3f}{interval}",
        "examples": value.n,
        "missing": missing or "—",
    }
