"""What lists of traces and sums over spans are narrowed by.

Whatever a caller says is a bound parameter; the text of a statement has only what stands here. Conditions name the spans
`s`, so that they fit into statements whose sums bear the names of columns.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from gimbal.axis.traces.wording import READ, looked_for
from gimbal.kernel.clock import to_us
from gimbal.kernel.errors import BadInput

# Spans of one trace lie near its head in time; the bound lets the key prune what the bloom filter leaves.
BEFORE_US, AFTER_US = 3_600_000_000, 86_400_000_000
OF_ANY_SPAN = ("model", "feature", "user_id", "session_id")
_MOST_WORDS = 20
_MOST_USD = 10**15
_TOLD = {"min_us": "min_ms", "min_cost": "min_usd", "min_tokens": "min_tokens"}


class Condition(NamedTuple):
    """What a span must fulfil, with its parameters and the columns that it reads."""

    sql: str
    values: dict[str, Any]
    reads: tuple[str, ...]


class TraceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of traces is narrowed by; None and empty mean all."""

    since_us: int | None = None
    until_us: int | None = None
    status: str | None = None
    """Of the trace as lists show it: `error` when any span failed, else of the head."""
    kind: str | None = None
    """Of the head."""
    model: str | None = None
    """Of any span, like the next three."""
    feature: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    text: str | None = None
    """Part of the head's name, in any case."""
    provider: str | None = None
    """Of any span, like the next six."""
    endpoint: str | None = None
    key_id: str | None = None
    tags: tuple[str, ...] = ()
    """Each is a tag, or the key of one."""
    ref: str | None = None
    """A version that was used, or without its selector any version of it."""
    unpriced: str | None = None
    """Why a call of it has no cost; `any` for whichever reason."""
    attributes: tuple[tuple[str, str], ...] = ()
    """Keys and what they hold, or hold among others where they hold a list."""
    search: str | None = None
    """Words in input, output, documents or what an error says, in any case."""
    min_us: int | None = None
    """Of the head, from start to end, like the next."""
    max_us: int | None = None
    min_cost: Decimal | None = None
    """Of the whole trace, like the next three; one whose cost or tokens are unknown has neither much nor little."""
    max_cost: Decimal | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    judged: tuple[Condition, ...] = ()
    """What was said of the trace, as conditions for `trace_id`; see `score_filter`."""
    among: tuple[str, ...] = ()
    """Only these traces."""

    @property
    def of_sums(self) -> bool:
        """Whether the sums of a trace decide whether it fits."""
        return any(v is not None for v in (self.min_cost, self.max_cost, self.min_tokens, self.max_tokens))


def narrow(
    *,
    since: datetime | None,
    until: datetime | None,
    user: str | None,
    session: str | None,
    attribute: Sequence[str] | None,
    ms: tuple[float | None, float | None],
    usd: tuple[Decimal | None, Decimal | None],
    tokens: tuple[int | None, int | None],
    key: str | None = None,
    tag: Sequence[str] | None = None,
    **named: str | None,
) -> TraceFilter:
    """Return the filter of what a caller says; raise BadInput."""
    us = [_bounded("ms", None if one is None else one * 1000) for one in ms]
    words(named.get("search"))
    fields: dict[str, Any] = {
        **named,
        "since_us": None if since is None else to_us(since),
        "until_us": None if until is None else to_us(until),
        "user_id": user,
        "session_id": session,
        "key_id": key,
        "tags": tuple(tag or ()),
        "attributes": tuple(_attribute(text) for text in attribute or ()),
        "min_us": us[0],
        "max_us": us[1],
        "min_tokens": _bounded("tokens", tokens[0]),
        "max_tokens": _bounded("tokens", tokens[1]),
    }
    for name, amount in zip(("min", "max"), usd, strict=True):
        if amount is not None and not (amount.is_finite() and 0 <= amount < _MOST_USD):
            raise BadInput(f"{amount} is no amount of dollars.", where=f"{name}_usd", todo="Give a number from 0.")
        fields[f"{name}_cost"] = amount
    for low, high in (("min_us", "max_us"), ("min_cost", "max_cost"), ("min_tokens", "max_tokens")):
        if fields[low] is not None and fields[high] is not None and fields[low] > fields[high]:
            raise BadInput(
                "Nothing is at least one bound and at most a smaller one.",
                where=_TOLD[low],
                todo="Swap the two bounds.",
            )
    return TraceFilter(**fields)


def _bounded(name: str, value: float | None) -> int | None:
    if value is not None and not 0 <= value < 2**62:
        raise BadInput(f"{value} cannot be a bound of {name}.", where=f"min_{name}", todo="Give a number from 0.")
    return None if value is None else round(value)


def _attribute(text: str) -> tuple[str, str]:
    """Read `key:value`; raise BadInput."""
    key, colon, value = text.partition(":")
    if not (key and colon and value) or "\0" in text:
        raise BadInput(
            f"{text!r} is not an attribute and its value.", where="attribute", todo="Write it like tenant:acme."
        )
    return key, value


def words(text: str | None) -> list[str]:
    """Return the words that are looked for; raise BadInput for too many."""
    found = list(dict.fromkeys((text or "").split()))
    if len(found) > _MOST_WORDS:
        raise BadInput(
            f"{len(found)} words are too many to look for.", where="search", todo=f"Give at most {_MOST_WORDS}."
        )
    return found


