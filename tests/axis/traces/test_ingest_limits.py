"""Bad and excessive spans: each has a stated outcome, what is cut can be had back, and nothing else of its batch suffers."""

import json
import time
from typing import Any

import httpx
import msgspec
import pytest
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.traces import otlp, tree
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.ingest import ingest, take
from gimbal.axis.traces.intake import intake
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Principal
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import CorruptUpload, TooLarge, Unavailable
from gimbal.kernel.settings import LimitSettings, Settings

DAY_US = 86_400_000_000


def counted(counters: Counters) -> dict[str, float]:
    """Return the counts of ingest by `name` or `name/label`, without how long it took."""
    return {
        "/".join([s.name.removeprefix("gimbal_ingest_").removesuffix("_total"), *s.labels.values()]): s.value
        for s in counters.samples()
        if s.kind == "counter"
    }


async def stored(here: Context, *spans: wire.Span, **limits: int) -> tuple[list[Span], list[otlp.Rejected]]:
    """Take one request of spans of one trace in under some limits; return what is stored and what was rejected."""
    here.services.register(Settings, Settings(limits=LimitSettings(**limits)))
    body = wire.request(*spans).SerializeToString()
    rejected = await take(here, body, PROTOBUF)
    return (await here.get(Traces).get(here, spans[0].trace_id.hex())).spans, rejected


async def rest_of(blobs: Blobs, span: Span) -> Any:
    return msgspec.json.decode(await blobs.get(span.attributes["gimbal.ingest"]["rest"]["blob"]))


async def test_ten_thousand_distinct_attributes(traces: Traces, here: Context, blobs: Blobs) -> None:
    """By default the first thousand stay, the others are whole in one blob, and the neighbour is as it came."""
    trace = wire.trace_id()
    many = {f"key.{i}": f"value {i}" for i in range(10_000)}

    (one, two), rejected = await stored(here, wire.span(trace, 1, attributes=many), wire.chat(trace, 2, 1))

    assert rejected == []
    assert {k: v for k, v in one.attributes.items() if k != "gimbal.ingest"} == dict(list(many.items())[:1000])
    assert one.attributes["gimbal.ingest"]["cut"] == {"attributes": 9000}
    assert await rest_of(blobs, one) == {"attributes": dict(list(many.items())[1000:])}
    assert (one.truncated, two.truncated, two.usage is not None) == (True, False, True)
    assert "gimbal.ingest" not in two.attributes


async def test_long_names_of_attributes_leave_the_span(traces: Traces, here: Context, blobs: Blobs) -> None:
    """One of exactly the limit stays, and a long one takes no place of a short one."""
    trace = wire.trace_id()
    given = {"n" * 11: 1, "a": 2, "m" * 10: 3, "z": 4}

    (one,), _ = await stored(here, wire.span(trace, 1, attributes=given), attribute_name_length=10, span_attributes=2)

    assert {k: v for k, v in one.attributes.items() if k != "gimbal.ingest"} == {"a": 2, "m" * 10: 3}
    assert one.attributes["gimbal.ingest"]["cut"] == {"attributes": 2}
    assert await rest_of(blobs, one) == {"attributes": {"n" * 11: 1, "z": 4}}


@pytest.mark.parametrize(
    ("depth", "kept", "cut"),
    [
        (1, {"a": '[["1"],{"b":[2,"AA=="]}]'}, 1),
        (2, {"a": ['["1"]', '{"b":[2,"AA=="]}']}, 2),
        (3, {"a": [["1"], {"b": '[2,"AA=="]'}]}, 1),
        (4, {"a": [["1"], {"b": [2, "AA=="]}]}, 0),
    ],
)
async def test_what_is_nested_too_deep_stays_as_text(
    traces: Traces, here: Context, depth: int, kept: dict[str, Any], cut: int
) -> None:
    """Readable, counted, and nothing of it lost."""
    trace = wire.trace_id()
    deep = {"tree": {"a": [["1"], {"b": [2, b"\0"]}]}}

    (one,), _ = await stored(here, wire.span(trace, 1, attributes=deep), attribute_depth=depth)

    assert one.attributes["tree"] == kept
    assert one.attributes.get("gimbal.ingest", {}).get("cut", {}).get("depth", 0) == cut
    assert one.truncated is bool(cut)


