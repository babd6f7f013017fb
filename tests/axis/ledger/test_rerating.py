"""History is priced anew: exactly, once, with the old figure kept, and whatever comes in meanwhile stays."""

import random
from decimal import Decimal

import pytest
from tests.axis.ledger.spending import BEGIN, NEW, OLD, call, costs, day, ended, price, record, rerated, told

from gimbal.axis.ledger import changes, repricing, rerating
from gimbal.axis.ledger.model import Rerate
from gimbal.axis.ledger.repricing import Asked, Change, Place
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Conflict, NotFound


async def test_a_corrected_price_changes_what_it_priced_and_tells_by_day_and_model(ledger: Context) -> None:
    """1,000 in and 100 out cost 0.003 by the old book and 0.004 by the new one."""
    calls = [call("m1", 1000, 100, at=day(0)), call("m1", 2000, 0, at=day(1)), call("m3", 10, 10, at=day(1))]
    await record(ledger, OLD, *calls)

    before = await costs(ledger, calls)
    done = await rerated(ledger, NEW)

    assert [Decimal("0.003"), Decimal("0.004"), None] == before
    assert [Decimal("0.004"), Decimal("0.006"), Decimal("0.00012")] == await costs(ledger, calls)
    assert [
        (day(0).date(), "m1", 1, Decimal("0.003"), Decimal("0.004"), Decimal("0.001"), 0),
        (day(1).date(), "m1", 1, Decimal("0.004"), Decimal("0.006"), Decimal("0.002"), 0),
        (day(1).date(), "m3", 1, None, Decimal("0.00012"), Decimal("0.00012"), 1),
    ] == [(row.day, row.model, row.calls, row.old, row.new, row.difference, row.priced) for row in done.lines]
    assert (3, 3, Decimal("0.007"), Decimal("0.01012")) == (done.seen, done.changed, done.old, done.new)


async def test_a_second_run_changes_nothing(ledger: Context) -> None:
    """What has the figure of the book is not written again."""
    calls = [call("m1", 1000, 100)]
    await record(ledger, OLD, *calls)
    await rerated(ledger, NEW)

    again = await rerated(ledger, NEW)

    assert (again.seen, again.changed, again.lines) == (1, 0, [])


async def test_a_dry_run_tells_the_same_and_writes_nothing(ledger: Context) -> None:
    """Neither costs nor changes are there afterwards; the run that follows tells the same lines."""
    calls = [call(model, tokens, 7, at=day(tokens % 3)) for tokens, model in enumerate(["m1", "m2", "m3"] * 5)]
    await record(ledger, OLD, *calls)
    before = await costs(ledger, calls)

    dry = await rerated(ledger, NEW, dry_run=True)
    nothing = await changes.page(ledger, rerating=dry.id, trace=None, span=None, day=None, cursor=None, limit=10)
    after = await costs(ledger, calls)
    wet = await rerated(ledger, NEW)

    assert before == after
    assert nothing.items == []
    assert wet.lines == dry.lines
    assert (dry.seen, dry.kept) == (wet.seen, wet.kept) == (15, 5)


async def test_a_call_keeps_its_cost_when_the_book_lost_its_price_unless_that_is_allowed(ledger: Context) -> None:
    """A cost is not lost by accident, and when it is meant, the old figure stays in the changes."""
    lost = call("m2", 1_000_000, 0)
    await record(ledger, OLD, lost)

    kept = await rerated(ledger, NEW)
    meanwhile = await costs(ledger, [lost])
    allowed = await rerated(ledger, NEW, allow_unpriced=True)
    [change] = (
        await changes.page(ledger, rerating=None, trace=lost.trace_id, span=None, day=None, cursor=None, limit=10)
    ).items

    assert (kept.kept, kept.changed) == (1, 0)
    assert meanwhile == [Decimal(1)]
    assert (allowed.kept, allowed.lines[0].unpriced) == (0, 1)
    assert await costs(ledger, [lost]) == [None]
    assert (change.old_cost, change.old_book, change.new_cost, change.new_unpriced) == (
        Decimal(1),
        "old",
        None,
        "unknown_model",
    )


