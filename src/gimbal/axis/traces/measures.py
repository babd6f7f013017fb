"""What is measured over a group of spans, as the columns compute it and as it is told."""

from decimal import Decimal
from typing import Any

from gimbal.axis.traces.counting import IS_CALL

MOST_SECONDS = 20
LIMITED = f" SETTINGS max_execution_time = {MOST_SECONDS}"
# A little below, so that a level that falls on a value of the order means that one, whatever the arithmetic leaves.
_LEVELS = ", ".join(f"{level} - 1e-9" for level in (0.5, 0.95, 0.99))
_LATENCY = "s.end_us - s.start_us"
_COUNTED = (
    "sum(s.weight) AS spans, {traces} AS traces, sumIf(s.weight, s.status = 'error') AS errors, "
    f"sumIf(s.weight, {IS_CALL}) AS calls, "
    "sumIf(s.cost, s.billable = 1 AND s.weight = 1) AS exact, "
    "sumIf(toFloat64(s.cost) * s.weight, s.billable = 1 AND s.weight != 1) AS weighted, "
    "sumIf(s.weight, s.billable = 1 AND isNotNull(s.cost)) AS priced, "
    "sumIf(s.weight, s.billable = 1 AND s.unpriced != '') AS unpriced, "
    "sumIf(s.input_tokens * s.weight, s.billable = 1) AS input_tokens, "
    "sumIf(s.output_tokens * s.weight, s.billable = 1) AS output_tokens, "
    "count(s.first_token_us) AS streamed, "
    "{latencies} AS latencies, {first_tokens} AS first_tokens"
)
_EACH = {
    "traces": "uniqExact(s.trace)",
    "latencies": f"quantilesExact({_LEVELS})({_LATENCY})",
    "first_tokens": f"quantilesExactIf({_LEVELS})(assumeNotNull(s.first_token_us), isNotNull(s.first_token_us))",
}
# Weights are whole numbers here; a thousandth is fine enough.
_SHARE = "toUInt64(round(s.weight * 1000))"
_FOR_OTHERS = {
    # A trace counts as the span of it that was likeliest to be kept.
    "traces": "arraySum(minMap([s.trace], [s.weight]).2)",
    "latencies": f"quantilesExactWeighted({_LEVELS})({_LATENCY}, {_SHARE})",
    "first_tokens": f"quantilesExactWeightedIf({_LEVELS})"
    f"(assumeNotNull(s.first_token_us), {_SHARE}, isNotNull(s.first_token_us))",
}


def sums(*, weighted: bool) -> str:
    """Return the expressions of all measures; `weighted` where some spans stand for others."""
    return _COUNTED.format(**(_FOR_OTHERS if weighted else _EACH))


def read(row: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of a row of `sums`."""
    streamed = bool(row["streamed"])
    names = ("p50_ms", "p95_ms", "p99_ms")
    return {
        **{name: round(row[name]) for name in ("spans", "traces", "errors", "calls", "priced", "unpriced")},
        **{name: None if row[name] is None else round(row[name]) for name in ("input_tokens", "output_tokens")},
        "error_rate": row["errors"] / row["spans"],
        "cost": _cost(row) if row["priced"] else None,
        **{name: us / 1000 for name, us in zip(names, row["latencies"], strict=True)},
        **{
            f"first_token_{name}": us / 1000 if streamed else None
            for name, us in zip(names, row["first_tokens"], strict=True)
        },
    }


def _cost(row: dict[str, Any]) -> Decimal:
    """Return the exact sum of what stands for itself, and the estimate of what stands for others."""
    return ((row["exact"] or Decimal(0)) + round(Decimal(row["weighted"] or 0.0), 12)).normalize() + 0