async def test_events_and_links_past_their_number_are_put_aside(traces: Traces, here: Context, blobs: Blobs) -> None:
    """The first ones stay; attributes of an event are under the same limits as those of a span."""
    trace = wire.trace_id()
    given = wire.span(trace, 1)
    for i in range(5):
        given.events.add(name=f"e{i}", time_unix_nano=1000, attributes=wire.pairs({"a": 1, "b": 2, "c": 3}))
        given.links.add(trace_id=b"\1" * 16, span_id=bytes([i + 1]) * 8, attributes=wire.pairs({"i": i}))

    (one,), _ = await stored(here, given, span_events=2, span_links=3, span_attributes=2)

    assert [(e["name"], e["attributes"]) for e in one.events] == [("e0", {"a": 1, "b": 2}), ("e1", {"a": 1, "b": 2})]
    assert [(link["span_id"], link["attributes"]) for link in one.attributes["gimbal.links"]] == [
        (f"{i + 1:02x}" * 8, {"i": i}) for i in range(3)
    ]
    assert one.attributes["gimbal.ingest"]["cut"] == {"events": 3, "links": 2, "event_attributes": 2}
    rest = await rest_of(blobs, one)
    assert [e["name"] for e in rest["events"]] == ["e2", "e3", "e4"]
    assert [link["attributes"]["i"] for link in rest["links"]] == [3, 4]
    assert rest["event_attributes"] == {"0": {"c": 3}, "1": {"c": 3}}


async def test_long_names_are_cut_and_whole_in_the_rest(traces: Traces, here: Context, blobs: Blobs) -> None:
    """Of the span, its scope, its status and its events."""
    trace, long = wire.trace_id(), "n" * 1500
    given = wire.span(trace, 1, name=long, status={"code": 2, "message": "m" * 10_500})
    given.events.add(name=long, time_unix_nano=1000)
    await ingest(here, wire.request(given, scope=long))

    one = (await traces.get(here, trace)).spans[0]

    assert (len(one.name), len(one.status_message), len(one.events[0]["name"])) == (1000, 10_000, 1000)
    assert one.scope == "n" * 1000 + " 1.0"
    assert one.attributes["gimbal.ingest"]["cut"] == {"name": 1, "status_message": 1, "scope": 1, "event_name": 1}
    assert await rest_of(blobs, one) == {
        "name": long,
        "status_message": "m" * 10_500,
        "scope": [long, "1.0"],
        "event_names": {"0": long},
    }


async def test_a_span_that_is_too_heavy_gives_its_longest_values_away(
    traces: Traces, here: Context, blobs: Blobs
) -> None:
    """As few as it takes, wherever they are."""
    trace = wire.trace_id()
    given = wire.span(trace, 1, attributes={"a": "a" * 9000, "b": "b" * 5000, "c": ["c" * 3000], "d": 4})
    given.events.add(name="e", attributes=wire.pairs({"long": "é" * 4000}))

    (one,), _ = await stored(here, given, span_bytes=12_000)

    first, second = one.attributes["a"]["blob"], one.events[0]["attributes"]["long"]["blob"]
    payloads = {first: "text/plain", second: "text/plain"}
    assert one.attributes["gimbal.ingest"] == {"cut": {"values": 2}, "payloads": payloads}
    assert await blobs.get(first) == b"a" * 9000
    assert await blobs.get(second) == ("é" * 4000).encode()
    assert (one.attributes["b"], one.attributes["c"], one.attributes["d"]) == ("b" * 5000, ["c" * 3000], 4)


async def test_a_span_that_is_heavy_with_short_values_gives_its_last_ones_away(
    traces: Traces, here: Context, blobs: Blobs
) -> None:
    """All of it together is what was sent."""
    trace = wire.trace_id()
    given = {f"{i:03}": "x" * 97 for i in range(100)}

    (one,), _ = await stored(here, wire.span(trace, 1, attributes=given), span_bytes=5_000)

    kept = {k: v for k, v in one.attributes.items() if k != "gimbal.ingest"}
    rest = (await rest_of(blobs, one))["attributes"]
    assert (len(kept), list(kept)[-1]) == (50, "049")
    assert kept | rest == given
    assert one.attributes["gimbal.ingest"]["cut"] == {"attributes": 50}


async def test_a_heavy_resource_is_brought_down_once_for_all_its_spans(
    traces: Traces, here: Context, blobs: Blobs, counters: Counters
) -> None:
    """Every row repeats it, so all of it has the room of one value."""
    trace = wire.trace_id()
    resource = {f"r{i}": "x" * 100 for i in range(100)} | {"service.name": "shop"}
    here.services.register(Settings, Settings(limits=LimitSettings(span_attribute_bytes=4000, span_attributes=80)))
    await ingest(here, wire.request(wire.span(trace, 1), wire.span(trace, 2, 1), resource=resource))

    one, two = (await traces.get(here, trace)).spans

    assert one.resource == two.resource
    assert one.truncated
    assert two.truncated
    mark = one.resource["gimbal.ingest"]
    rest = msgspec.json.decode(await blobs.get(mark["rest"]["blob"]))["attributes"]
    kept = {k: v for k, v in one.resource.items() if k != "gimbal.ingest"}
    assert kept | rest == resource
    assert len(msgspec.json.encode(kept)) < 5000
    assert counted(counters)["cut/resource_attributes"] == len(rest) == mark["cut"]["attributes"]


