"""An evaluation as Markdown for a pull request: the verdict first, then intervals, what is missing, and the worst examples."""

from collections.abc import Sequence

from gimbal.axis.evals.formats.wording import cell
from gimbal.axis.evals.model import EvaluationResult, EvaluationRun, ScorerSummary
from gimbal.axis.evals.verdicts import Comparison
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.money import format_money

_SIGNS = {"better": "✅", "equivalent": "✅", "worse": "❌", "underpowered": "⚠️"}
_MOST_TEXT = 300
_MOST_WHOLE = 60_000
"""Characters: a comment of a pull request has at most 65,536."""


def markdown(
    run: EvaluationRun, results: Sequence[EvaluationResult], comparison: Comparison | None = None, *, examples: int = 10
) -> str:
    """Return the report; with a comparison, in which `run` is the later one, its verdicts stand first.

    At most so many of the worst examples are shown, fewer where the report would be too long for a comment.
    """
    parts = [_title(run, comparison), *([] if comparison is None else [_verdicts(comparison)]), _scores(run)]
    parts += [part for part in (_missing(run), _run_line(run)) if part]
    rows = _fitting(_worst(run, results)[:examples], _MOST_WHOLE - sum(map(len, parts)))
    if rows:
        table = _table(["Example", "Input", "Answer", "Scores"], rows)
        parts.append(f"<details>\n<summary>The {len(rows)} worst examples</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _title(run: EvaluationRun, comparison: Comparison | None) -> str:
    asked = f" (asked as {cell(run.asked)})" if run.asked else ""
    name = f"{cell(str(run.subject))}{asked} on {cell(str(run.suite))}"
    if comparison is None:
        return f"### Evaluation: {name}"
    sign = _SIGNS.get(comparison.verdict, "")
    return (
        f"### {sign} {comparison.verdict.capitalize()}: {name}\n\n"
        f"Against {cell(str(comparison.before.subject))}; differences within ±{comparison.margin:g} are equivalent."
    )


def _verdicts(comparison: Comparison) -> str:
    rows = [
        [
            cell(row.scorer),
            f"{_SIGNS.get(row.verdict, '')} {row.verdict}".strip(),
            _number(row.before),
            _number(row.after),
            _interval(row.difference, signed=True),
            "–" if row.p_value is None else f"{row.p_value:.3g}",
            "–" if row.detectable is None else f"{row.detectable:.3g}",
            f"{row.paired}" + (f" ({row.unpaired} on one side only)" if row.unpaired else ""),
        ]
        for row in comparison.scorers
    ]
    heading = ["Scorer", "Verdict", "Before", "After", "Difference", "p", "Detectable", "Examples"]
    return _table(heading, rows)


def _scores(run: EvaluationRun) -> str:
    rows = [
        [
            cell(summary.scorer),
            _interval(summary.estimate) + (f" {cell(summary.unit)}" if summary.unit else ""),
            {"lower": "lower", "neither": "–"}.get(summary.better, "higher"),
            f"{summary.estimate.n}" + _clusters(summary.estimate),
            f"{sum(summary.missing.values())}",
        ]
        for summary in run.summaries
    ]
    return _table(["Scorer", "Mean", "Better", "Examples", "Missing"], rows) if rows else "There are no scores."


def _missing(run: EvaluationRun) -> str:
    rows = [
        [cell(summary.scorer), cell(reason), f"{count}", _bounds(summary)]
        for summary in run.summaries
        for reason, count in summary.missing.items()
    ]
    return _table(["Missing of", "Reason", "Answers", "Mean if they were worst … best"], rows) if rows else ""


def _bounds(summary: ScorerSummary) -> str:
    if summary.worst is None or summary.best is None:
        return "–"
    return f"{summary.worst:.4g} … {summary.best:.4g}"


def _run_line(run: EvaluationRun) -> str:
    cost = "cost unknown" if run.cost is None else format_money(run.cost)
    parts = [f"{run.done} of {run.total} answers, {run.status}", cost]
    if run.unpriced:
        parts.append(f"{run.unpriced} calls without a price")
    if run.judge_calls:
        judging = "an unknown cost" if run.judge_cost is None else format_money(run.judge_cost)
        parts.append(f"judges {judging}" + (f", {run.judge_unpriced} calls unpriced" if run.judge_unpriced else ""))
    if run.cached:
        parts.append(f"{run.cached} from earlier runs")
    if run.latency_p50_ms is not None and run.latency_p95_ms is not None:
        parts.append(f"latency {run.latency_p50_ms:.0f} ms at the median, {run.latency_p95_ms:.0f} ms at 95 %")
    if run.error:
        parts.append(f"error: {cell(run.error)}")
    return f"{'; '.join(parts)}. Evaluation {cell(run.id)}."


def _worst(run: EvaluationRun, results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """Return answers that failed or are not the best of all, the worst first."""
    ways = {summary.scorer: summary.better for summary in run.summaries}
    spans: dict[str, tuple[float, float]] = {}
    for name in dict.fromkeys(name for result in results for name in result.scores):
        values = [result.scores[name] for result in results if name in result.scores]
        if ways.get(name, "higher") != "neither" and min(values) < max(values):
            spans[name] = (min(values), max(values))

    def badness(result: EvaluationResult) -> float:
        if result.error:
            return 2.0
        found = [
            abs(result.scores[name] - (low if ways.get(name) == "lower" else high)) / (high - low)
            for name, (low, high) in spans.items()
            if name in result.scores
        ]
        return sum(found) / len(found) if found else 0.0

    ranked = sorted(
        ((badness(result), place) for place, result in enumerate(results)), key=lambda one: (-one[0], one[1])
    )
    return [results[place] for bad, place in ranked if bad > 0]


def _fitting(worst: Sequence[EvaluationResult], room: int) -> list[list[str]]:
    """Return a row for each answer, as many as there is room for."""
    rows: list[list[str]] = []
    for result in worst:
        row = [
            cell(result.example_id) + (f" ({result.repeat + 1})" if result.repeat else ""),
            cell(_question(result), _MOST_TEXT),
            cell(result.error or ("–" if result.text is None else result.text), _MOST_TEXT),
            ", ".join(f"{cell(name)} {value:.3g}" for name, value in result.scores.items())
            + "".join(f", {cell(name)} missing: {cell(reason)}" for name, reason in result.missing.items()),
        ]
        room -= sum(map(len, row)) + 20
        if room < 0:
            break
        rows.append(row)
    return rows


def _question(result: EvaluationResult) -> str:
    asked = result.input.get("question")
    if isinstance(asked, str):
        return asked
    return ", ".join(f"{name}={value}" for name, value in result.input.items())


def _interval(found: Estimate, *, signed: bool = False) -> str:
    if found.value is None:
        return f"undefined: {cell(found.undefined)}"
    sign = "+" if signed else ""
    text = f"{found.value:{sign}.4g}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({found.low:{sign}.4g} … {found.high:{sign}.4g})"


def _number(found: Estimate) -> str:
    return "–" if found.value is None else f"{found.value:.4g}"


def _clusters(found: Estimate) -> str:
    return "" if found.clusters is None or found.clusters == found.n else f" in {found.clusters} clusters"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(heading), ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