async def test_the_old_figure_the_reason_and_who_are_kept(ledger: Context) -> None:
    """Twice corrected is two changes, each with its books."""
    one = call("m1", 1_000_000, 0)
    await record(ledger, OLD, one)
    third = PriceBook([price("m1", "4", "10")], "third")

    await rerated(ledger, NEW, reason="the list was late")
    await rerated(ledger, third, reason="and wrong")
    found = await changes.page(
        ledger, rerating=None, trace=one.trace_id, span=one.span_id, day=BEGIN.date(), cursor=None, limit=10
    )

    told_of = sorted((c.old_cost, c.old_book, c.new_cost, c.new_book, c.reason, c.changed_by) for c in found.items)
    assert told_of == [
        (Decimal(2), "old", Decimal(3), "new", "the list was late", "local owner"),
        (Decimal(3), "new", Decimal(4), "third", "and wrong", "local owner"),
    ]


async def test_what_comes_in_later_wins(ledger: Context) -> None:
    """A span that is sent again after a rerating is newer than what the rerating wrote."""
    first = call("m1", 1_000_000, 0)
    await record(ledger, OLD, first)
    await rerated(ledger, NEW)

    await record(ledger, OLD, first)

    assert await costs(ledger, [first]) == [Decimal(2)]


async def test_only_what_was_asked_for(ledger: Context) -> None:
    """Time, provider and a pattern of models narrow it."""
    early, late = call("m1", 1_000_000, 0, at=day(0)), call("m1", 1_000_000, 0, at=day(5))
    other = call("x_1", 1_000_000, 0, at=day(5))
    book = PriceBook([price("m1", "3", "10"), price("x_1", "3", "1"), price("xa1", "3", "1")], "wide")
    alike = call("xa1", 1_000_000, 0, at=day(5))
    await record(ledger, OLD, early, late, other, alike)

    await rerated(ledger, book, from_=day(1), to=day(6), provider="ACME", model="M*")
    only_m1 = await costs(ledger, [early, late, other])
    await rerated(ledger, book, model="x_*")

    assert only_m1 == [Decimal(2), Decimal(3), None]
    assert await costs(ledger, [other, alike]) == [Decimal(3), None]


async def test_wrappers_stay_uncounted(ledger: Context) -> None:
    """A wrapper that came in another request than its call is not priced anew: nobody counts it."""
    inner = call("m1", 1_000_000, 0)
    outer = call("m1", 1_000_000, 0, trace_id=inner.trace_id)
    inner = Span(**{n: getattr(inner, n) for n in inner.__struct_fields__} | {"parent_id": outer.span_id})
    await record(ledger, OLD, inner)
    await record(ledger, OLD, outer)

    done = await rerated(ledger, NEW)
    trace = await ledger.get(Traces).get(ledger, inner.trace_id)

    assert (1, Decimal(3)) == (done.changed, done.new)
    assert trace.summary.cost == Decimal(3)


async def test_another_project_is_out_of_reach(ledger: Context) -> None:
    """Neither its calls nor its reratings nor its changes."""
    mine = call("m1", 1_000_000, 0)
    await record(ledger, OLD, mine)
    done = await rerated(ledger, NEW)
    other = ledger.within("default")

    with pytest.raises(NotFound):
        await rerating.show(other, done.id)
    found = await changes.page(other, rerating=done.id, trace=mine.trace_id, span=None, day=None, cursor=None, limit=10)
    listed = await rerating.page(other, cursor=None, limit=10)

    assert found.items == []
    assert done.id not in {one.id for one in listed.items}