@pytest.mark.parametrize(
    ("start_us", "off"),
    [
        (lambda now: now + 5 * 365 * DAY_US, True),
        (lambda now: now + 2 * DAY_US, True),
        (lambda now: now + DAY_US // 2, False),
        (lambda now: now - 5 * 365 * DAY_US, False),
        (lambda _now: 1, True),
    ],
    ids=["years ahead", "days ahead", "hours ahead", "years ago", "1970"],
)
async def test_a_clock_that_is_wrong_is_marked_and_the_time_kept(
    traces: Traces, here: Context, counters: Counters, start_us: Any, off: bool
) -> None:
    """What is years old may be sent late; what has not happened yet, or happened before 2000, cannot be right."""
    now = time.time_ns() // 1000
    given = start_us(now)
    bad = wire.span(wire.trace_id(), 1, start_time_unix_nano=given * 1000, end_time_unix_nano=(given + 5) * 1000)

    (one,), rejected = await stored(here, bad)

    assert rejected == []
    assert (one.start_us, one.duration_us) == (given, 5)
    mark = one.attributes.get("gimbal.ingest")
    assert bool(mark) is off
    if mark:
        assert abs(mark["clock_off_s"] - (given - now) // 1_000_000) <= 60
    assert counted(counters).get("spans_misdated", 0) == off
    assert not one.truncated
    assert [item.trace_id for item in (await traces.page(here, TraceFilter())).items] == [one.trace_id]


async def test_a_span_that_ends_before_it_starts_is_a_moment_and_keeps_its_end(
    traces: Traces, here: Context, counters: Counters
) -> None:
    """No sum of durations goes down; one that never ended is not the same."""
    trace = wire.trace_id()
    never = wire.span(trace, 2, 1, end_time_unix_nano=0)

    (one, two), rejected = await stored(here, wire.span(trace, 1, ms=-7), never)

    assert rejected == []
    assert (one.duration_us, one.attributes["gimbal.ingest"]) == (0, {"end_us": one.start_us - 7000})
    assert (two.duration_us, two.attributes) == (0, {})
    assert counted(counters)["spans_misdated"] == 1


async def test_cycles_and_missing_parents_are_stored_and_shown(traces: Traces, here: Context) -> None:
    """Each span has its place exactly once; a parent that never came makes its child a head."""
    trace = wire.trace_id()
    spans = [
        wire.span(trace, 1, 1, name="own parent"), wire.span(trace, 2, 3, name="a"), wire.span(trace, 3, 2, name="b"),
        wire.span(trace, 4, 99, name="orphan"), wire.span(trace, 5, 4, name="child"),
    ]  # fmt: skip

    found, rejected = await stored(here, *spans)

    assert rejected == []
    shown = tree.in_order(found)
    assert sorted(span.name for span, _ in shown) == ["a", "b", "child", "orphan", "own parent"]
    assert {span.name: depth for span, depth in shown}["child"] == 1
    assert (await traces.get(here, trace)).summary.spans == 5


UNREADABLE = {
    "not UTF-8": lambda span: span.replace(b"XXXX", b"X\xff\xfeX"),
    "cut off": lambda span: span[:-3],
    "nested too deep": lambda span: span + _attribute(b"deep", _nested(120)),
    "a wire type that is none": lambda span: span + b"\x0f",
}


def _delimited(number: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _nested(depth: int) -> bytes:
    """Return an AnyValue of lists within lists."""
    value = _delimited(1, b"x")
    for _ in range(depth):
        value = _delimited(5, _delimited(1, value))
    return value


def _attribute(key: bytes, value: bytes) -> bytes:
    return _delimited(9, _delimited(1, key) + _delimited(2, value))


@pytest.mark.parametrize("flaw", UNREADABLE)
async def test_a_span_that_cannot_be_decoded_is_rejected_alone(
    site: httpx.AsyncClient, traces: Traces, here: Context, counters: Counters, flaw: str
) -> None:
    """Its neighbours are stored with their resource and scope, whose decoder refused them all at first."""
    trace = wire.trace_id()
    good = [wire.span(trace, 1).SerializeToString(), wire.chat(trace, 3, 1).SerializeToString()]
    bad = UNREADABLE[flaw](wire.span(trace, 2, 1, name="XXXX").SerializeToString())
    empty = wire.request(scope="kept").resource_spans[0]
    part = empty.scope_spans[0].SerializeToString() + b"".join(_delimited(2, s) for s in (good[0], bad, good[1]))
    body = _delimited(1, _delimited(1, empty.resource.SerializeToString()) + _delimited(2, part))
    with pytest.raises(CorruptUpload):
        otlp.parse(body, PROTOBUF)

    reply = await site.post("/v1/traces", content=body, headers={"content-type": PROTOBUF})

    assert reply.status_code == 200
    partial = wire.answered(reply.content).partial_success
    assert partial.rejected_spans == 1
    assert "it cannot be decoded" in partial.error_message
    assert f"{2:016x}" in partial.error_message
    found = (await traces.get(here, trace)).spans
    assert [(s.span_id[-1], s.scope, s.resource) for s in found] == [
        (number, "kept 1.0", {"service.name": "shop"}) for number in ("1", "3")
    ]
    assert counted(counters)["spans_rejected/unreadable"] == 1


@pytest.mark.parametrize(
    "flaw",
    [{"name": 5}, {"startTimeUnixNano": "-1"}, {"attributes": 7}, {"attributes": [{"key": "k", "value": 5}]},
     {"events": [{"name": []}]}, {"links": 3}, {"status": {"message": 5}}],
)  # fmt: skip
async def test_a_span_of_json_that_cannot_be_read_is_rejected_alone(
    site: httpx.AsyncClient, traces: Traces, here: Context, flaw: dict[str, Any]
) -> None:
    """With its name where it has one."""
    trace = wire.trace_id()
    document = wire.as_json(wire.request(*(wire.span(trace, i, name=f"s{i}") for i in (1, 2, 3))))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][1] |= flaw

    reply = await site.post("/v1/traces", content=json.dumps(document).encode(), headers={"content-type": JSON})

    partial = reply.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert ("s2" in partial["errorMessage"]) is ("name" not in flaw)
    found = (await traces.get(here, trace)).spans
    assert [(s.name, s.resource) for s in found] == [(name, {"service.name": "shop"}) for name in ("s1", "s3")]


async def test_counters_account_for_every_span(
    site: httpx.AsyncClient, traces: Traces, here: Context, counters: Counters
) -> None:
    """Received is stored, rejected and refused together; /metrics and the console show it."""
    trace = wire.trace_id()
    body = wire.request(
        wire.chat(trace, 1), wire.span(trace, 2), wire.span(trace, 3, name="n" * 2000), wire.span(trace, 4, span_id=b"")
    ).SerializeToString()
    await take(here, body, PROTOBUF)
    here.services.register(Settings, Settings(limits=LimitSettings(spans_per_request=2)))
    with pytest.raises(TooLarge):
        await take(here, body, PROTOBUF)
    with pytest.raises(CorruptUpload):
        await take(here, b"\x0a\xff", PROTOBUF)

    class Broken:
        def check_room(self) -> None:
            pass

        async def record(self, _ctx: Context, _spans: object, *, redacted: bool) -> None:
            raise Unavailable("No room.")

    here.services.register(Settings, Settings())
    here.services.register(Traces, Broken())  # pyright: ignore[reportArgumentType]
    with pytest.raises(Unavailable):
        await take(here, body, PROTOBUF)
    here.services.register(Traces, traces)

    lag = counters.timing("gimbal_ingest_lag_seconds")
    assert lag.count == 1
    assert 0 < lag.sum == lag.longest < 60
    assert counted(counters) == {
        "spans_received": 12,
        "spans_stored/otel-genai": 1, "spans_stored/generic": 2,
        "spans_rejected/bad_span_id": 1,
        "spans_refused/too_large": 4, "spans_refused/unavailable": 4,
        "spans_truncated": 2, "cut/name": 2,
        "bytes": 3 * len(body) + 2,
        "requests/stored": 1, "requests/too_large": 1, "requests/corrupt_upload": 1, "requests/unavailable": 1,
    }  # fmt: skip
    shown = intake(here)
    assert shown is not None
    assert (shown.received, shown.stored, shown.rejected) == (12, {"generic": 2, "otel-genai": 1}, {"bad_span_id": 1})
    assert (shown.refused, shown.truncated) == ({"too_large": 4, "unavailable": 4}, 2)
    assert 0 < (shown.lag_s or 0) <= shown.longest_s == lag.longest
    assert (shown.sampled, shown.waiting, shown.waits_s) == ({}, 0, 0)
    text = (await site.get(f"/p/{here.project}/traces")).text
    assert 'id="ingest"' in text
    assert "1 bad span id" in text


async def test_the_counters_of_all_projects_are_not_shown_to_members_of_one(
    traces: Traces, here: Context, counters: Counters
) -> None:
    """Nor is there a card before anything came in."""
    assert intake(here) is None
    await ingest(here, wire.request(wire.span(wire.trace_id(), 1)))
    assert intake(here) is not None
    member = Principal(kind="member", id="m", name="m", roles={str(here.project): here.principal.everywhere})  # pyright: ignore[reportArgumentType]
    assert intake(Context(here.services, member, here.project)) is None
