"""The chart of the cost page: cost by time, stacked, with the budget lines that hold for it and what is to be expected."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gimbal.axis.ledger.cost_range import Asked
from gimbal.axis.ledger.model import Budget
from gimbal.axis.ledger.spending import Figures
from gimbal.engines.console import charts
from gimbal.engines.console.filters import excerpt
from gimbal.kernel.money import format_money

# With the rest these are as many as there are colours.
MOST_SERIES = 5
OTHER, UNTOLD, AHEAD = "all other", "not told", "expected"
_LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
_A = {"hour": "an hour", "day": "a day", "week": "a week"}
_MOST_AHEAD = 35
_MOST_RULES = 3
# A line far above everything would leave nothing to see beneath it.
_FAR = 5


def drawn(asked: Asked, found: Sequence[Figures], lines: Sequence[Budget], now: datetime) -> charts.Spec | None:
    """Return the chart; None where nothing has a known cost."""
    every = asked.stretch.every
    points = [
        charts.Point(x=bucket(one.start, every), y=float(one.cost), series=_name(one))
        for one in found
        if one.cost is not None and one.start is not None
    ]
    if not points:
        return None
    buckets = list(_buckets(asked.stretch.since, asked.stretch.until, every))
    order = _in_order(found)
    mine = [one for one in lines if _holds(one, asked)]
    line = expected(asked, lines, now)
    ahead = [] if line is None else _ahead(line, every, now)
    highest: dict[str, float] = {}
    for point in points:
        highest[str(point.x)] = highest.get(str(point.x), 0.0) + (point.y or 0.0)
    return charts.stacked(
        [*points, *ahead],
        order=order,
        buckets=[*buckets, *(str(one.x) for one in ahead if one.x not in buckets)],
        ahead=AHEAD,
        y_title="US dollars",
        rules=_rules(mine, every, max(highest.values())),
    )


def bucket(moment: datetime | None, every: str) -> str:
    """Return how a stretch of time is called that begins at a moment."""
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:00" if every == "hour" else "%Y-%m-%d")


def _buckets(since: datetime, until: datetime, every: str) -> list[str]:
    begin, length = _begin(since, every), _LENGTHS[every]
    return [bucket(begin + place * length, every) for place in range(-(-(until - begin) // length))]


def _begin(moment: datetime, every: str) -> datetime:
    """Return when the stretch began in which a moment is; weeks begin on Monday."""
    if every == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return day - timedelta(days=day.weekday()) if every == "week" else day


def _name(one: Figures) -> str:
    return OTHER if not one.group else one.group[0] or UNTOLD


def _in_order(found: Sequence[Figures]) -> list[str]:
    """Return the series, the most expensive first and the rest at the end."""
    sums: dict[str, Decimal] = {}
    for one in found:
        sums[_name(one)] = sums.get(_name(one), Decimal(0)) + (one.cost or 0)
    return sorted(sums, key=lambda name: (name == OTHER, -sums[name], name))


def _holds(line: Budget, asked: Asked) -> bool:
    """Return whether a line is about just the calls that are shown."""
    return tuple(asked.where) == (((line.dimension, line.value),) if line.dimension else ())


def expected(asked: Asked, lines: Sequence[Budget], now: datetime) -> Budget | None:
    """Return the line whose period tells what is to come: of those that hold the longest that a chart has room for."""
    length = _LENGTHS[asked.stretch.every]
    begin = _after(now, asked.stretch.every)
    fitting = [
        one
        for one in lines
        if _holds(one, asked)
        and one.forecast is not None
        and begin < one.ends
        and one.ends - begin <= _MOST_AHEAD * length
    ]
    return max(fitting, key=lambda one: (one.ends, one.name), default=None) if asked.stretch.open else None


def _after(now: datetime, every: str) -> datetime:
    return _begin(now.astimezone(UTC), every) + _LENGTHS[every]


def _ahead(line: Budget, every: str, now: datetime) -> list[charts.Point]:
    """Return what each stretch to come is expected to cost, to the end of the line's period."""
    length, begin = _LENGTHS[every], _after(now, every)
    each = float(line.forecast or 0) * (length / (line.ends - line.starts))
    count = -(-(line.ends - begin) // length)
    return [charts.Point(x=bucket(begin + place * length, every), y=each, series=AHEAD) for place in range(count)]


def _rules(lines: Sequence[Budget], every: str, highest: float) -> list[charts.Rule]:
    """Return budget lines as what they allow for each stretch of time; an hour is little of anything but a day."""
    found: list[charts.Rule] = []
    for one in lines:
        if every == "hour" and one.period != "day":
            continue
        pace = one.amount * Decimal(str(_LENGTHS[every] / (one.ends - one.starts)))
        if float(pace) <= _FAR * highest:
            words = f"{excerpt(one.name, 30)}: {format_money(pace)} {_A[every]}"
            found.append(charts.Rule(y=float(pace), label=words))
    return found[:_MOST_RULES]
