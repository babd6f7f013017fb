"""The pages over HTTP: empty and full, with whatever senders and providers call things escaped."""

import re
from decimal import Decimal

import httpx
import pytest
from tests.axis.ledger.exports import cost, page, used
from tests.axis.ledger.spending import NEW, OLD, call, day, price, record, rerated

from gimbal.axis.ledger import statements
from gimbal.axis.ledger.statements import Import
from gimbal.axis.pricing.service import PriceBook
from gimbal.kernel.context import Context
from gimbal.testing.clock import FrozenClock

HOSTILE = '</td><script>alert("x")</script><img src=x onerror=alert(1)>'


async def text(site: httpx.AsyncClient, ctx: Context, path: str, status: int = 200) -> str:
    reply = await site.get(f"/p/{ctx.project}{path}")
    assert reply.status_code == status, reply.text
    assert "<script>alert" not in reply.text
    assert "<img src=x" not in reply.text
    return reply.text


async def test_nothing_says_what_to_do(site: httpx.AsyncClient, ledger: Context) -> None:
    """No unpriced call is well, no statement has a command."""
    assert "Every call has a price" in await text(site, ledger, "/costs/unpriced")
    assert "gimbal ledger import" in await text(site, ledger, "/costs/reconcile")


async def test_unpriced_calls_with_what_to_do_and_what_was_done(site: httpx.AsyncClient, ledger: Context) -> None:
    """Counts, a link to the traces that have them, the price to add, and reratings with their reason."""
    await record(ledger, OLD, call(HOSTILE, 10, 5, at=day(20)), call("m1", 1_000_000, 0, at=day(20)))
    await rerated(ledger, NEW, reason=HOSTILE)

    shown = await text(site, ledger, "/costs/unpriced")

    assert "the book has no such model" in shown
    assert "unpriced=unknown_model" in shown
    assert "gimbal prices set --provider acme" in shown
    assert "$2.00" in shown
    assert "$3.00" in shown
    assert "Every call has a price" in await text(site, ledger, "/costs/unpriced?days=1")
    await text(site, ledger, "/costs/unpriced?days=0", 400)


async def test_traces_with_an_unpriced_call(site: httpx.AsyncClient, ledger: Context) -> None:
    """The list's filter by reason, and by any."""
    await record(ledger, OLD, call("nobody-knows", 10, 5, at=day(20)), call("m1", 1, 1, at=day(20)))

    for reason, found in (("any", True), ("unknown_model", True), ("no_usage", False)):
        shown = await text(site, ledger, f"/traces?unpriced={reason}&range=30d")
        assert ("nobody-knows" in shown.partition("<tbody")[2]) is found


async def test_a_trace_tells_what_its_call_cost_before_and_why(
    site: httpx.AsyncClient, ledger: Context, clock: FrozenClock
) -> None:
    """On the page and in the part that is fetched alone: each figure, its reason and who; nothing of other calls."""
    corrected = call("m1", 1_000_000, 0, at=day(20))
    late = call("m3", 1_000_000, 0, at=day(20))
    same = call("m1", 0, 0, at=day(20), trace_id=corrected.trace_id)
    await record(ledger, OLD, corrected, late, same)
    await rerated(ledger, NEW, reason=f"the list was late {HOSTILE}")
    clock.advance(seconds=60)
    await rerated(ledger, PriceBook([price("m1", "4", "10"), price("m3", "5", "7")], "third"), reason="and wrong")

    for part in ("", "&part=span"):
        shown = plain(await text(site, ledger, f"/traces/{corrected.trace_id}?span={corrected.span_id}{part}"))
        last, first = shown.partition("Cost before ")[2].split("Before that ")
        assert last.startswith("$3.00 → $4.00 and wrong local owner")
        assert ", book third" in last
        assert first.startswith("$2.00 → $3.00 the list was late")
        assert shown.index("Cost $4.00") < shown.index("Cost before")
    shown = plain(await text(site, ledger, f"/traces/{late.trace_id}"))
    assert "Cost before unpriced (unknown model) → $5.00" in shown
    assert "Cost before" not in await text(site, ledger, f"/traces/{same.trace_id}?span={same.span_id}")


async def test_what_a_cached_answer_would_have_cost_is_told_as_saved(site: httpx.AsyncClient, ledger: Context) -> None:
    """It is no cost, before as after."""
    cached = call("m1", 1_000_000, 0, at=day(20), cached=True)
    await record(ledger, OLD, cached)
    await rerated(ledger, NEW, reason="late")

    shown = plain(await text(site, ledger, f"/traces/{cached.trace_id}"))

    assert "Cost before $2.00 → $3.00, saved late" in shown


async def test_costs_before_are_those_of_the_span_and_the_project(site: httpx.AsyncClient, ledger: Context) -> None:
    """Another project's call of the same ids has its own history, or none."""
    mine = call("m1", 1_000_000, 0, at=day(20))
    other = Context(ledger.services, ledger.principal, "default")
    await record(ledger, OLD, mine)
    await rerated(ledger, NEW, reason="mine alone")
    await record(other, OLD, mine)

    assert "mine alone" in await text(site, ledger, f"/traces/{mine.trace_id}")
    reply = await site.get(f"/p/default/traces/{mine.trace_id}")
    assert reply.status_code == 200
    assert "mine alone" not in reply.text
    assert "Cost before" not in reply.text


def plain(html: str) -> str:
    """Return what a person reads of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split()).replace(" ,", ",")


async def test_a_bill_beside_ours(site: httpx.AsyncClient, ledger: Context) -> None:
    """Both sides, the difference and why; a statement can be removed there."""
    book = PriceBook([price("gpt-4o", "2.5", "10", provider="openai")], "b")
    await record(ledger, book, *(call("gpt-4o", 1_000_000, 0, at=day(n), provider="openai") for n in (20, 21)))
    body = page((20, [cost("gpt-4o, input", 2.5), cost(HOSTILE, 1)]), (21, [cost("gpt-4o, input", 5)]))
    found = await statements.take(ledger, body, Import(format="openai-costs", filename=HOSTILE))
    await statements.take(ledger, page((21, [used("gpt-4o", 2_000_000, 0, 2)])), Import(format="openai-usage"))

    shown = await text(site, ledger, "/costs/reconcile")
    away = await site.post(
        f"/p/{ledger.project}/costs/reconcile/remove",
        data={"id": found.id},
        headers={"origin": str(site.base_url).rstrip("/")},
    )

    assert found.cost == Decimal("8.5")
    for words in ("1 call did not go through Gimbal", "only theirs", "$8.50", "$5.00", "data-chart"):
        assert words in shown
    assert away.status_code == 303
    assert "only theirs" not in await text(site, ledger, "/costs/reconcile?show=differences")


@pytest.mark.parametrize("path", ["?days=never", "?days=0", "?days=100000"])
async def test_ranges_that_cannot_be(site: httpx.AsyncClient, ledger: Context, path: str) -> None:
    """A page that says so."""
    await text(site, ledger, f"/costs/reconcile{path}", 400)
