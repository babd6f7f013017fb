"""Who used which version is told by the stored traces: by caller, with what it cost and when, each call once."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.generative.prompts.using import usage
from gimbal.kernel.clock import Clock, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.ids import new_id, new_span_id, new_trace_id
from gimbal.kernel.refs import Ref

TEXT = '+++\nmodel = "m"\n+++\n## user\n{{question}}\n'


@pytest.fixture
async def answer(ctx: Context) -> Ref:
    """Store a prompt of two versions, and one whose name begins alike; nobody has used them."""
    name = f"used/{new_id()}"
    for text in (TEXT, TEXT + "More.\n"):
        await sync_files(ctx, [PromptFile(path=f"{name}.md", text=text)])
    await sync_files(ctx, [PromptFile(path=f"{name}s.md", text=TEXT)])
    return Ref("prompt", name)


@pytest.fixture
def now(ctx: Context) -> datetime:
    """Give the present."""
    return ctx.get(Clock).now()


def call(at: datetime, ref: str = "", **said: Any) -> Span:
    """Return the span of a model call that cost a cent."""
    start = to_us(at)
    given: dict[str, Any] = {
        "trace_id": new_trace_id(),
        "span_id": new_span_id(),
        "name": "chat m",
        "kind": "llm",
        "start_us": start,
        "end_us": start + 1000,
        "status": "ok",
        "usage": Usage(input=10, output=5),
        "cost": Decimal("0.01"),
        "refs": [ref] if ref else [],
    }
    return Span(**{**given, **said})


async def test_callers_are_told_apart_with_first_and_last_use(ctx: Context, answer: Ref, now: datetime) -> None:
    first, last = now - timedelta(hours=3), now - timedelta(hours=1)
    spans = [
        call(first, f"{answer}@v1", feature="support", key_id="k1", user_id="ada"),
        call(last, f"{answer}@v1", feature="support", key_id="k1", user_id="bob"),
        call(last, f"{answer}@v2", resource={"service.name": "shop"}, status="error"),
        call(last, f"{answer}s@v1", feature="another"),
        call(last),
    ]
    await ctx.get(Traces).record(ctx, spans)

    found = await usage(ctx, answer)

    by_ref = {row.ref: row for row in found.uses}
    assert set(by_ref) == {f"{answer}@v1", f"{answer}@v2"}
    one, two = by_ref[f"{answer}@v1"], by_ref[f"{answer}@v2"]
    assert (one.feature, one.key, one.service, one.users, one.calls) == ("support", "k1", None, 2, 2)
    assert (one.cost, one.first_at, one.last_at) == (Decimal("0.02"), first, last)
    assert (two.feature, two.key, two.service, two.users, two.errors) == (None, None, "shop", 0, 1)
    assert found.more is False
    by_user = await usage(ctx, Ref.parse(f"{answer}@v1"), by=["user"])
    assert {row.user: row.calls for row in by_user.uses} == {"ada": 1, "bob": 1}
    assert [row.ref for row in (await usage(ctx, answer, limit=1)).uses] == [found.uses[0].ref]


async def test_what_a_program_notes_on_its_trace_holds_for_the_calls_in_it(
    ctx: Context, answer: Ref, now: datetime
) -> None:
    root = call(now, f"{answer}@v2", kind="chain", name="answer", usage=None, cost=None, feature="shop")
    inner = call(now, trace_id=root.trace_id, parent_id=root.span_id)
    await ctx.get(Traces).record(ctx, [root, inner])

    (row,) = (await usage(ctx, answer)).uses

    assert (row.ref, row.feature, row.calls, row.traces) == (f"{answer}@v2", "shop", 1, 1)
    assert row.cost == Decimal("0.01")


async def test_what_is_older_or_never_happened_is_not_told(ctx: Context, answer: Ref, now: datetime) -> None:
    assert (await usage(ctx, answer)).uses == []
    await ctx.get(Traces).record(ctx, [call(now - timedelta(days=40), f"{answer}@v1")])

    assert (await usage(ctx, answer)).uses == []
    (row,) = (await usage(ctx, answer, since=now - timedelta(days=60))).uses
    assert row.ref == f"{answer}@v1"


async def test_what_cannot_be_asked_is_refused(ctx: Context, answer: Ref, now: datetime) -> None:
    with pytest.raises(BadInput, match="model"):
        await usage(ctx, answer, by=["model"])
    with pytest.raises(BadInput, match="0 callers"):
        await usage(ctx, answer, limit=0)
    with pytest.raises(NotFound):
        await usage(ctx, Ref("prompt", "no/where"))
    with pytest.raises(BadInput, match="not a prompt"):
        await usage(ctx, Ref("model", answer.name))
    with pytest.raises(BadInput, match="no zone"):
        await usage(ctx, answer, since=now.replace(tzinfo=None))


async def test_the_operation_over_http(http: httpx.AsyncClient, ctx: Context, answer: Ref, now: datetime) -> None:
    await ctx.get(Traces).record(ctx, [call(now, f"{answer}@v1", feature="a'b\" OR 1=1")])

    shown = await http.get(
        f"/api/v1/projects/default/prompts/{quote(str(answer), safe='')}/usage", params={"by": "feature"}
    )

    assert [(row["feature"], row["calls"]) for row in shown.json()["uses"]] == [("a'b\" OR 1=1", 1)]
