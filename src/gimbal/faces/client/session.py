"""The verbs of evidence and release for scripts: prompt, score, evaluate, promote, drift."""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, overload

import msgspec

from gimbal.axis.evals.model import EvaluationRun
from gimbal.axis.evals.verdicts import Comparison
from gimbal.axis.gates.model import Decision
from gimbal.axis.monitors.model import MonitorReport
from gimbal.axis.scores.model import NewScore, Score, ScoreSource, ScoreTarget
from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.evaluating.subjects import EvaluateOptions, evaluated
from gimbal.faces.client.prompting.prompt import Prompt, as_prompt, find_prompt, note_use
from gimbal.faces.client.tracing import current_span
from gimbal.generative.prompts.model import RenderedPrompt
from gimbal.kernel.errors import BadInput


@overload
def prompt(ref: str, variables: None = None, *, client: Client | None = None) -> Prompt: ...
@overload
def prompt(ref: str, variables: Mapping[str, Any], *, client: Client | None = None) -> RenderedPrompt: ...
def prompt(
    ref: str, variables: Mapping[str, Any] | None = None, *, client: Client | None = None
) -> Prompt | RenderedPrompt:
    """Return a prompt to be filled: `gimbal.prompt("support/answer@production").format(question="…")`.

    It is fetched once, follows its alias within about a second, and works from a copy on disk while the server is away.
    With `variables` the server fills it now, and what comes back is the messages of that version.
    """
    client = client or default_client()
    if variables is None:
        return find_prompt(str(ref), client)
    filled = client.prompts.render(as_prompt(str(ref)), variables=dict(variables))
    note_use(filled.ref, variables)
    return filled


def score(
    name: str,
    value: float | None = None,
    *,
    label: str = "",
    explanation: str = "",
    target: str = "trace",
    target_id: str = "",
    source: str = "code",
    client: Client | None = None,
) -> Score:
    """Record a judgement of the trace of here, or of its span or session: `gimbal.score("helpful", 1.0)`.

    `target` is `trace`, `span`, `session`, `example`, `run` or `prediction`; outside the trace that is judged, and for
    anything else, give its id as `target_id`. Raise BadInput for a target or source that there is not, for a target
    without an id, and for a value that is not finite: what is missing is said by leaving it out and giving a label.
    """
    if value is not None and not math.isfinite(value):
        raise BadInput(
            f"A score is a finite number, not {value}.",
            where="value",
            kept="nothing",
            todo="Leave it out and say by label why there is none.",
        )
    for where, given, kinds in (("target", target, ScoreTarget), ("source", source, ScoreSource)):
        if given not in kinds.__members__.values():
            raise BadInput(f"{given!r} is not a {where}.", where=where, kept="nothing", todo=f"Use {_words(kinds)}.")
    here = current_span()
    ids = {"trace": here.trace_id, "span": here.span_id, "session": here.session}
    judged = target_id or ids.get(target, "")
    if not judged:
        raise BadInput(
            f"There is no {target} here to be judged.",
            where="target_id",
            kept="nothing",
            todo="Give its id, or judge inside `with gimbal.trace(...)`.",
        )
    new = NewScore(
        target_kind=ScoreTarget(target),
        target_id=judged,
        trace_id=here.trace_id if target == "span" and not target_id else "",
        name=name,
        value=value,
        label=label,
        explanation=explanation,
        source=ScoreSource(source),
    )
    return (client or here.client or default_client()).scores.record(scores=[new])[0]


def _words(kinds: type[StrEnum]) -> str:
    return ", ".join(kind.value for kind in kinds)


@overload
def evaluate(
    suite: str,
    subject: "str | Callable[..., Any]" = "",
    *,
    against: None = None,
    margin: float = 0.02,
    repeats: int | None = None,
    concurrency: int = 4,
    max_cost: Decimal | None = None,
    cache: bool = True,
    timeout_s: float = 300.0,
    timeout: float = 3600.0,
    resume: str = "",
    on_progress: Callable[[int, int], None] | None = None,
    client: Client | None = None,
) -> EvaluationRun: ...
@overload
def evaluate(
    suite: str,
    subject: "str | Callable[..., Any]" = "",
    *,
    against: "str | Callable[..., Any]",
    margin: float = 0.02,
    repeats: int | None = None,
    concurrency: int = 4,
    max_cost: Decimal | None = None,
    cache: bool = True,
    timeout_s: float = 300.0,
    timeout: float = 3600.0,
    resume: str = "",
    on_progress: Callable[[int, int], None] | None = None,
    client: Client | None = None,
) -> tuple[EvaluationRun, Comparison]: ...
def evaluate(
    suite: str,
    subject: "str | Callable[..., Any]" = "",
    *,
    against: "str | Callable[..., Any] | None" = None,
    margin: float = 0.02,
    repeats: int | None = None,
    concurrency: int = 4,
    max_cost: Decimal | None = None,
    cache: bool = True,
    timeout_s: float = 300.0,
    timeout: float = 3600.0,
    resume: str = "",
    on_progress: Callable[[int, int], None] | None = None,
    client: Client | None = None,
) -> EvaluationRun | tuple[EvaluationRun, Comparison]:
    """Put a version (the suite's own task without one) or a function of yours through a suite and wait for the result.

    A function gets an example's input, by keywords where its parameters name what the input has, and returns a text, a
    dict of fields of an answer, or any value. It runs here, in `concurrency` threads or tasks, `timeout_s` seconds for
    each call; what it raises is an error of that example.

    `repeats` is how often each example is asked, `max_cost` the US dollars that a version's run may cost, `cache` whether
    answers of earlier runs to the same content are taken. `resume` is the id of a run to go on with: only what is missing
    is asked. With `against`, a function, a version or the id of a run, the Comparison comes as well: how much better the
    subject is than that, where differences within ± `margin` count as none. Raise DeadlineExceeded after `timeout`
    seconds of the server's work; the run goes on.
    """
    client = client or default_client()
    options = EvaluateOptions(
        repeats=repeats, concurrency=concurrency, max_cost=max_cost, cache=cache, timeout_s=timeout_s, timeout=timeout
    )
    run = evaluated(client, suite, subject, options, resume=resume, on_progress=on_progress)
    if against is None:
        return run
    if isinstance(against, str) and ":" not in against:
        other = client.evaluations.show(against)
    else:
        options = msgspec.structs.replace(options, repeats=run.repeats)
        other = evaluated(client, str(run.suite), against, options, on_progress=on_progress)
    return run, client.evaluations.compare(other.id, to=run.id, margin=margin)


def promote(candidate: str, alias: str, *, reason: str = "", client: Client | None = None) -> Decision:
    """Ask the gate to let an alias move to a version; the Decision says what it found, also when it refuses."""
    return (client or default_client()).gates.promote(candidate=candidate, alias=alias, reason=reason)


def drift(monitor: str, *, client: Client | None = None) -> MonitorReport:
    """Let a monitor look at its endpoint now; return what it found."""
    return (client or default_client()).monitors.run(monitor)