async def test_pages_of_changes_neither_skip_nor_repeat(ledger: Context) -> None:
    """Every change is on one page, also of calls that start at the same moment."""
    calls = [call("m1", 10 + number, 1, at=day(number % 2)) for number in range(25)]
    await record(ledger, OLD, *calls)
    done = await rerated(ledger, NEW)
    seen: list[str] = []
    cursor = None
    while True:
        page = await changes.page(ledger, rerating=done.id, trace=None, span=None, day=None, cursor=cursor, limit=4)
        seen += [one.span_id for one in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert sorted(seen) == sorted(one.span_id for one in calls)


async def test_many_pages_of_calls_at_the_same_moment(ledger: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages smaller than what starts at one moment still come to every call once."""
    monkeypatch.setattr(repricing, "PAGE_ROWS", 7)
    chance = random.Random(3)
    calls = [call("m1", 1_000_000, 0, at=day(chance.choice([0, 0, 0, 1, 2]))) for _ in range(60)]
    await record(ledger, OLD, *calls)
    await record(ledger, OLD, *calls[:20])

    done = await rerated(ledger, NEW)

    assert (60, 60, Decimal(120), Decimal(180)) == (done.seen, done.changed, done.old, done.new)


async def test_written_down_and_killed_before_it_was_changed(ledger: Context) -> None:
    """The next attempt changes it, and it is one change."""
    one = call("m1", 1_000_000, 0)
    await record(ledger, OLD, one)
    begun = await rerating.start(ledger, Rerate(from_=BEGIN, reason="wrong"))
    asked = Asked(project=str(ledger.project), low_us=to_us(BEGIN), high_us=to_us(day(9)), provider=None, model=None)
    last = await repricing.bound(ledger.get(Columns), asked, Place(start_us=to_us(BEGIN)))
    assert last is not None
    found = await repricing.figures(ledger.get(Columns), NEW, asked, Place(start_us=to_us(BEGIN)), last)
    change = Change(project=asked.project, rerating=begun.id, reason="wrong", by="x", now_us=to_us(ledger.now()))
    await repricing.note(ledger.get(Writer), found, change)

    ledger.services.register(PriceSource, NEW)
    done = await rerating.carry_out(ledger, begun.id, told)
    again = await rerating.carry_out(ledger, begun.id, told)

    assert (1, Decimal(2), Decimal(3)) == (done.changed, done.old, done.new)
    assert again.lines == done.lines
    assert await costs(ledger, [one]) == [Decimal(3)]


async def test_one_at_a_time_and_bad_input(ledger: Context) -> None:
    """Two that change costs at once are refused; a dry run may go beside."""
    begun = await rerating.start(ledger, Rerate(from_=BEGIN, reason="wrong"))

    with pytest.raises(Conflict, match="still changes costs"):
        await rerating.start(ledger, Rerate(from_=BEGIN, reason="wrong"))
    await rerating.start(ledger, Rerate(from_=BEGIN, reason="wrong", dry_run=True))
    await ended(ledger, begun.job_id)
    await rerating.start(ledger, Rerate(from_=BEGIN, reason="wrong"))
    with pytest.raises(BadInput, match="needs a reason"):
        await rerating.start(ledger, Rerate(from_=BEGIN, reason="  ", dry_run=True))
    with pytest.raises(BadInput, match="ends before it begins"):
        await rerating.start(ledger, Rerate(from_=day(2), to=day(1), reason="x", dry_run=True))
    with pytest.raises(BadInput, match="lies in the future"):
        await rerating.start(ledger, Rerate(from_=day(900), reason="x", dry_run=True))


async def test_the_book_changes_under_way(ledger: Context) -> None:
    """An attempt with another book begins anew; the line tells from the first figure to the last."""
    one = call("m1", 1_000_000, 0)
    await record(ledger, OLD, one)
    begun = await rerating.start(ledger, Rerate(from_=BEGIN, reason="wrong"))
    ledger.services.register(PriceSource, NEW)
    await rerating.carry_out(ledger, begun.id, told)
    ledger.services.register(PriceSource, PriceBook([price("m1", "4", "10")], "third"))

    done = await rerating.carry_out(ledger, begun.id, told)

    assert [(1, Decimal(2), Decimal(4))] == [(row.calls, row.old, row.new) for row in done.lines]
    assert await costs(ledger, [one]) == [Decimal(4)]
