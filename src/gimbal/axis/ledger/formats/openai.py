"""OpenAI: the answers of `/v1/organization/usage/…` and `/v1/organization/costs`, and the dashboard's exports as CSV.

Their days are days of UTC. Input tokens include cached ones. An item of the costs is named `gpt-4o-2024-08-06, input`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

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

_BY = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source")
_COST_BY = ("project_id", "line_item", "api_key_id", "organization_id")
_Rows = Iterator[tuple[int, dict[str, Any]]]


def usage(text: str) -> Read:
    """Read tokens and requests by model and day."""
    return _read(text, ("start_time", "input_tokens", "output_tokens"), "An export of usage by OpenAI", _BY, _usage)


def costs(text: str) -> Read:
    """Read amounts by line item and day."""
    return _read(text, ("start_time", "amount_value"), "An export of costs by OpenAI", _COST_BY, _cost)


def _read(
    text: str,
    needed: tuple[str, ...],
    what: str,
    by: tuple[str, ...],
    line: Callable[[int, Mapping[str, Any]], Line | None],
) -> Read:
    rows = list(_json(text) if buckets.is_json(text) else buckets.table(text, needed, what))
    found = Read()
    widths: set[float] = set()
    for number, row in rows:
        try:
            width = seconds_between(row.get("start_time"), row.get("end_time"))
            within_a_day(width)
            one = line(number, row)
        except LineError as problem:
            found.rejected.append((number, f"{problem}."))
            continue
        if one is not None:
            widths.add(width)
            found.lines.append(one)
    found.shape = f"{used((row for _, row in rows), by)}/{','.join(f'{width:g}' for width in sorted(widths))}"
    return found


def _json(text: str) -> _Rows:
    for number, bucket, result in buckets.buckets(text):
        times = {name: bucket.get(name) for name in ("start_time", "end_time")}
        amount = result.get("amount")
        flat = (
            {"amount_value": amount.get("value"), "amount_currency": amount.get("currency")}
            if isinstance(amount, dict)
            else {}
        )
        yield number, {**result, **flat, **times}


def _usage(number: int, row: Mapping[str, Any]) -> Line | None:
    if all(row.get(name) in (None, "") for name in ("model", "input_tokens", "output_tokens", "num_model_requests")):
        return None  # the dashboard writes a line for a day on which nothing happened
    batch = str(row.get("batch") or "").lower() == "true"
    return Line(
        number=number,
        day=day_of(row.get("start_time"), "start_time"),
        model=told(row.get("model"), "the model (export it grouped by model)"),
        detail=(str(row.get("start_time")), *parts(row, _BY)),
        tier="batch" if batch else str(row.get("service_tier") or ""),
        input_tokens=count(row.get("input_tokens"), "input_tokens"),
        output_tokens=count(row.get("output_tokens"), "output_tokens"),
        calls=None if row.get("num_model_requests") in (None, "") else count(row["num_model_requests"], "the requests"),
    )


def _cost(number: int, row: Mapping[str, Any]) -> Line | None:
    if row.get("amount_value") in (None, ""):
        return None
    item = str(row.get("line_item") or "*")
    return Line(
        number=number,
        day=day_of(row.get("start_time"), "start_time"),
        # Without groups it is the sum of everything.
        model=told(item.partition(",")[0], "the line item"),
        detail=(str(row.get("start_time")), *parts(row, _COST_BY)),
        tier="batch" if "batch" in item.lower() else "",
        cost=money(row["amount_value"]),
        currency=currency(row.get("amount_currency")),
    )
