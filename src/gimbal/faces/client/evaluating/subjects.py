"""What can be evaluated from a program: a version, which the server asks, or a function, which is called here."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.evals.model import EvaluationRun
from gimbal.faces.client.client import Client
from gimbal.faces.client.evaluating.run import OnProgress, evaluate_function, judged
from gimbal.kernel.errors import BadInput, DeadlineExceeded


class EvaluateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a subject is evaluated; see `gimbal.evaluate`."""

    repeats: int | None
    concurrency: int
    max_cost: Decimal | None
    cache: bool
    timeout_s: float
    timeout: float


def evaluated(
    client: Client,
    suite: str,
    subject: str | Callable[..., Any],
    options: EvaluateOptions,
    *,
    resume: str = "",
    on_progress: OnProgress | None = None,
) -> EvaluationRun:
    """Put a version or a function through a suite and wait for the result; raise DeadlineExceeded, BadInput."""
    if callable(subject):
        if options.max_cost is not None:
            raise BadInput(
                "What a function spends is not known before it has, so that a cap cannot be held.",
                where="max_cost",
                kept="nothing was asked",
                todo="Leave it out, or let the function ask through the gateway under a budget.",
            )
        run = evaluate_function(
            client,
            suite,
            subject,
            repeats=options.repeats,
            concurrency=options.concurrency,
            timeout_s=options.timeout_s,
            resume=resume,
            on_progress=on_progress,
        )
        on_progress = None
    elif resume:
        run = client.evaluations.show(resume)
        if run.status in {"failed", "cancelled", "stopped"}:
            run = client.evaluations.resume(resume, **_given(max_cost=options.max_cost))
    else:
        run = client.evaluations.start(
            suite=suite,
            subject=subject,
            repeats=options.repeats,
            concurrency=options.concurrency,
            max_cost=options.max_cost,
            cache=options.cache,
            timeout_s=options.timeout_s,
        )
    run = judged(client, run, timeout=options.timeout, on_progress=on_progress)
    if run.status == "running" and not run.open:
        raise DeadlineExceeded(
            f"The evaluation {run.id} is not done after {options.timeout:g} s.",
            kept="what it has found so far",
            todo=f"It goes on; `gimbal evaluations show {run.id}` tells.",
        )
    return run


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
