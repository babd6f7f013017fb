"""What the ledger tells: reratings and changes, calls without a price, statements and differences, totals, budgets."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

BudgetPeriod = Literal["day", "week", "month"]


class Rerate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which calls to price anew, and why."""

    from_: datetime = msgspec.field(name="from")
    """Calls that started at or after this."""
    to: datetime | None = None
    """And before this; null: up to now."""
    provider: str | None = None
    """Only calls of this provider."""
    model: str | None = None
    """Only calls of this model, or of those that fit a pattern with `*`."""
    reason: str
    """Why, for everybody who meets the change later."""
    dry_run: bool = False
    """Only tell what would change."""
    allow_unpriced: bool = False
    """Let calls that have a cost lose it where the book has no price for them now; otherwise they keep it."""


class RatedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What rerating comes to for one model on one day, of the calls whose figure differs."""

    day: date
    """In UTC."""
    provider: str
    model: str
    calls: int
    old: Decimal | None
    """US dollars of those that had a cost; null where none had."""
    new: Decimal | None
    """US dollars of those that have one now; null where none has."""
    difference: Decimal
    """New less old, what is unknown left out."""
    priced: int
    """Calls that had no cost and have one now."""
    unpriced: int
    """Calls that had a cost and have none now."""


class Rerating(msgspec.Struct, frozen=True, kw_only=True):
    """One rerating: what was asked for, how far it is, and what it came to."""

    id: str
    status: str
    """Of its job: queued, running, succeeded, failed, cancelled …"""
    job_id: str
    from_: datetime = msgspec.field(name="from")
    to: datetime
    provider: str | None
    model: str | None
    reason: str
    dry_run: bool
    allow_unpriced: bool
    book: str
    """Version of the price book; empty before it began."""
    seen: int
    """Calls that were looked at."""
    changed: int
    """Calls whose figure differs."""
    old: Decimal | None
    """US dollars of those before."""
    new: Decimal | None
    """And now."""
    kept: int
    """Calls that have no price in the book now and keep the cost they had, because nobody allowed otherwise."""
    created_at: datetime
    created_by: str
    finished_at: datetime | None
    lines: list[RatedLine] = []
    """By day and model, at most 10,000; a list of reratings leaves them out."""


class CostChange(msgspec.Struct, frozen=True, kw_only=True):
    """A cost that was changed afterwards: what it was, what it is, why and by whom."""

    rerating: str
    trace_id: str
    span_id: str
    start: datetime
    """When the call began."""
    provider: str
    model: str
    old_cost: Decimal | None
    """US dollars; null: was unpriced."""
    old_saved: Decimal | None
    """What it would have cost, of an answer from an own cache."""
    old_unpriced: str
    """Why it was."""
    old_book: str
    new_cost: Decimal | None
    new_saved: Decimal | None
    new_unpriced: str
    new_book: str
    reason: str
    changed_by: str
    changed_at: datetime


class UnpricedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one model that have no cost for one reason."""

    provider: str
    model: str
    reason: str
    calls: int
    """An estimate where sampling left some out."""
    input_tokens: int | None
    """Null where none were reported."""
    output_tokens: int | None
    first: datetime
    last: datetime
    trace_id: str
    """An example, the newest."""
    span_id: str
    todo: str
    """What to do, in a sentence."""
    command: str
    """The command, or the price, that does it; empty where nothing can be done afterwards."""


class RejectedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement that could not be taken."""

    line: int
    """Of the file, from 1; in JSON the number of the result."""
    reason: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One export of a provider, as it was imported."""

    id: str
    provider: str
    format: str
    account: str
    filename: str
    digest: str
    """Of its bytes: the same file is taken once."""
    first_day: date | None
    """In UTC; null where it has no line."""
    last_day: date | None
    lines: int
    """That were taken."""
    replaced: int
    """Lines of earlier statements that say the same thing and gave way to these."""
    cost: Decimal | None
    """US dollars of all lines; null where it tells tokens only."""
    input_tokens: int | None
    """Null where it tells costs only."""
    output_tokens: int | None
    rejected: list[RejectedLine]
    """The first 1,000."""
    rejected_lines: int
    """How many there were."""
    repeated: bool
    """Whether this very file had been imported before: then nothing changed."""
    created_at: datetime
    created_by: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one day of UTC, as the provider has it and as we have it."""

    day: date
    provider: str
    model: str
    """As we call it, else as the provider does."""
    their_cost: Decimal | None
    """US dollars; null where no statement tells."""
    our_cost: Decimal | None
    """Null where no call of ours is priced."""
    cost_difference: Decimal | None
    """Theirs less ours; null where one is unknown."""
    cost_share: float | None
    """Of the provider's cost."""
    their_input_tokens: int | None
    our_input_tokens: int | None
    their_output_tokens: int | None
    our_output_tokens: int | None
    token_difference: int | None
    """Theirs less ours, in and out."""
    their_calls: int | None
    our_calls: int
    unpriced: int
    """Calls of ours without a cost."""
    estimated: int
    """Calls of ours whose usage is an estimate."""
    state: Literal["same", "rounding", "differs", "only_theirs", "only_ours"]
    explanations: list[str]
    """What likely explains it, the likeliest first."""


class DifferenceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Providers' figures beside ours."""

    rows: list[Difference]
    """Newest day first."""
    their_cost: Decimal | None
    our_cost: Decimal | None
    """Of the same days and models."""
    days_without_statement: int
    """Days with calls of ours for which no statement of their provider was imported; they are not compared."""
    boundary: str
    """Whose days these are."""


class TotalRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one group came to, in one stretch of time."""

    start: datetime | None
    """Where its stretch of time begins; null where time is not parted."""
    group: list[str | None]
    """What it has in each dimension; null where its calls say nothing."""
    calls: int
    """Model calls, each once; like all that follows an estimate where sampling left some out."""
    priced: int
    unpriced: int
    """Calls whose cost is unknown: what the cost leaves out."""
    cost: Decimal | None
    """US dollars of the priced calls; null where none is."""
    saved: Decimal | None
    """US dollars that answers from Gimbal's cache would have cost; null where that is not known of any."""
    wasted: Decimal | None
    """US dollars of priced calls that ended in an error; they are part of the cost."""
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    currency: str = "USD"


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Costs by dimension and time."""

    rows: list[TotalRow]
    """By time, then the most expensive first."""
    total: TotalRow
    """Of everything, groups that were left out included."""
    more: bool
    """Whether there are groups that were left out."""


class SetBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line that a cost should stay below."""

    name: str
    """Short and unique in the project; setting it again changes the line."""
    amount: Decimal
    """US dollars for each period."""
    period: BudgetPeriod
    """Each day, week (from Monday) or month, in UTC."""
    dimension: str = ""
    """Only calls with a certain `value` in this: model, provider, feature, user, session …; empty: all."""
    value: str = ""
    """What the dimension must be; empty without a dimension."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a cost should stay below, and where it stands. It stops nothing: it is shown and compared with."""

    name: str
    amount: Decimal
    period: BudgetPeriod
    dimension: str
    value: str
    starts: datetime
    """Of the present period."""
    ends: datetime
    spent: Decimal | None
    """US dollars so far in the present period; null where no call is priced."""
    unpriced: int
    """Calls of the period that `spent` leaves out."""
    forecast: Decimal | None
    """What it comes to by the end when it goes on as so far; null in the first hundredth of the period."""
    share: float | None
    """Of the amount, so far."""
    updated_at: datetime
    updated_by: str
