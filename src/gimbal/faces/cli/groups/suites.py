"""`gimbal suites import FILE…` and `gimbal suites export REF`: suites from files of any tool, and as files for others."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import contamination, from_traces, show, synthesis
from gimbal.kernel.errors import BadInput

if TYPE_CHECKING:
    from gimbal.axis.evals.formats import Imported

_MOST_NOTES = 30
_Project = Annotated[str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")]


def add(app: App) -> None:
    """Put these commands into the app of the group."""
    app.command(import_, name="import")
    app.command(export)
    contamination.add(app)
    from_traces.add(app)
    synthesis.add(app)


def import_(
    *files: Annotated[Path, Parameter(help="Files of one suite, each in any of the formats.")],
    name: Annotated[str, Parameter(help="Name of the suite: help/questions.")],
    scorer: Annotated[
        list[str] | None,
        Parameter(
            help="A scorer of the suite instead of those that the files name; may be given several times.", negative=""
        ),
    ] = None,
    format: Annotated[  # noqa: A002 - the word for it
        str, Parameter(help="jsonl, csv, parquet, promptfoo, openai, lm_eval or inspect; found out otherwise.")
    ] = "",
    column: Annotated[
        list[str] | None,
        Parameter(help="What a column means: input=Question, expected.answer=Solution, cluster=Page …", negative=""),
    ] = None,
    task: Annotated[
        str, Parameter(help="What to call where nobody says otherwise: prompt:help/answer@production.")
    ] = "",
    repeats: Annotated[int | None, Parameter(help="How often each example is asked; else what the files say.")] = None,
    note: Annotated[str, Parameter(help="A remark for people.")] = "",
    prompts: Annotated[Path | None, Parameter(help="Folder to write prompts to that came along.")] = None,
    results: Annotated[Path | None, Parameter(help="File to write answers to that came along, as JSON lines.")] = None,
    dry_run: Annotated[bool, Parameter(help="Show what would come, and store nothing.", negative="")] = False,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
    project: _Project = None,
) -> None:
    """Store files as a suite: JSON lines, CSV, Parquet, or those of promptfoo, OpenAI evals, lm-eval and Inspect.

    What cannot be taken over is told. The same files again are the same version.
    """
    # Only who imports pays for the readers.
    from gimbal.axis.evals.formats import ReadOptions, columns_of, read_suite

    found = read_suite(files, format=format, options=ReadOptions(columns=columns_of(column or [])))
    scorers: list[Any] = [*(scorer or ())] or [one if one.params else one.scorer for one in found.scorers]
    if not scorers and not dry_run:
        raise BadInput(
            "The files do not say how answers are judged.",
            where="--scorer",
            todo="Name a scorer: --scorer exact_match.",
        )
    made: Any = None
    if not dry_run:
        made = _stored(
            found, scorers, name=name, task=task, repeats=repeats or found.repeats, note=note, project=project
        )
    _write(found, prompts, results)
    told = {
        "ref": None if made is None else str(made.ref),
        "examples": len(found.examples),
        "scorers": scorers,
        "repeats": repeats or found.repeats,
        "prompts": len(found.prompts),
        "results": len(found.results),
        "notes": found.notes,
    }
    if json:
        show.result(msgspec.to_builtins(told), as_json=True)
        return
    names = ", ".join(one if isinstance(one, str) else one.shown for one in scorers)
    show.line(f"{told['ref'] or 'nothing is stored'}: {len(found.examples):,} examples, {names or 'no scorers'}")
    for each in found.notes[:_MOST_NOTES]:
        show.remark(f"note: {each}")
    if len(found.notes) > _MOST_NOTES:
        show.remark(f"{len(found.notes) - _MOST_NOTES:,} more notes; --json has all")
    for kind, count, flag, given in (
        ("prompts", len(found.prompts), "--prompts FOLDER", prompts),
        ("answers", len(found.results), "--results FILE", results),
    ):
        if count and given is None:
            show.remark(f"{count:,} {kind} came along; {flag} writes them")


def _stored(
    found: "Imported", scorers: list[Any], *, name: str, task: str, repeats: int, note: str, project: str | None
) -> Any:
    from gimbal.faces.client.client import Client

    # What is not said stays the server's to choose.
    said = {"task": task} if task else {}
    said |= {"repeats": repeats} if repeats > 1 else {}
    said |= {"note": note} if note else {}
    with Client(project=project) as client:
        return client.suites.create(name=name, examples=found.examples, scorers=scorers, **said)  # pyright: ignore[reportArgumentType]


def _write(found: "Imported", prompts: Path | None, results: Path | None) -> None:
    if prompts is not None:
        prompts.mkdir(parents=True, exist_ok=True)
        for one in found.prompts:
            path = prompts / f"{one.name}.md"
            if path.exists() and path.read_text() != one.text:
                raise BadInput(
                    f"{path} is there already, with another text.", where="--prompts", todo="Name another folder."
                )
            path.write_text(one.text)
    if results is not None:
        with results.open("wb") as file:
            for each in found.results:
                file.write(msgspec.json.encode(each) + b"\n")


def export(
    ref: Annotated[str, Parameter(help="The suite: suite:help/questions, or with a version.")],
    *,
    format: Annotated[  # noqa: A002 - the word for it
        Literal["jsonl", "parquet"] | None, Parameter(help="jsonl or parquet; by the file's ending otherwise.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="File to write to; standard output otherwise.")] = None,
    project: _Project = None,
) -> None:
    """Write the examples of a suite as JSON lines, which `gimbal suites import` reads back to the same bytes, or as Parquet."""
    from gimbal.axis.evals.formats import examples_jsonl, examples_parquet
    from gimbal.faces.client.client import Client

    chosen = format or ("parquet" if out is not None and out.suffix == ".parquet" else "jsonl")
    if chosen == "parquet" and out is None and sys.stdout.isatty():
        raise BadInput("Parquet is no text for a terminal.", where="--out", todo="Name a file: --out suite.parquet.")
    with Client(project=project) as client:
        examples = client.suites.examples(ref)
    content = (examples_parquet if chosen == "parquet" else examples_jsonl)(examples)
    if out is None:
        sys.stdout.buffer.write(content)
        return
    partial = out.with_name(f"{out.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    show.remark(f"{out}: {len(examples):,} examples")
