"""The list of traces: filters, order, paging while spans arrive, refusals of bad questions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_aggregate import HOUR, NOON, call, keep, step

from gimbal.axis.traces import store
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import TraceSummary
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import from_us, iso
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.pages import encode_cursor


async def take(here: Context, *spans: wire.Span) -> None:
    assert await ingest(here, wire.request(*spans)) == []


async def names(traces: Traces, here: Context, **narrowed: Any) -> list[str]:
    return [item.name for item in (await traces.page(here, TraceFilter(**narrowed))).items]


async def walk(traces: Traces, here: Context, limit: int, **narrowed: Any) -> list[TraceSummary]:
    """Return what all pages have, in their order."""
    found: list[TraceSummary] = []
    cursor: str | None = None
    while True:
        page = await traces.page(here, TraceFilter(**narrowed), cursor=cursor, limit=limit)
        assert 0 < len(page.items) <= limit or cursor is None
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


@pytest.fixture
async def shop(traces: Traces, here: Context) -> Traces:
    """Three traces, a minute apart: an answer with a call in it, a tool that failed inside, a bare prediction."""

    def who(user: str, session: str, feature: str) -> Mapping[str, str]:
        return {"user.id": user, "session.id": session, "gimbal.feature": feature}

    answer, tool, bare = wire.trace_id(), wire.trace_id(), wire.trace_id()
    await take(
        here,
        wire.span(answer, 1, name="Answer größe", attributes={"gen_ai.operation.name": "invoke_agent"}, status={"code": 1}),
        wire.chat(answer, 2, 1, attributes=who("ann", "s1", "help")),
        wire.span(tool, 3, name="look up", at_ms=60_000, attributes={"gen_ai.operation.name": "execute_tool", **who("bob", "s2", "search")}),
        wire.span(tool, 4, 3, name="fetch", at_ms=60_001, status={"code": 2}),
        wire.span(bare, 5, name="predict 100%_'x", at_ms=120_000, attributes={"gimbal.kind": "prediction"}),
    )  # fmt: skip
    return traces


@pytest.mark.parametrize(
    ("narrowed", "found"),
    [
        ({}, ["predict 100%_'x", "look up", "Answer größe"]),
        ({"status": "error"}, ["look up"]),
        ({"status": "ok"}, ["Answer größe"]),
        ({"status": "unset"}, ["predict 100%_'x"]),
        ({"status": "nonsense"}, []),
        ({"kind": "agent"}, ["Answer größe"]),
        ({"kind": "tool"}, ["look up"]),
        ({"kind": "llm"}, []),
        ({"model": "gpt-4o"}, ["Answer größe"]),
        ({"model": "gpt-4"}, []),
        ({"feature": "help"}, ["Answer größe"]),
        ({"user_id": "bob"}, ["look up"]),
        ({"session_id": "s1"}, ["Answer größe"]),
        ({"user_id": "ann", "session_id": "s2"}, []),
        ({"user_id": "ann", "model": "gpt-4o", "status": "ok", "kind": "agent"}, ["Answer größe"]),
        ({"text": "GRÖSSE"}, []),
        ({"text": "GRÖßE"}, ["Answer größe"]),
        ({"text": "100%_'X"}, ["predict 100%_'x"]),
        ({"text": "%"}, ["predict 100%_'x"]),
        ({"text": "' OR 1=1 --"}, []),
        ({"text": "fetch"}, []),
        ({"since_us": wire.START + 60_000_000}, ["predict 100%_'x", "look up"]),
        ({"since_us": wire.START + 60_003_001}, ["predict 100%_'x"]),
        ({"until_us": wire.START + 60_000_000}, ["Answer größe"]),
        ({"since_us": wire.START + 60_000_000, "until_us": wire.START + 60_000_001, "status": "error"}, ["look up"]),
        ({"since_us": wire.START + 70_000_000, "user_id": "bob"}, []),
    ],
)
async def test_filters_mean_the_trace_as_it_is_shown(
    shop: Traces, here: Context, narrowed: dict[str, Any], found: list[str]
) -> None:
    """Status, model, user, session and feature of any span; kind and name of the root; time of its start."""
    if narrowed == {"since_us": wire.START + 60_000_000}:
        assert (await shop.page(here, TraceFilter(**narrowed))).items[-1].start == from_us(wire.START + 60_000_000)
    assert await names(shop, here, **narrowed) == found


async def test_what_a_list_shows_of_a_trace_is_what_its_filters_find(shop: Traces, here: Context) -> None:
    """Whatever stands in a column can be asked for."""
    for item in (await shop.page(here, TraceFilter())).items:
        shown = {
            "status": item.status, "kind": item.kind, "model": item.model, "feature": item.feature,
            "user_id": item.user_id, "session_id": item.session_id, "text": item.name,
        }  # fmt: skip
        assert await names(shop, here, **shown) == [item.name]


async def test_the_operation_reads_every_filter(shop: Traces, here: Context) -> None:
    """As they come from an address."""
    asked = {
        "project": here.project, "since": from_us(wire.START), "until": from_us(wire.START + 30_000_000), "status": "ok",
        "kind": "agent", "model": "gpt-4o", "feature": "help", "user": "ann", "session": "s1", "text": "answer",
    }  # fmt: skip
    page = await invoke(find("traces.list"), here, asked)
    assert [item.name for item in page.items] == ["Answer größe"]
    for name, other in {"until": from_us(wire.START), "feature": "x", "user": "x", "session": "x"}.items():
        assert (await invoke(find("traces.list"), here, asked | {name: other})).items == []
    assert iso(page.items[0].start).endswith("Z")


async def test_pages_have_every_trace_once_while_new_ones_arrive(traces: Traces, here: Context) -> None:
    """Newer ones belong to the first page: nobody who leafs on sees one twice or misses one."""
    for block in range(4):
        spans = [wire.span(wire.trace_id(), 1, name=f"t{block * 10 + i}", at_ms=block * 10 + i) for i in range(10)]
        await take(here, *spans)
    seen: list[str] = []
    cursor: str | None = None
    for number in range(100):
        page = await traces.page(here, TraceFilter(), cursor=cursor, limit=7)
        seen += [item.name for item in page.items]
        await take(here, wire.span(wire.trace_id(), 1, name=f"new{number}", at_ms=1000 + number))
        cursor = page.next
        if cursor is None:
            break

    assert seen == [f"t{i}" for i in reversed(range(40))]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 50])
async def test_traces_of_the_same_moment_are_neither_lost_nor_doubled(
    traces: Traces, here: Context, limit: int
) -> None:
    """Their ids order them."""
    ids = [wire.trace_id() for _ in range(7)]
    await take(here, *(wire.span(trace, 1) for trace in ids))
    assert [item.trace_id for item in await walk(traces, here, limit)] == sorted(ids, reverse=True)


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_traces_that_came_span_by_span_are_listed_once(traces: Traces, here: Context, limit: int) -> None:
    """Each span once headed what was there of its trace; sent again with other starts, it still is one trace."""
    ids = [wire.trace_id() for _ in range(6)]
    for number in (4, 3, 2, 1):
        parent = number - 1 or None
        await take(
            here, *(wire.span(t, number, parent, name=f"s{number}", at_ms=i * 2 + number) for i, t in enumerate(ids))
        )
        await take(
            here, *(wire.span(t, number, parent, name=f"S{number}", at_ms=i * 3 + number) for i, t in enumerate(ids))
        )

    found = await walk(traces, here, limit)
    assert [item.trace_id for item in found] == ids[::-1]
    assert {(item.name, item.spans) for item in found} == {("S1", 4)}
    assert await walk(traces, here, limit, text="s3") == []


async def test_a_filter_that_few_fit_pages_on_until_it_finds_them(traces: Traces, here: Context) -> None:
    """Older versions that fit no longer do not end a page early."""
    ids = [wire.trace_id() for _ in range(30)]
    await take(here, *(wire.span(t, 1, name="draft", at_ms=i) for i, t in enumerate(ids)))
    await take(here, *(wire.span(t, 1, name="done", at_ms=i) for i, t in enumerate(ids[1:], 1)))
    assert [item.trace_id for item in await walk(traces, here, 1, text="draft")] == [ids[0]]
    assert len(await walk(traces, here, 4, text="done")) == 29


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "e30", "%%%", encode_cursor({}), encode_cursor({"at": "1", "id": "a"}), encode_cursor({"at": 1}),
        encode_cursor({"at": 1.5, "id": "a"}), encode_cursor({"at": 2**63, "id": "a"}), encode_cursor({"at": True, "id": "a"}),
        encode_cursor({"at": 1, "id": 7}), encode_cursor({"at": 1, "id": "a\0"}), encode_cursor({"at": None, "id": None}),
    ],
)  # fmt: skip
async def test_a_cursor_that_no_list_made_is_bad_input(shop: Traces, here: Context, cursor: str) -> None:
    """Not the first page, and no error of the store."""
    with pytest.raises(BadInput, match="cursor was not made by this list"):
        await shop.page(here, TraceFilter(), cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_from_one_to_a_thousand(shop: Traces, here: Context, limit: int) -> None:
    """Anything else is bad input."""
    with pytest.raises(BadInput, match="cannot have"):
        await shop.page(here, TraceFilter(), limit=limit)


async def test_the_last_page_has_no_next(shop: Traces, here: Context) -> None:
    """Also when it is exactly full."""
    assert (await shop.page(here, TraceFilter(), limit=3)).next is None
    assert (await shop.page(here, TraceFilter(), limit=2)).next is not None


@pytest.mark.parametrize("latest", [2, 5, 4096])
async def test_what_many_fit_is_found_among_the_latest_and_then_among_all(
    traces: Traces, here: Context, monkeypatch: pytest.MonkeyPatch, latest: int
) -> None:
    """However many are looked through first, every trace is on one page, the newest first; late versions count."""
    monkeypatch.setattr(store, "_LATEST", latest)
    random = np.random.default_rng(latest)
    truth: dict[int, dict[str, str]] = {}
    for _ in range(2):
        for number in sorted({int(random.integers(1, 40)) for _ in range(30)}):
            said = {"feature": f"f{random.integers(0, 3)}", "model": f"m{random.integers(0, 2)}",
                    "status": ("ok", "error")[int(random.random() < 0.3)]}  # fmt: skip
            head = step(number * 10, trace=number, at_us=NOON + number * HOUR, feature=said["feature"])
            child = call(number * 10 + 1, trace=number, at_us=NOON + number * HOUR + 5, parent_id=head.span_id,
                         model=said["model"], status=said["status"])  # fmt: skip
            await keep(here, head, child)
            truth[number] = said
    for asked in ({"feature": "f1"}, {"model": "m0", "status": "error"}, {"feature": "f2", "model": "m1"}):
        expected = [f"{n:032x}" for n, said in sorted(truth.items(), reverse=True) if asked.items() <= said.items()]
        for more in ({}, {"since": from_us(NOON + 20 * HOUR)}, {"until": from_us(NOON + 20 * HOUR)}):
            least, most = (20, 99) if "since" in more else (0, 19) if "until" in more else (0, 99)
            found: list[str] = []
            cursor = None
            while True:
                page = await invoke(
                    find("traces.list"), here, {"project": here.project, "limit": 3, "cursor": cursor, **asked, **more}
                )
                found += [item.trace_id for item in page.items]
                if (cursor := page.next) is None:
                    break
            assert found == [one for one in expected if least <= int(one, 16) <= most]
