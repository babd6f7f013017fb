"""`gimbal suites from-traces --name help/real --feature help`: a suite of what happened, followed to its end."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import following, show
from gimbal.faces.cli.scorers import read_scorers

if TYPE_CHECKING:
    from gimbal.axis.evals.building.model import BuiltSuite

_SHOWN = 20
_LONGEST = 200


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _Which:
    """Which traces, as `gimbal traces list` takes it."""

    since: Annotated[str | None, Parameter(help="Started at or after this.")] = None
    until: Annotated[str | None, Parameter(help="Started before this.")] = None
    feature: Annotated[
        str | None, Parameter(help="Only of this feature; Gimbal's own calls only where it is named.")
    ] = None
    ref: Annotated[str | None, Parameter(help="Only those that used prompt:help/answer@v2, or any of it.")] = None
    model: Annotated[str | None, Parameter(help="Only with a call of this model.")] = None
    status: Annotated[str | None, Parameter(help="Only those that ended so: error, ok, cancelled or unset.")] = None
    kind: Annotated[str | None, Parameter(help="Only roots of this kind: llm, chain, agent …")] = None
    text: Annotated[str | None, Parameter(help="Only roots whose name contains this.")] = None
    user: Annotated[str | None, Parameter(help="Only of this end user.")] = None
    session: Annotated[str | None, Parameter(help="Only of this session.")] = None
    provider: Annotated[str | None, Parameter(help="Only of this provider.")] = None
    endpoint: Annotated[str | None, Parameter(help="Only of this endpoint.")] = None
    api_key: Annotated[str | None, Parameter(help="Only of calls with the API key of this id.")] = None
    tag: Annotated[
        list[str] | None, Parameter(help="Only with this tag, team:search; may be repeated.", negative="")
    ] = None
    attribute: Annotated[
        list[str] | None, Parameter(help="Only with this attribute, as key:value; may be repeated.", negative="")
    ] = None
    search: Annotated[str | None, Parameter(help="Only with all of these words in input, output or errors.")] = None
    min_ms: Annotated[float | None, Parameter(help="Only those that took at least so long.")] = None
    max_ms: Annotated[float | None, Parameter(help="Only those that took at most so long.")] = None
    min_usd: Annotated[str | None, Parameter(help="Only those that are known to cost at least so much.")] = None
    max_usd: Annotated[str | None, Parameter(help="Only those that are known to cost at most so much.")] = None
    score: Annotated[
        list[str] | None, Parameter(help="Only with this score, 'helpful:<0.5'; may be repeated.", negative="")
    ] = None
    scored_by: Annotated[str | None, Parameter(help="Only scores by human, judge, code or user.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _How:
    """How examples are made of them, and of what suite."""

    most: Annotated[int | None, Parameter(help="How many examples at most; 100 otherwise.")] = None
    by: Annotated[
        str | None,
        Parameter(
            help="What they are dealt out by: feature, model, kind, status, hour, slice, score:NAME, attribute:KEY or tag:KEY."
        ),
    ] = None
    allot: Annotated[
        Literal["proportional", "equal"] | None,
        Parameter(help="Whether each part gets as large a share as it has, or each the same."),
    ] = None
    seed: Annotated[int | None, Parameter(help="The same seed draws the same traces; 0 otherwise.")] = None
    span: Annotated[
        str | None,
        Parameter(
            help="Which span is the example: root, a kind, or name=…; the first that says what went in otherwise."
        ),
    ] = None
    answers: Annotated[bool | None, Parameter(help="Every recorded answer becomes the expected one.", negative="")] = (
        None
    )
    good: Annotated[
        list[str] | None,
        Parameter(help="It does where the trace has this score, 'helpful:>=1'; may be repeated.", negative=""),
    ] = None
    correction: Annotated[
        list[str] | None,
        Parameter(help="A score whose explanation, else label, is a better answer; may be repeated.", negative=""),
    ] = None
    slice: Annotated[str | None, Parameter(help="What becomes the examples' slice: like --by.")] = None
    cluster: Annotated[
        Literal["session", "user", "none"] | None,
        Parameter(help="Whose examples share a cluster: those of a session, else of a user; of a user; or nobody's."),
    ] = None
    near: Annotated[
        float | None, Parameter(help="From which similarity on one of two is left out; 1: only equal ones.")
    ] = None
    keep: Annotated[
        list[str] | None,
        Parameter(help="Personal data that stays: contact, email …; may be repeated. Secrets never stay.", negative=""),
    ] = None
    scorers: Annotated[
        list[str] | None,
        Parameter(
            name=["--scorer", "--scorers"],
            help="A scorer of the suite, as name or JSON; may be repeated. Those that it has otherwise.",
            negative="",
        ),
    ] = None
    repeats: Annotated[int | None, Parameter(help="How often each example is asked.")] = None
    task: Annotated[str | None, Parameter(help="What to call where nobody says otherwise.")] = None
    note: Annotated[str | None, Parameter(help="A remark for people; one that says what was drawn otherwise.")] = None


def from_traces(
    *,
    name: Annotated[str, Parameter(help="Name of the suite: help/real.")],
    add: Annotated[bool, Parameter(help="Keep the examples that it has.", negative="")] = False,
    dry_run: Annotated[bool, Parameter(help="Only tell what would come, and store nothing.", negative="")] = False,
    which: _Which = _Which(),
    how: _How = _How(),
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Make a suite of traces: chosen like a list of them, freed of personal data and duplicates, drawn by a seed.

    The same question with the same seed on the same traces is the same version.
    Ctrl-C leaves the job running; `gimbal jobs cancel` ends it.
    """
    # Only who asks pays for the HTTP client.
    from gimbal.axis.evals.building.model import BuiltSuite
    from gimbal.faces.client.client import Client

    body: dict[str, Any] = {"name": name, "add": add, "dry_run": dry_run, **asdict(which), **asdict(how)}
    body = {field: value for field, value in body.items() if value is not None}
    if "scorers" in body:
        body["scorers"] = [one for given in body["scorers"] for one in read_scorers(given)]
    with Client(project=project) as client:
        begun = client.suites.from_traces(**body)
        found = following.followed(client, begun.job_id, BuiltSuite, quiet=json)
    if json:
        show.result(msgspec.to_builtins(found, enc_hook=str), as_json=True)
    else:
        _tell(found)


