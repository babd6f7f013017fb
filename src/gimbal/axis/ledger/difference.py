"""Providers' figures beside ours, by day and model, with what likely explains the difference."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.ledger import statements, sums
from gimbal.axis.ledger.model import Difference, DifferenceReport
from gimbal.axis.ledger.names import EVERY, alike
from gimbal.axis.traces.filters import TraceFilter
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.money import ZERO, format_money

MOST_DAYS = 400
_DAYS = 30
_ROUNDING = Decimal("0.01")
_SHARE = Decimal("0.0005")
_HALF = (Decimal("0.45"), Decimal("0.55"))
_CHEAPER = frozenset({"batch", "flex"})
BOUNDARY = "Days are of UTC, as OpenAI and Anthropic have them: a call counts for the day on which it began."
_Key = tuple[date, str, str]


class Side(msgspec.Struct, kw_only=True):
    """What one side has of a model on a day."""

    model: str
    cost: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    calls: int | None = None
    unpriced: int = 0
    estimated: int = 0
    sampled: bool = False
    tiers: Counter[str] = msgspec.field(default_factory=Counter[str])

    def add(self, **more: Any) -> None:
        """Add figures; what is unknown adds nothing, and stays unknown where nothing else is known."""
        for name, value in more.items():
            if value is not None:
                setattr(self, name, (getattr(self, name) or 0) + value)

    @property
    def tokens(self) -> int | None:
        """In and out."""
        return None if self.input_tokens is None else self.input_tokens + (self.output_tokens or 0)


async def report(
    ctx: Context, since: datetime | None, until: datetime | None, provider: str | None
) -> DifferenceReport:
    """Return the difference of a stretch of whole days, the last thirty by default; raise BadInput."""
    now = ctx.now().astimezone(UTC)
    last = (until.astimezone(UTC) - timedelta(microseconds=1)).date() if until else now.date()
    first = since.astimezone(UTC).date() if since else last - timedelta(days=_DAYS)
    if first > last:
        raise BadInput("The range ends before it begins.", where="until", todo="Give an `until` after `since`.")
    if (last - first).days > MOST_DAYS:
        raise BadInput(f"The range has more than {MOST_DAYS} days.", where="since", todo="Take a shorter one.")
    theirs = await _theirs(ctx, first, last, provider)
    ours = await _ours(ctx, first, last, provider)
    covered = {(day, house) for day, house, _ in theirs}
    without = {(day, house) for day, house, _ in ours} - covered
    rows: list[Difference] = []
    for key in sorted(
        {*theirs, *(key for key in ours if key[:2] in covered)}, key=lambda k: (-k[0].toordinal(), *k[1:])
    ):
        their, our = theirs.get(key), ours.get(key)
        if key[2] == EVERY:
            our = _together(ours, key)
        rows.append(_row(key, their, our))
    compared = [row for row in rows if row.their_cost is not None]
    return DifferenceReport(
        rows=rows,
        their_cost=sum((row.their_cost or ZERO for row in compared), ZERO) if compared else None,
        our_cost=sum((row.our_cost or ZERO for row in compared), ZERO) if compared else None,
        days_without_statement=len({day for day, _ in without}),
        boundary=BOUNDARY,
    )


async def _theirs(ctx: Context, first: date, last: date, provider: str | None) -> dict[_Key, Side]:
    found: dict[_Key, Side] = {}
    for row in await statements.lines_between(ctx, first, last, provider):
        key = (date.fromisoformat(row["day"]), row["provider"], _alike(row["model"]))
        side = found.setdefault(key, Side(model=row["model"]))
        side.add(**{name: row[name] for name in ("cost", "input_tokens", "output_tokens", "calls")})
        side.tiers[row["tier"]] += 1
    return found


def _alike(model: str) -> str:
    return model if model == EVERY else alike(model)


async def _ours(ctx: Context, first: date, last: date, provider: str | None) -> dict[_Key, Side]:
    low, high = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (first, last + timedelta(days=1)))
    narrowed = TraceFilter(since_us=to_us(low), until_us=to_us(high))
    counted = await sums.counted(ctx, ("provider", "model"), narrowed)
    rows = await sums.rows(
        ctx,
        counted,
        f"intDiv(s.start_us, {sums.DAY_US}) AS day, lower(s.k0) AS house, s.k1 AS name, {sums.SUMS}",
        "WHERE {provider:String} = '' OR lower(s.k0) = {provider:String} GROUP BY day, house, name HAVING calls > 0 "
        "ORDER BY calls DESC",
        {"provider": (provider or "").lower()},
    )
    found: dict[_Key, Side] = {}
    for row in rows:
        key = (from_us(row["day"] * sums.DAY_US).date(), row["house"], alike(row["name"]))
        side = found.setdefault(key, Side(model=row["name"]))
        side.add(
            cost=sums.amount(row, "cost"),
            input_tokens=sums.whole(row["input_tokens"]),
            output_tokens=sums.whole(row["output_tokens"]),
            calls=round(row["calls"]),
            unpriced=round(row["unpriced"]),
            estimated=round(row["estimated"]),
        )
        side.sampled |= bool(row["sampled"])
    return found


def _together(ours: dict[_Key, Side], key: _Key) -> Side | None:
    """Return all models of a provider on a day as one."""
    found = Side(model=EVERY)
    sides = [side for other, side in ours.items() if other[:2] == key[:2]]
    names = ("cost", "input_tokens", "output_tokens", "calls", "unpriced", "estimated")
    for side in sides:
        found.add(**{name: getattr(side, name) for name in names})
        found.sampled |= side.sampled
    return found if sides else None


def _row(key: _Key, their: Side | None, our: Side | None) -> Difference:
    there, here = their or Side(model=""), our or Side(model="", calls=0)
    cost = None if there.cost is None or here.cost is None else there.cost - here.cost
    tokens = None if there.tokens is None or here.tokens is None else there.tokens - here.tokens
    state = _state(their, our, cost, tokens)
    return Difference(
        day=key[0],
        provider=key[1],
        model=here.model or there.model,
        their_cost=_plain(there.cost),
        our_cost=_plain(here.cost),
        cost_difference=_plain(cost),
        cost_share=float(cost / there.cost) if cost is not None and there.cost else None,
        their_input_tokens=there.input_tokens,
        our_input_tokens=here.input_tokens,
        their_output_tokens=there.output_tokens,
        our_output_tokens=here.output_tokens,
        token_difference=tokens,
        their_calls=there.calls,
        our_calls=here.calls or 0,
        unpriced=here.unpriced,
        estimated=here.estimated,
        state=state,
        explanations=[] if state == "same" else _explained(there, here, state, cost, tokens),
    )


def _plain(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.normalize() + 0


def _state(their: Side | None, our: Side | None, cost: Decimal | None, tokens: int | None) -> Any:
    if our is None:
        return "only_theirs"
    if their is None:
        return "only_ours"
    if their.cost is not None and (our.cost is None or our.unpriced):
        return "differs"
    if tokens:
        return "differs"
    if not cost:
        return "same"
    rounding = max(_ROUNDING, abs(their.cost or ZERO) * _SHARE)
    return "rounding" if abs(cost) <= rounding else "differs"


def _explained(their: Side, our: Side, state: str, cost: Decimal | None, tokens: int | None) -> list[str]:
    """Return what likely explains a difference, the likeliest first."""
    if state == "only_theirs":
        return ["None of these calls went through Gimbal, or they were not traced."]
    if state == "only_ours":
        return ["The statement has no line for it: another account, an export that leaves it out, or not billed yet."]
    if state == "rounding":
        return ["Rounding on the bill."]
    found: list[str] = []
    if our.unpriced:
        found.append(f"{_calls(our.unpriced, 'of ours')} without a price.")
    if their.calls is not None and our.calls is not None and their.calls != our.calls:
        less = abs(their.calls - our.calls)
        found.append(
            f"{_calls(less)} did not go through Gimbal."
            if their.calls > our.calls
            else f"{_calls(less, 'of ours')} not on the statement: failed, or of another account."
        )
    elif tokens and tokens > 0:
        found.append(f"{tokens:,} tokens of calls that did not go through Gimbal, or whose usage was not reported.")
    elif tokens:
        found.append(
            f"{-tokens:,} tokens of ours not on the statement: failed calls, another account, or not billed yet."
        )
    if our.estimated:
        found.append(f"{_calls(our.estimated, 'of ours')} with an estimated usage.")
    if our.sampled:
        found.append("Ours is an estimate: sampling left traces out.")
    found += _by_price(their, our, cost, tokens)
    return found or [f"{format_money(cost)} of something that neither side tells."]


def _calls(number: int, whose: str = "") -> str:
    return f"{number:,} {'call' if number == 1 else 'calls'} {whose}".strip()


def _by_price(their: Side, our: Side, cost: Decimal | None, tokens: int | None) -> list[str]:
    """Return what prices explain."""
    cheaper = sorted(_CHEAPER & their.tiers.keys())
    if cheaper:
        return [f"The statement has {' and '.join(cheaper)} calls, which are cheaper."]
    if cost is None or not cost or not our.cost or not their.cost:
        return []
    if _HALF[0] <= their.cost / our.cost <= _HALF[1]:
        return ["The provider bills half of our price: batch or flex calls, whose tier we were not told."]
    if tokens == 0:
        return ["The tokens are the same: our price is not the one of the bill. Correct it, and price history anew."]
    return []