def held(name: str) -> str:
    """Return the expression for the text of an attribute whose key is the parameter `name`; empty where there is none."""
    key = f"s.attributes, {{{name}:String}}"
    return f"if(JSONType({key}) = 'String', JSONExtractString({key}), JSONExtractRaw({key}))"


def equal(narrowed: TraceFilter, columns: Iterable[str]) -> list[Condition]:
    """Return what a span must fulfil in columns that hold one text."""
    wanted = {name: getattr(narrowed, name) for name in columns}
    return [Condition(f"s.{n} = {{{n}:String}}", {n: v}, (n,)) for n, v in wanted.items() if v]


def without_cost(narrowed: TraceFilter) -> list[Condition]:
    """Return what a span without a cost fulfils."""
    if not narrowed.unpriced:
        return []
    reason = "s.unpriced != ''" if narrowed.unpriced == "any" else "s.unpriced = {unpriced:String}"
    return [Condition(f"s.billable = 1 AND {reason}", {"unpriced": narrowed.unpriced}, ("billable", "unpriced"))]


def used(narrowed: TraceFilter) -> list[Condition]:
    """Return what a span must have used, and how it must be tagged."""
    asked = [("tags", f"tag{place}", tag, ":") for place, tag in enumerate(narrowed.tags) if tag]
    if narrowed.ref:
        asked.append(("refs", "ref", narrowed.ref, "@"))
    return [
        Condition(
            f"arrayExists(r -> r = {{{name}:String}} OR startsWith(r, concat({{{name}:String}}, '{mark}')), s.{column})",
            {name: value},
            (column,),
        )
        for column, name, value, mark in asked
    ]


def said(narrowed: TraceFilter) -> list[Condition]:
    """Return what must stand in a span: attributes and words."""
    found: list[Condition] = []
    for place, (key, value) in enumerate(narrowed.attributes):
        k, v = f"key{place}", f"value{place}"
        one = (
            f"({held(k)} = {{{v}:String}} "
            f"OR has(JSONExtract(s.attributes, {{{k}:String}}, 'Array(String)'), {{{v}:String}}))"
        )
        found.append(Condition(one, {k: key, v: value}, ("attributes",)))
    for place, word in enumerate(words(narrowed.search)):
        one, values = looked_for(f"word{place}", word)
        found.append(Condition(one, values, READ))
    return found


def of_any_span(narrowed: TraceFilter) -> list[Condition]:
    """Return what some span of a trace must fulfil, each condition by itself."""
    of_one = equal(narrowed, (*OF_ANY_SPAN, "provider", "endpoint", "key_id"))
    return [*of_one, *used(narrowed), *without_cost(narrowed), *said(narrowed)]


def of_trace_id(narrowed: TraceFilter) -> tuple[list[str], dict[str, Any]]:
    """Return what the id of a trace fulfils: what was said of it, and that it is among some."""
    values = {name: value for one in narrowed.judged for name, value in one.values.items()}
    if narrowed.among:
        values["among"] = list(narrowed.among)
    return [*(one.sql for one in narrowed.judged), *_among(narrowed)], values


def _among(narrowed: TraceFilter) -> list[str]:
    return ["trace_id IN {among:Array(String)}"] if narrowed.among else []


def of_head(narrowed: TraceFilter) -> tuple[list[str], dict[str, Any]]:
    """Return what the head of a trace fulfils by itself, besides its status."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    for name, sql, kind in (
        ("since_us", "start_us >= {}", "Int64"),
        ("until_us", "start_us < {}", "Int64"),
        ("kind", "kind = {}", "String"),
        ("text", "positionCaseInsensitiveUTF8(name, {}) > 0", "String"),
        ("min_us", "end_us - start_us >= {}", "Int64"),
        ("max_us", "end_us - start_us <= {}", "Int64"),
    ):
        value = getattr(narrowed, name)
        if value is not None and value != "":
            conditions.append(sql.format(f"{{{name}:{kind}}}"))
            values[name] = value
    of_ids, more = of_trace_id(narrowed)
    return [*conditions, *of_ids], values | more


def near(narrowed: TraceFilter) -> tuple[list[str], dict[str, Any]]:
    """Return when the spans are whose trace begins in the stretch of time."""
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if narrowed.since_us is not None:
        conditions.append("start_us >= {near_since:Int64}")
        values["near_since"] = narrowed.since_us - BEFORE_US
    if narrowed.until_us is not None:
        conditions.append("start_us < {near_until:Int64}")
        values["near_until"] = narrowed.until_us + AFTER_US
    return conditions, values


def conditions_of(narrowed: TraceFilter) -> tuple[list[str], dict[str, Any]]:
    """Return what every head that is asked for fulfils; some others may, too."""
    conditions, values = of_head(narrowed)
    nearby, bounds = near(narrowed)
    wanted = of_any_span(narrowed)
    if narrowed.status == "error":
        wanted.append(Condition("s.status = {status:String}", {"status": "error"}, ("status",)))
    elif narrowed.status:
        conditions.append("status = {status:String}")
        values["status"] = narrowed.status
    # Of some traces only theirs need be read.
    nearby += _among(narrowed)
    for one in wanted:
        inside = " AND ".join(["project = {project:String}", one.sql, *nearby])
        conditions.append(f"trace_id IN (SELECT trace_id FROM spans AS s WHERE {inside})")
        values |= {**one.values, **bounds}
    return conditions, values
