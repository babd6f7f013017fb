"""Anthropic: the answers of `usage_report/messages` and `cost_report`, and the console's exports as CSV.

Their days are days of UTC. Input is told without what was read from the cache and written to it, which are added here.
Amounts of the API are in cents, those of the console in dollars; the console writes models as `Claude Sonnet 4.5`.
"""

from collections.abc import Mapping
from typing import Any, cast

from gimbal.axis.ledger.formats import buckets
from gimbal.axis.ledger.formats.lines import (
    Line,
    LineError,
    Read,
    count,
    currency,
    day_of,
    money,
    parts,
    seconds_between,
    told,
    used,
    within_a_day,
)

_BY = ("workspace_id", "api_key_id", "model", "service_tier", "context_window", "inference_geo", "speed", "account_id")
_COST_BY = ("workspace_id", "description", "cost_type", "token_type", *_BY[2:])
_TABLE_BY = ("workspace", "api_key", "usage_type", "context_window", "inference_geo", "speed")
_CACHED = ("usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h", "usage_input_tokens_cache_read")
_CENT = 2


def usage(text: str) -> Read:
    """Read tokens by model and day."""
    if buckets.is_json(text):
        return _json(text, _BY, _of_usage)
    needed = ("usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens")
    return _table(text, needed, "An export of usage by Anthropic", _of_usage_row)


def costs(text: str) -> Read:
    """Read amounts by model, kind and day."""
    if buckets.is_json(text):
        return _json(text, _COST_BY, _of_cost)
    return _table(text, ("usage_date_utc", "model", "cost_usd"), "An export of costs by Anthropic", _of_cost_row)


def _json(text: str, by: tuple[str, ...], line: Any) -> Read:
    found, rows, widths = Read(), list[dict[str, Any]](), set[float]()
    for number, bucket, result in buckets.buckets(text):
        rows.append(result)
        try:
            width = seconds_between(bucket.get("starting_at"), bucket.get("ending_at"))
            within_a_day(width)
            found.lines.append(line(number, bucket, result))
            widths.add(width)
        except LineError as problem:
            found.rejected.append((number, f"{problem}."))
    found.shape = f"{used(rows, by)}/{','.join(f'{width:g}' for width in sorted(widths))}"
    return found


def _table(text: str, needed: tuple[str, ...], what: str, line: Any) -> Read:
    found, rows = Read(), list[dict[str, str]]()
    for number, row in buckets.table(text, needed, what):
        rows.append(row)
        try:
            found.lines.append(line(number, row))
        except LineError as problem:
            found.rejected.append((number, f"{problem}."))
    found.shape = f"{used(rows, (*_TABLE_BY, 'token_type'))}/86400"
    return found


def _of_usage(number: int, bucket: Mapping[str, Any], row: Mapping[str, Any]) -> Line:
    written = row.get("cache_creation")
    cached = [count(row.get("cache_read_input_tokens") or 0, "cache_read_input_tokens")]
    if isinstance(written, dict):
        cached += [count(value or 0, name) for name, value in cast("dict[str, Any]", written).items()]
    return Line(
        number=number,
        day=day_of(bucket.get("starting_at"), "starting_at"),
        model=told(row.get("model"), "the model (ask for it grouped by model)"),
        detail=(str(bucket.get("starting_at")), *parts(row, _BY)),
        tier=str(row.get("service_tier") or ""),
        input_tokens=count(row.get("uncached_input_tokens"), "uncached_input_tokens") + sum(cached),
        output_tokens=count(row.get("output_tokens"), "output_tokens"),
    )


def _of_cost(number: int, bucket: Mapping[str, Any], row: Mapping[str, Any]) -> Line:
    if not isinstance(row.get("amount"), str):
        raise LineError("amount is missing")
    return Line(
        number=number,
        day=day_of(bucket.get("starting_at"), "starting_at"),
        # What is no token has no model, and without groups it is the sum of everything.
        model=told(row.get("model") or row.get("cost_type") or row.get("description") or "*", "the model"),
        detail=(str(bucket.get("starting_at")), *parts(row, _COST_BY)),
        tier=str(row.get("service_tier") or ""),
        cost=money(row["amount"]).scaleb(-_CENT),
        currency=currency(row.get("currency")),
    )


def _of_usage_row(number: int, row: Mapping[str, str]) -> Line:
    cached = sum(count(row.get(name) or "0", name) for name in _CACHED)
    return Line(
        number=number,
        day=day_of(row.get("usage_date_utc"), "usage_date_utc"),
        model=told(row.get("model_version"), "the model"),
        detail=parts(row, _TABLE_BY),
        tier=str(row.get("usage_type") or ""),
        input_tokens=count(row.get("usage_input_tokens_no_cache"), "usage_input_tokens_no_cache") + cached,
        output_tokens=count(row.get("usage_output_tokens"), "usage_output_tokens"),
    )


def _of_cost_row(number: int, row: Mapping[str, str]) -> Line:
    return Line(
        number=number,
        day=day_of(row.get("usage_date_utc"), "usage_date_utc"),
        model=told(row.get("model") or row.get("cost_type") or "*", "the model"),
        detail=(*parts(row, _TABLE_BY), row.get("token_type") or "", row.get("cost_type") or ""),
        tier=str(row.get("usage_type") or ""),
        cost=money(row.get("cost_usd"), "cost_usd"),
    )
