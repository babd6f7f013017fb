"""Filters and sorts of the list of traces beyond those of its columns, alone and together, and their pages."""

from decimal import Decimal
from typing import Any

import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_aggregate import HOUR, NOON, call, keep, step

from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.pages import Page, encode_cursor


async def listed(here: Context, **asked: Any) -> Page[Any]:
    return await invoke(find("traces.list"), here, {"project": here.project, **asked})


async def names(here: Context, **asked: Any) -> list[str]:
    return [item.name for item in (await listed(here, **asked)).items]


@pytest.fixture
async def shop(traces: Traces, here: Context) -> Traces:
    """Three traces an hour apart: a wrapper over two calls, a slow one without a price, a bare step."""
    await keep(
        here,
        step(1, name="answer", ms=1000),
        call(2, parent_id=f"{1:016x}", refs=["prompt:help/answer@v1"], input='"Where is my größter \\"order\\"?"', output='"In Ulm."'),
        call(3, parent_id=f"{1:016x}", cost=Decimal("0.04"), attributes={"tenant": "acme", "tags": ["beta", "x:y"], "n": 3}),
        call(4, trace=2, name="slow", ms=9000, at_us=NOON + HOUR, provider="p2", cost=None, unpriced="no_price",
             usage=None, input='"nothing"'),
        step(5, trace=3, name="bare", ms=1, at_us=NOON + 2 * HOUR),
    )  # fmt: skip
    return traces


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"provider": "p1"}, ["answer"]),
    ({"provider": "p2"}, ["slow"]),
    ({"ref": "prompt:help/answer@v1"}, ["answer"]),
    ({"ref": "prompt:help/answer"}, ["answer"]),
    ({"ref": "prompt:help/ans"}, []),
    ({"attribute": ["tenant:acme"]}, ["answer"]),
    ({"attribute": ["tenant:acm"]}, []),
    ({"attribute": ["n:3", "tags:beta"]}, ["answer"]),
    ({"attribute": ["tags:x:y"]}, ["answer"]),
    ({"attribute": ["tenant:' OR 1=1 --"]}, []),
    ({"search": "ORDER"}, ["answer"]),
    ({"search": "GRÖSSTER"}, []),
    ({"search": "GRÖßTER ulm"}, ["answer"]),
    # Each word in any span of the trace.
    ({"search": "order ulm"}, ["answer"]),
    # What stands in attributes has a filter of its own.
    ({"search": "acme"}, []),
    ({"search": '"order"'}, ["answer"]),
    ({"search": "größter-ulm"}, []),
    ({"search": "ulm."}, ["answer"]),
    ({"search": "u_m"}, []),
    ({"search": "u%m"}, []),
    # That of its JSON text does not stand in the text.
    ({"search": "\\"}, []),
    ({"search": "ulm nothing"}, []),
    ({"search": "nothing"}, ["slow"]),
    ({"min_ms": 1000}, ["slow", "answer"]),
    ({"max_ms": 1000}, ["bare", "answer"]),
    ({"min_ms": 2, "max_ms": 1000}, ["answer"]),
    ({"min_usd": Decimal("0.05")}, ["answer"]),
    ({"min_usd": Decimal("0.0500001")}, []),
    ({"max_usd": Decimal(1)}, ["answer"]),
    ({"min_tokens": 24}, ["answer"]),
    ({"min_tokens": 25}, []),
    ({"max_tokens": 24}, ["answer"]),
    ({"max_tokens": 24, "status": "ok", "kind": "chain", "text": "ANSW", "model": "m1", "search": "ulm"}, ["answer"]),
    ({"max_tokens": 24, "status": "error"}, []),
]


@pytest.mark.parametrize(("asked", "found"), FILTERS)
async def test_every_filter(shop: Traces, here: Context, asked: dict[str, Any], found: list[str]) -> None:
    """What is unknown is neither much nor little."""
    assert await names(here, **asked) == found


