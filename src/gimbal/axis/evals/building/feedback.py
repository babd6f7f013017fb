"""What people and judges said of traces, as examples have it: whether an answer was good, and which would have been better."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from gimbal.axis.evals.building.dimensions import told
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.finding import listed
from gimbal.axis.traces.finding_model import Judgement
from gimbal.axis.traces.score_filter import read_tests, with_scores
from gimbal.kernel.context import Context
from gimbal.kernel.pages import MAX_LIMIT

_CORRECTION = "correction"
# What MLflow's own judges call their expectations, as our scorers do.
_NAMES = {"expected_response": "answer", "expected_facts": "claims"}


async def judged_so(ctx: Context, tests: Sequence[str], trace_ids: Sequence[str]) -> set[str]:
    """Return those traces that have all of these scores; raise BadInput."""
    asked = read_tests(tests, None)
    if not asked or not trace_ids:
        return set()
    narrowed = with_scores(ctx, TraceFilter(among=tuple(trace_ids)), asked)
    page = await listed(ctx, narrowed, limit=MAX_LIMIT)
    return {one.trace_id for one in page.items}


def corrected(judgements: Sequence[Judgement], names: Collection[str]) -> dict[str, Any]:
    """Return what should have been answered, as an expectation; the newest that says it counts."""
    found: dict[str, Any] = {}
    for one in judgements:
        if _is_expectation(one):
            value = cast("Mapping[str, Any]", one.metadata["mlflow"]).get("value")
            if value is not None:
                found.setdefault(_NAMES.get(one.name, one.name), value)
            continue
        better: Any = (one.explanation or one.label) if one.name in names and not one.missing else ""
        better = better or one.metadata.get(_CORRECTION)
        if isinstance(better, str) and better.strip():
            found.setdefault("answer", better.strip())
    return found


def scores_of(judgements: Sequence[Judgement], names: Collection[str]) -> dict[str, str | float]:
    """Return what was said of a trace, the newest of each name; without corrections, which are expectations."""
    found: dict[str, str | float] = {}
    for one in judgements:
        if told(one) and one.name not in names and not _is_expectation(one):
            found.setdefault(one.name, one.label if one.value is None else one.value)
    return found


def _is_expectation(one: Judgement) -> bool:
    kept: Any = one.metadata.get("mlflow")
    return isinstance(kept, dict) and cast("dict[str, Any]", kept).get("kind") == "expectation"
