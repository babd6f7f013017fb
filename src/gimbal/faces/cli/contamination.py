"""`gimbal suites contamination suite:help/questions`: what a model may have seen of a suite, for people and CI.

The exit code says whether something was found, so that a pipeline stops where a suite's examples stand in what a model is
tuned on or prompted with.
"""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from gimbal.faces.cli import following, show
from gimbal.kernel.errors import GimbalError

if TYPE_CHECKING:
    from gimbal.axis.evals.contaminating.model import ContaminationReport

FOUND, ERROR = 1, 3
_SHOWN, _NAMED = 20, 5


def contamination(
    suite: Annotated[str, Parameter(help="The suite: suite:help/questions, or with a version or an alias.")],
    *,
    against: Annotated[
        list[str] | None,
        Parameter(
            help="A version to compare with; may be given several times. Otherwise all other suites, prompts and datasets.",
            negative="",
        ),
    ] = None,
    threshold: Annotated[float, Parameter(help="Share in common from which on two texts are the same.")] = 0.8,
    n: Annotated[int, Parameter(help="Words in a row by which an example is found inside a longer text.")] = 13,
    most: Annotated[int, Parameter(help="How many findings --json lists, up to 1,000.")] = 200,
    project: Annotated[
        str | None, Parameter(help="Slug of the project; GIMBAL_PROJECT or `default` otherwise.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)] = False,
) -> None:
    """Compare a suite's examples with other suites, prompts and datasets: the same, nearly the same, or standing in them.

    Exit codes: 0 nothing is found, 1 something is, or examples of different clusters are alike, 3 an error.
    Ctrl-C leaves the job running; `gimbal jobs cancel` ends it.
    """
    # Only who asks pays for the HTTP client.
    from gimbal.axis.evals.contaminating.model import ContaminationReport
    from gimbal.faces.client.client import Client

    try:
        with Client(project=project) as client:
            begun = client.suites.contamination(suite, against=against or [], threshold=threshold, n=n, most=most)
            found = following.followed(client, begun.job_id, ContaminationReport, quiet=json)
    except GimbalError as problem:
        show.error(problem)
        raise SystemExit(ERROR) from None
    if json:
        show.result(msgspec.to_builtins(found, enc_hook=str), as_json=True)
    else:
        _tell(found)
    if found.found or found.splits:
        raise SystemExit(FOUND)


def _tell(found: "ContaminationReport") -> None:
    compared = f"{found.compared:,} version{'s' if found.compared != 1 else ''}"
    show.line(
        f"{found.suite}: {found.touched:,} of {found.examples:,} examples ({found.share:.1%}) stand in {compared} compared",
        style="bold",
    )
    if touched := [one for one in found.against if one.examples]:
        show.table([_asset(one) for one in touched[:_SHOWN]])
    if len(touched) > _SHOWN:
        show.remark(f"{len(touched) - _SHOWN:,} more versions hold some; --json lists them")
    if found.findings:
        show.line("")
        show.table([_finding(one) for one in found.findings[:_SHOWN]])
    if found.found > _SHOWN:
        show.remark(f"{found.found - _SHOWN:,} more findings; --json lists up to --most")
    if found.repeated:
        show.line("")
        show.line(
            f"{found.repeated:,} pairs of the suite's own examples are alike, {found.parted:,} in different clusters:"
        )
        show.table([_pair(one) for one in found.inside[:_SHOWN]])
    for group in found.split[:_SHOWN]:
        names = ", ".join(group.clusters[:_NAMED]) + (
            f" and {group.count - _NAMED:,} more" if group.count > _NAMED else ""
        )
        show.remark(f"one cluster would be right, not {group.count:,}: {names}")
    if found.splits > _SHOWN:
        show.remark(f"{found.splits - _SHOWN:,} more such groups; --json lists up to --most")
    for one in found.unread[:_SHOWN]:
        show.remark(f"not compared: {' '.join(part for part in (one.ref, one.where) if part)}: {one.reason}")
    if found.uncompared > _SHOWN:
        show.remark(f"{found.uncompared - _SHOWN:,} more were not compared; --json lists up to 1,000")


def _asset(one: Any) -> dict[str, Any]:
    return {
        "held by": str(one.ref),
        "examples": one.examples,
        "share": f"{one.share:.1%}",
        "exact": one.exact,
        "near": one.near,
        "contained": one.contained,
    }


def _finding(one: Any) -> dict[str, Any]:
    return {
        "example": one.example_id,
        "how": one.kind,
        "similarity": f"{one.similarity:.2f}",
        "held by": str(one.ref),
        "where": one.where,
        "text": one.found,
    }


def _pair(one: Any) -> dict[str, Any]:
    return {
        "left": one.left,
        "right": one.right,
        "how": one.kind,
        "similarity": f"{one.similarity:.2f}",
        "clusters": "different" if one.apart else "same",
    }


def add(app: App) -> None:
    """Put the command into the app of the group `suites`."""
    app.command(contamination)
