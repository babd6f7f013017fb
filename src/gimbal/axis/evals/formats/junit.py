"""An evaluation as JUnit XML, as CI systems read it: an answer is a test case.

Nobody else says when an answer passes: a scorer of 0 and 1 fails at its worse value, others at the limits that are given.
The layout is that of Apache Ant's JUnit reports, as CI systems take it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gimbal.axis.evals.formats.wording import attribute, xml
from gimbal.axis.evals.model import EvaluationResult, EvaluationRun
from gimbal.engines.stats.model import Estimate

_MOST_NAME = 500
_MOST_TEXT = 10_000


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When a value of a scorer fails."""

    limit: float
    lower: bool
    """Whether lower values are the better ones."""

    def fails(self, value: float) -> bool:
        return value > self.limit if self.lower else value < self.limit

    @property
    def told(self) -> str:
        return f"{'at most' if self.lower else 'at least'} {self.limit:g}"


def junit(run: EvaluationRun, results: Sequence[EvaluationResult], limits: Mapping[str, float] | None = None) -> str:
    """Return the report; `limits` says by scorer from which value on an answer passes.

    A call that failed is an error, an answer that no scorer could judge is skipped with its reasons.
    """
    rules = _rules(run, results, limits or {})
    cases = [_case(result, rules, run.repeats) for result in results]
    counts = {kind: sum(found == kind for found, _ in cases) for kind in ("failure", "error", "skipped")}
    seconds = sum(result.latency_ms or 0.0 for result in results) / 1000
    totals = (
        f'tests="{len(cases)}" failures="{counts["failure"]}" errors="{counts["error"]}" '
        f'skipped="{counts["skipped"]}" time="{seconds:.3f}"'
    )
    name = attribute(f"{run.suite} on {run.subject}", _MOST_NAME)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="{name}" {totals}>',
        f'<testsuite name="{name}" {totals} timestamp="{run.started_at:%Y-%m-%dT%H:%M:%S}" id="0">',
        *_properties(run),
        *(text for _, text in cases),
        "</testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _rules(run: EvaluationRun, results: Sequence[EvaluationResult], limits: Mapping[str, float]) -> dict[str, _Rule]:
    better = {summary.scorer: summary.better for summary in run.summaries}
    names = dict.fromkeys(name for result in results for name in result.scores)
    found: dict[str, _Rule] = {}
    for name in names:
        way = better.get(name, "higher")
        if name in limits:
            found[name] = _Rule(limit=limits[name], lower=way == "lower")
        elif way != "neither" and all(result.scores.get(name, 1.0) in {0.0, 1.0} for result in results):
            found[name] = _Rule(limit=0.0 if way == "lower" else 1.0, lower=way == "lower")
    return found


def _case(result: EvaluationResult, rules: Mapping[str, _Rule], repeats: int) -> tuple[str, str]:
    """Return what became of an answer (empty when it passed), and its element."""
    name = f"{result.example_id} [{result.repeat + 1}]" if repeats > 1 else result.example_id
    head = (
        f'<testcase name="{attribute(name, _MOST_NAME)}" classname="{attribute(result.slice or "suite", _MOST_NAME)}" '
        f'time="{(result.latency_ms or 0.0) / 1000:.3f}">'
    )
    failed = [
        f"{scorer} is {value:g}, not {rules[scorer].told}"
        + (f": {result.explanations[scorer]}" if scorer in result.explanations else "")
        for scorer, value in result.scores.items()
        if scorer in rules and rules[scorer].fails(value)
    ]
    missing = [f"{scorer}: {reason}" for scorer, reason in result.missing.items()]
    kind, told = "", ""
    if result.error:
        kind, told = "error", result.error
    elif failed:
        kind, told = "failure", "\n".join(failed)
    elif missing and not result.scores:
        kind, told = "skipped", "\n".join(missing)
    elif not result.judged:
        kind, told = "skipped", "not judged yet"
    inside = ""
    if kind:
        sort = "" if kind == "skipped" else f' type="{attribute(result.failure or kind, _MOST_NAME)}"'
        body = "" if kind == "skipped" else xml(told, _MOST_TEXT)
        inside = f'<{kind} message="{attribute(told, _MOST_NAME)}"{sort}>{body}</{kind}>'
    return kind, f"{head}{inside}{_out(result, missing)}</testcase>"


def _out(result: EvaluationResult, missing: Sequence[str]) -> str:
    parts = [f"{name} = {value:g}" for name, value in result.scores.items()]
    parts += [f"missing {one}" for one in missing]
    if result.text is not None:
        parts.append(f"answer: {result.text}")
    if result.trace_id:
        parts.append(f"trace: {result.trace_id}")
    return f"<system-out>{xml(chr(10).join(parts), _MOST_TEXT)}</system-out>" if parts else ""


def _properties(run: EvaluationRun) -> list[str]:
    told = [("evaluation", run.id), ("status", run.status), *([("asked", run.asked)] if run.asked else [])]
    told += [(summary.scorer, _estimate(summary.estimate)) for summary in run.summaries]
    told += [(f"{s.scorer} missing {reason}", str(count)) for s in run.summaries for reason, count in s.missing.items()]
    rows = [f'<property name="{attribute(k, _MOST_NAME)}" value="{attribute(v, _MOST_NAME)}"/>' for k, v in told]
    return ["<properties>", *rows, "</properties>"]


def _estimate(found: Estimate) -> str:
    if found.value is None:
        return f"undefined: {found.undefined}"
    interval = "" if found.low is None or found.high is None else f" [{found.low:.4g}, {found.high:.4g}]"
    return f"{found.value:.4g}{interval} n={found.n}"