def _tell(found: "BuiltSuite") -> None:
    expected = f", {found.expected:,} with an expected answer" if found.expected else ""
    show.line(f"{found.ref or 'nothing is stored'}: {found.examples:,} examples{expected}", style="bold")
    share = f", a random {found.share:.2%} of all that fit" if found.share < 1 else ""
    show.remark(f"drawn from {found.looked_at:,} traces{share}; {found.read:,} were read")
    for what in ("dropped", "replaced"):
        for reason, count in getattr(found, what).items():
            show.remark(f"{what}: {count:,} {reason}")
    if found.parts:
        rows = [{"part": one.name or "—", "traces": one.traces, "examples": one.examples} for one in found.parts]
        show.table(rows[:_SHOWN])
    if len(found.parts) > _SHOWN or found.more_parts:
        more = len(found.parts[_SHOWN:]) + found.more_parts
        show.remark(f"{more:,} more parts; --json lists up to 500")
    if found.samples:
        show.table([{"sample": _sample(one.input), "expected": _sample(one.expected)} for one in found.samples])


def _sample(value: Any) -> str:
    """Return what an example says, in a line and short."""
    question = value.get("question") or value.get("answer") if isinstance(value, dict) else None
    text = question if isinstance(question, str) else msgspec.json.encode(value).decode() if value else "—"
    return " ".join(text.split())[:_LONGEST]


def add(app: App) -> None:
    """Put the command into the app of the group `suites`."""
    app.command(from_traces)