@pytest.mark.parametrize("sort", ["start", "duration", "cost", "tokens"])
@pytest.mark.parametrize(("asked", "found"), FILTERS)
async def test_every_filter_with_every_sort(
    shop: Traces, here: Context, asked: dict[str, Any], found: list[str], sort: str
) -> None:
    """The other way to read finds the same."""
    assert sorted(await names(here, sort=sort, until=from_us(NOON + 9 * HOUR), **asked)) == sorted(found)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("start", ["bare", "slow", "answer"]),
        ("duration", ["slow", "answer", "bare"]),
        ("cost", ["answer", "bare", "slow"]),
        ("tokens", ["answer", "bare", "slow"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_sorts(shop: Traces, here: Context, sort: str, found: list[str], limit: int) -> None:
    """The most first, what is unknown last, page by page."""
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        page = await listed(here, sort=sort, limit=limit, cursor=cursor)
        seen += [item.name for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == found or (sort in {"cost", "tokens"} and [seen[0], *sorted(seen[1:])] == found)


async def test_a_newer_version_is_what_is_found(shop: Traces, here: Context) -> None:
    """What a span said once it no longer says."""
    await keep(here, call(2, parent_id=f"{1:016x}", output='"In Bonn."', provider="p3"))
    assert await names(here, search="ulm") == []
    assert await names(here, search="bonn") == ["answer"]
    assert await names(here, provider="p3", sort="cost") == ["answer"]
    assert await names(here, ref="prompt:help/answer") == []


@pytest.mark.parametrize("sort", ["duration", "cost", "tokens"])
async def test_pages_by_size_have_every_trace_once_while_new_ones_arrive(
    traces: Traces, here: Context, sort: str
) -> None:
    """New ones are of no page; many have the same size."""
    sizes = [i % 4 for i in range(30)]
    await keep(
        here,
        *(call(i, trace=i, name=f"t{i}", ms=1 + size, cost=Decimal(size), usage=None, at_us=NOON - HOUR + i)
          for i, size in enumerate(sizes, 1)),
    )  # fmt: skip
    seen: list[str] = []
    cursor: str | None = None
    for number in range(100, 200):
        page = await listed(here, sort=sort, cursor=cursor, limit=7)
        seen += [item.name for item in page.items]
        await keep(here, call(number, trace=number, name="new", ms=2, cost=Decimal(2), at_us=NOON + 10_000 * HOUR))
        cursor = page.next
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"t{i}" for i in range(1, 31))
    if sort != "tokens":
        ranks = [sizes[int(name[1:]) - 1] for name in seen]
        assert ranks == sorted(ranks, reverse=True)


async def test_a_wrapper_in_a_request_of_its_own_counts_nothing(traces: Traces, here: Context) -> None:
    """Sorted and narrowed by what the list shows."""
    await keep(here, call(1, name="outer", cost=Decimal(5)))
    await keep(here, call(2, name="inner", parent_id=f"{1:016x}", cost=Decimal(1)))
    assert await names(here, min_usd=Decimal(2)) == []
    (item,) = (await listed(here, min_usd=Decimal(1), sort="cost")).items
    assert (item.name, item.cost) == ("outer", Decimal(1))


async def test_another_project_is_never_found(
    shop: Traces, here: Context, services: Services, owner: Principal
) -> None:
    """By no filter, sort or cursor."""
    there = Context(services, owner, f"{here.project}x")
    cursor = (await listed(here, sort="cost", limit=1)).next
    for asked, _ in FILTERS:
        assert await names(there, **asked) == []
    assert cursor
    assert await names(there, sort="cost", cursor=cursor) == []


@pytest.mark.parametrize(
    "cursor",
    [
        "x", encode_cursor({}), encode_cursor({"value": "1", "id": "a"}), encode_cursor({"value": 1, "id": "a", "until": NOON}),
        encode_cursor({"value": "NaN", "id": "a", "until": NOON}), encode_cursor({"value": "1'", "id": "a", "until": NOON}),
        encode_cursor({"value": "1E30", "id": "a", "until": NOON}), encode_cursor({"at": 1, "id": "a"}),
    ],
)  # fmt: skip
async def test_a_cursor_of_another_list_is_bad_input(shop: Traces, here: Context, cursor: str) -> None:
    """Nor is it an error of the store."""
    with pytest.raises(BadInput, match="cursor was not made by this list"):
        await listed(here, sort="cost", cursor=cursor)


async def test_a_sort_that_there_is_not_is_bad_input(shop: Traces, here: Context) -> None:
    """The answer names those that there are."""
    with pytest.raises(BadInput, match="duration, cost, tokens"):
        await listed(here, sort="name")


async def test_what_came_by_wire_is_found(traces: Traces, here: Context) -> None:
    """From the exporter to the list."""
    trace = wire.trace_id()
    assert await ingest(here, wire.request(wire.chat(trace, 1, attributes={"tenant": "acme"}))) == []
    assert await names(here, attribute=["tenant:acme"], provider="openai", min_usd=Decimal("0.0035"), sort="start") == [
        "chat gpt-4o"
    ]


async def test_a_trace_that_begins_after_the_list_was_asked_for_is_not_on_it(shop: Traces, here: Context) -> None:
    """Though a span of it began before; a trace that is begun has its place, whatever of it is still to come."""
    later = to_us(here.now()) + HOUR
    await keep(
        here,
        step(7, trace=7, name="to come", at_us=later, ms=1),
        call(8, trace=7, parent_id=f"{7:016x}", at_us=later - 2 * HOUR, cost=Decimal(9)),
        step(9, trace=8, name="begun", at_us=later - 2 * HOUR, ms=1),
        call(10, trace=8, parent_id=f"{9:016x}", at_us=later, cost=Decimal(8)),
    )

    assert await names(here, sort="cost") == ["begun", "answer", "bare", "slow"]
    assert await names(here, sort="cost", until=from_us(later + 1)) == ["begun", "answer", "bare", "slow"]
