"""What is measured over a group of spans, as the columns compute it and as it is told."""

from decimal import Decimal
from typing import Any

from gimbal.axis.traces.counting import IS_CALL, WASTED

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
    f"sumIf(s.cost, {WASTED} AND s.weight = 1) AS wasted_exact, "
    f"sumIf(toFloat64(s.cost) * s.weight, {WASTED} AND s.weight != 1) AS wasted_weighted, "
    f"sumIf(s.weight, {WASTED} AND s.cost > 0) AS wasted_calls, "
    "sumIf(s.weight, s.billable = 1 AND s.unpriced != '') AS unpriced, "
    "sumIf(s.input_tokens * s.weight, s.billable = 1) AS input_tokens, "
    "sumIf(s.output_tokens * s.weight, s.billable = 1) AS output_tokens, "
    "count(s.first_token_us) AS streamed, "
    "{latencies} AS latencies, {first_tokens} AS first_tokens"
)
_SAVED = (
    ", sumIf(s.saved, s.billable = 1 AND s.weight = 1) AS saved_exact, "
    "sumIf(toFloat64(s.saved) * s.weight, s.billable = 1 AND s.weight != 1) AS saved_weighted, "
    "sumIf(s.weight, s.billable = 1 AND s.cached = 1) AS cached_calls"
)
_TOLD = "s.billable = 1 AND notEmpty(s.parts)"
_FLOATS = "mapApply((name, part) -> (name, toFloat64(part) * s.weight), s.parts)"
_PARTS = (
    f", sumMapIf(s.parts, {_TOLD} AND s.weight = 1) AS parts_exact, sumMapIf({_FLOATS}, {_TOLD} AND s.weight != 1) "
    f"AS parts_weighted, sumIf(s.cost, {_TOLD} AND s.weight = 1) AS told_exact, "
    f"sumIf(toFloat64(s.cost) * s.weight, {_TOLD} AND s.weight != 1) AS told_weighted"
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


def sums(*, weighted: bool, cached: bool, parts: bool) -> str:
    """Return the expressions of all measures; `weighted` where some spans stand for others.

    `cached` where an application's cache answered some, `parts` where the cost by class is asked for.
    """
    counted = _COUNTED.format(**(_FOR_OTHERS if weighted else _EACH))
    return f"{counted}{_SAVED if cached else ''}{_PARTS if parts else ''}"


def columns(*, cached: bool, parts: bool) -> tuple[str, ...]:
    """Return what those read that are not always measured."""
    return (*(("cached", "saved") if cached else ()), *(("parts",) if parts else ()))


def read(row: dict[str, Any]) -> dict[str, Any]:
    """Return the measures of a row of `sums`."""
    streamed = bool(row["streamed"])
    names = ("p50_ms", "p95_ms", "p99_ms")
    return {
        **{name: round(row[name]) for name in ("spans", "traces", "errors", "calls", "priced", "unpriced")},
        **{name: None if row[name] is None else round(row[name]) for name in ("input_tokens", "output_tokens")},
        "error_rate": row["errors"] / row["spans"],
        "cost": _amount(row) if row["priced"] else None,
        "wasted": _amount(row, "wasted_") if row["wasted_calls"] else None,
        "wasted_calls": round(row["wasted_calls"]),
        "saved": _amount(row, "saved_") if _known(row, "saved_") else None,
        "cached_calls": round(row.get("cached_calls") or 0),
        "parts": _parts(row) if "parts_exact" in row else None,
        **{name: us / 1000 for name, us in zip(names, row["latencies"], strict=True)},
        **{
            f"first_token_{name}": us / 1000 if streamed else None
            for name, us in zip(names, row["first_tokens"], strict=True)
        },
    }


def _amount(row: dict[str, Any], of: str = "") -> Decimal:
    """Return the exact sum of what stands for itself, and the estimate of what stands for others."""
    return _together(row[f"{of}exact"], row[f"{of}weighted"])


def _known(row: dict[str, Any], of: str) -> bool:
    return row.get(f"{of}exact") is not None or row.get(f"{of}weighted") is not None


def _together(exact: Decimal | None, weighted: float | None) -> Decimal:
    return ((exact or Decimal(0)) + round(Decimal(weighted or 0.0), 12)).normalize() + 0


def _parts(row: dict[str, Any]) -> dict[str, Decimal]:
    """Return the cost by class of the calls that tell it; the input is the rest of theirs."""
    exact, weighted = dict(row["parts_exact"]), dict(row["parts_weighted"])
    found = {name: _together(exact.get(name), weighted.get(name)) for name in sorted({*exact, *weighted} - {"input"})}
    told = _amount(row, "told_")
    return {"input": told - sum(found.values(), Decimal(0)), **found} if exact or weighted else {}
