"""What the address of the cost page asks for: the time, the dimensions, the filters and the order."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gimbal.axis.ledger.narrowing import narrowed_to, read_where
from gimbal.axis.traces.dimensions import plan
from gimbal.axis.traces.filters import TraceFilter
from gimbal.engines.console.pages import PageRequest
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput

RANGES = {
    "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "90d": "Last 90 days", "month": "This month",
    "last-month": "Last month", "year": "This year",
}  # fmt: skip
_LAST = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
USUAL = "30d"
_LONGEST = timedelta(days=3 * 366)
# What people part costs by; `tag:` and `attribute:` take a key of the project's own.
DIMENSIONS = {
    "model": "Model", "provider": "Provider", "feature": "Feature", "user": "User", "session": "Session",
    "prompt": "Prompt version", "endpoint": "Endpoint", "key": "Key", "tag": "Tag", "ref": "Version used", "status": "Status",
}  # fmt: skip


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time, and the one before that it is compared with."""

    since: datetime
    until: datetime
    before: tuple[datetime, datetime]
    open: bool
    """Whether it ends now, so that more will come to it."""

    @property
    def every(self) -> str:
        """Into which stretches a chart parts it."""
        length = self.until - self.since
        return "hour" if length <= timedelta(days=2) else "day" if length <= timedelta(days=100) else "week"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    stretch: Stretch
    by: tuple[str, ...]
    where: tuple[tuple[str, str], ...]
    narrowed: TraceFilter
    sort: str


def read(ctx: Context, request: PageRequest) -> Asked:
    """Return what a request asks for; raise BadInput at the field that is wrong."""
    stretch = _stretch(ctx.now().astimezone(UTC), request)
    by = tuple(dict.fromkeys(one for one in (_dimension(request, "by"), _dimension(request, "then")) if one)) or (
        "model",
    )
    where = tuple(read_where(request.values("where")))
    narrowed = narrowed_to(where, since=stretch.since, until=stretch.until)
    try:
        plan(ctx.project or "default", by, narrowed, roots=False)
    except BadInput as problem:
        # It knows the dimensions together; here each has a field.
        wrong = "then" if len(by) > 1 and repr(by[1]) in problem.message else "by"
        raise BadInput(problem.message, where=wrong, todo=problem.todo) from None
    return Asked(
        stretch=stretch, by=by, where=where, narrowed=narrowed, sort=request.query.get("sort", "").lstrip("-") or "cost"
    )


def usual(ctx: Context) -> Asked:
    """Return what is asked for when an address says nothing."""
    return read(ctx, PageRequest(project=ctx.project or "default"))


def label(dimension: str) -> str:
    """Return what a dimension is called."""
    kind, colon, key = dimension.partition(":")
    return f"{kind.capitalize()} {key}" if colon else DIMENSIONS.get(dimension, dimension.capitalize())


def _dimension(request: PageRequest, name: str) -> str:
    """Return a dimension of the address: a name, or a key of one's own that stands in a field beside it."""
    chosen, key = request.query.get(name, "").strip(), request.query.get(f"{name}_key", "").strip()
    if chosen in {"tag:", "attribute:"}:
        if not key:
            raise BadInput("A key is missing.", where=f"{name}_key", todo="Write the key of the tag or attribute.")
        return chosen + key
    return chosen


def _stretch(now: datetime, request: PageRequest) -> Stretch:
    given = {name: request.query.get(name, "").strip() for name in ("since", "until")}
    if any(given.values()):
        return _custom(now, given)
    chosen = request.query.get("range", "") or USUAL
    if chosen in _LAST:
        length = timedelta(days=_LAST[chosen])
        return Stretch(since=now - length, until=now, before=(now - 2 * length, now - length), open=True)
    if chosen not in RANGES:
        raise BadInput(f"{chosen!r:.40} is no range.", where="range", todo=f"Choose one of {', '.join(RANGES)}.")
    return _CALENDAR[chosen](now)


def _custom(now: datetime, given: dict[str, str]) -> Stretch:
    until = parse_time(given["until"], "until") if given["until"] else now
    since = parse_time(given["since"], "since") if given["since"] else until - timedelta(days=30)
    length = until - since
    if length <= timedelta(0):
        raise BadInput("The range ends before it begins.", where="until", todo="Give a later end.")
    if length > _LONGEST or since.year < 1972:
        raise BadInput("The range is longer than three years.", where="since", todo="Give a later beginning.")
    return Stretch(since=since, until=until, before=(since - length, since), open=since < now <= until)


def _this_month(now: datetime) -> Stretch:
    first = _first(now)
    before = _first(first - timedelta(days=1))
    return Stretch(
        since=first, until=_after(first, now), before=(before, min(before + (now - first), first)), open=True
    )


def _last_month(now: datetime) -> Stretch:
    until = _first(now)
    since = _first(until - timedelta(days=1))
    return Stretch(since=since, until=until, before=(_first(since - timedelta(days=1)), since), open=False)


def _this_year(now: datetime) -> Stretch:
    first = _first(now).replace(month=1)
    before = first.replace(year=first.year - 1)
    return Stretch(
        since=first, until=_after(first, now), before=(before, min(before + (now - first), first)), open=True
    )


_CALENDAR: dict[str, Callable[[datetime], Stretch]] = {
    "month": _this_month,
    "last-month": _last_month,
    "year": _this_year,
}


def _first(moment: datetime) -> datetime:
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def _after(first: datetime, now: datetime) -> datetime:
    """Return the end of a stretch that began at `first`: now, or just behind it at its very beginning."""
    return max(now, first + timedelta(seconds=1))


def fields(request: PageRequest) -> dict[str, Any]:
    """Return what the fields of the form hold, a key of one's own apart from its kind."""
    found: dict[str, Any] = {name: request.query.get(name, "") for name in ("range", "since", "until")}
    for name in ("by", "then"):
        text = request.query.get(name, "").strip()
        kind, colon, key = text.partition(":")
        own = bool(colon) and kind in {"tag", "attribute"}
        found[name] = f"{kind}:" if own else text
        found[f"{name}_key"] = key or request.query.get(f"{name}_key", "") if own else ""
    return found
