"""How much of a metric's spread over runs each parameter explains by itself, as a chart of bars.

The share is ε² (Kelley 1935): the share of the variance between groups of equal values, less what chance alone would
give, so that a parameter that says nothing lies around zero. Numbers of many values are put into groups of equal size.
Interactions are not in it: two parameters that matter only together show nothing here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.engines.console.charts import SCHEMA, Spec
from gimbal.kernel.errors import BadInput

LEAST = 10
"""So many runs are needed at least."""
_GROUPS = 5
_IN_A_GROUP = 5
_MOST_BARS = 20


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one parameter explains."""

    name: str
    share: float
    """0 to 1."""
    runs: int
    """Runs that have both the parameter and the metric."""


def shares(params: Sequence[Mapping[str, Any]], values: Sequence[float]) -> list[Share]:
    """Return the share of each parameter that has more than one value, the largest first."""
    names = dict.fromkeys(name for row in params for name in row)
    found: list[Share] = []
    for name in names:
        pairs = [(row[name], value) for row, value in zip(params, values, strict=True) if name in row]
        groups = groups_of([one for one, _ in pairs])
        if len(pairs) >= LEAST and 1 < len(set(groups)) < len(pairs):
            share = _share(groups, [value for _, value in pairs])
            found.append(Share(name=name, share=share, runs=len(pairs)))
    return sorted(found, key=lambda one: -one.share)


def importance(found: Sequence[Share], *, title: str) -> Spec:
    """Return one bar per parameter."""
    if not found:
        raise BadInput(
            f"{LEAST} runs with different parameters are needed at least.", where="runs", todo="Choose more runs."
        )
    rows = [{"name": one.name, "share": round(one.share, 4), "runs": one.runs} for one in found[:_MOST_BARS]]
    x = {"field": "share", "type": "quantitative", "title": f"share of the spread of {title}"}
    x |= {"scale": {"domain": [0, 1]}, "axis": {"format": ".0%"}}
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    tooltip = [
        {"field": "name", "type": "nominal", "title": "parameter"},
        {"field": "share", "type": "quantitative", "title": "explains", "format": ".1%"},
        {"field": "runs", "type": "quantitative", "title": "runs"},
    ]
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": 28 * len(rows) + 12,
        "data": {"values": rows},
        "mark": {"type": "bar", "style": "share", "height": 14},
        "encoding": {"x": x, "y": y, "tooltip": tooltip},
    }


def groups_of(values: Sequence[Any]) -> list[str]:
    """Return the group of each value: itself where there are few, one of five of equal size for numbers of many values."""
    numbers = [float(value) for value in values if isinstance(value, float | int) and not isinstance(value, bool)]
    # Few runs in many groups are apart by chance alone.
    most = max(2, min(_GROUPS, len(values) // _IN_A_GROUP))
    if len(numbers) < len(values) or len(set(numbers)) <= most:
        return [repr(value) for value in values]
    edges = [sorted(numbers)[len(numbers) * place // most] for place in range(1, most)]
    return [str(sum(number >= edge for edge in edges)) for number in numbers]


def _share(groups: Sequence[str], values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    whole = sum((value - mean) ** 2 for value in values)
    if not whole:
        return 0.0
    inside = 0.0
    kinds = set(groups)
    for kind in kinds:
        own = [value for group, value in zip(groups, values, strict=True) if group == kind]
        middle = sum(own) / len(own)
        inside += sum((value - middle) ** 2 for value in own)
    chance = (len(kinds) - 1) * inside / (len(values) - len(kinds))
    return max(0.0, (whole - inside - chance) / whole)
