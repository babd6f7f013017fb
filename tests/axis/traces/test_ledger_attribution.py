"""To whom a call is attributed: endpoint, key and tags, from whatever says them, as dimensions and filters."""

import json
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.traces import wire

from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Group
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import find, invoke

CALL = Decimal("0.0035")


async def by(here: Context, *group: str, **asked: Any) -> dict[Any, Group]:
    """Return the groups of all spans, by what they have in their dimensions."""
    found = await invoke(
        find("traces.aggregate"), here, {"project": here.project, "group": list(group), "order": "cost", **asked}
    )
    assert not found.more
    return {one.group[0] if len(group) == 1 else tuple(one.group): one for one in found.groups}


async def listed(here: Context, **asked: Any) -> list[str]:
    """Return the names of the traces that a list has, by name."""
    page = await invoke(find("traces.list"), here, {"project": here.project, **asked})
    return sorted(row.name for row in page.items)


@pytest.fixture
async def shop(traces: Traces, here: Context) -> Traces:
    """Three traces: attributed by the call, by its root, and by nobody."""
    one, two, three = (wire.trace_id() for _ in range(3))
    own = {"gimbal.endpoint": "help", "gimbal.key_id": "k1", "gimbal.tags": ["team:search", "beta"]}
    root = {"gimbal.endpoint": "chat", "gimbal.key_id": "k2", "tag.tags": ["team:ads", "team:late", "x"]}
    await ingest(here, wire.request(wire.chat(one, 1, name="one", attributes=own)))
    await ingest(here, wire.request(wire.span(two, 1, name="two", attributes=root), wire.chat(two, 2, 1)))
    await ingest(here, wire.request(wire.chat(three, 1, name="three")))
    return traces


async def test_calls_are_summed_up_by_endpoint_key_and_tag(shop: Traces, here: Context) -> None:
    """What the root says holds for its calls; a call with several tags counts in each; who says nothing is null."""
    assert {name: one.cost for name, one in (await by(here, "endpoint")).items()} == {
        "help": CALL,
        "chat": CALL,
        None: CALL,
    }
    assert {name: one.cost for name, one in (await by(here, "key")).items()} == {"k1": CALL, "k2": CALL, None: CALL}
    tagged = await by(here, "tag", kind="llm")
    assert {name: one.calls for name, one in tagged.items()} == {
        "team:search": 1, "beta": 1, "team:ads": 1, "team:late": 1, "x": 1, None: 1,
    }  # fmt: skip
    # Of several values of a key the first by the alphabet counts, so that the groups come to the whole.
    assert {name: one.cost for name, one in (await by(here, "tag:team")).items()} == {
        "search": CALL,
        "ads": CALL,
        None: CALL,
    }
    both = await by(here, "tag:team", "model")
    assert both["ads", "gpt-4o"].cost == CALL


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"endpoint": "help"}, ["one"]),
        ({"key": "k2"}, ["two"]),
        ({"key": "k"}, []),
        ({"tag": ["team:search"]}, ["one"]),
        ({"tag": ["team"]}, ["one", "two"]),
        ({"tag": ["team:late", "x"]}, ["two"]),
        ({"tag": ["tea"]}, []),
        ({"tag": ["team:search", "x"]}, []),
        ({"tag": ["beta"], "key": "k1", "endpoint": "help"}, ["one"]),
        ({"tag": ["' OR 1=1 --"]}, []),
    ],
)
async def test_filters_narrow_lists_and_sums(
    shop: Traces, here: Context, asked: dict[str, Any], found: list[str]
) -> None:
    """The same in both."""
    assert await listed(here, **asked) == found
    assert await listed(here, min_usd=Decimal(0), **asked) == found
    sums = await by(here, "kind", **asked)
    assert sum(one.calls for one in sums.values()) == len(found)


@pytest.mark.parametrize("group", ["tag:", "tags", "tag:a\0b"])
async def test_what_is_no_dimension_is_refused(traces: Traces, here: Context, group: str) -> None:
    """With what there is to choose from."""
    with pytest.raises(BadInput):
        await by(here, group)


async def test_another_projects_attribution_is_not_seen(
    shop: Traces, here: Context, services: Services, owner: Principal
) -> None:
    """Whatever is asked for."""
    other = Context(services, owner, f"{here.project}x")
    assert await by(other, "tag") == {}
    assert await listed(other, tag=["team"]) == []


@pytest.mark.parametrize(
    ("attributes", "tags"),
    [
        ({"gimbal.tags": ["a", "b", "a"]}, ["a", "b"]),
        ({"gimbal.tags": "a, b,,c "}, ["a", "b", "c"]),
        ({"langfuse.trace.tags": json.dumps(["a", "b"])}, ["a", "b"]),
        ({"langfuse.trace.tags": ["a"], "gimbal.tags": "team:x"}, ["team:x", "a"]),
        ({"metadata.request_tags": json.dumps(["prod"])}, ["prod"]),
        ({"gimbal.tags": 7}, []),
        ({"gimbal.tags": {"a": 1}}, []),
        ({"gimbal.tags": [1, None, "", "  ", "ok"]}, ["ok"]),
        ({"gimbal.tags": [f"t{i}" for i in range(80)]}, [f"t{i}" for i in range(50)]),
        ({"gimbal.tags": ["x" * 1000]}, ["x" * 256]),
        ({}, []),
    ],
)
async def test_tags_are_read_from_whatever_says_them(
    traces: Traces, here: Context, attributes: dict[str, Any], tags: list[str]
) -> None:
    """Each once, within bounds; what is no text is none."""
    trace = wire.trace_id()
    await ingest(here, wire.request(wire.chat(trace, 1, attributes=attributes)))
    assert (await traces.get(here, trace)).spans[0].tags == tags


async def test_the_key_that_sends_spans_is_not_the_key_of_the_call(
    traces: Traces, here: Context, services: Services
) -> None:
    """It is a collector's, of all applications."""
    key = Principal(kind="key", id="key-of-the-collector", name="c")
    trace = wire.trace_id()
    await ingest(Context(services, key, here.project), wire.request(wire.chat(trace, 1)))
    assert (await traces.get(here, trace)).spans[0].key_id == ""
