"""OTLP over HTTP through the real application: both encodings, partial success, refusals, exactly once."""

import asyncio
import gzip
import json
import zlib

import httpx
import msgspec
import pytest
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.projects.model import CreateKey
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.errors import NotFound
from gimbal.kernel.settings import LimitSettings, Settings, WriterSettings


async def send(site: httpx.AsyncClient, body: bytes, media_type: str = PROTOBUF, **headers: str) -> httpx.Response:
    return await site.post("/v1/traces", content=body, headers={"content-type": media_type, **headers})


def everything(trace: str) -> list[wire.Span]:
    """Spans with every kind of value that the wire knows."""
    values = {
        "text": "größe 🚆", "count": 2**62, "ratio": 0.25, "yes": True, "raw": b"\x00\xff", "nothing": None,
        "list": ["a", 1, [True]], "tree": {"b": {"c": [1.5]}}, "nan": float("nan"), "far": float("-inf"),
    }  # fmt: skip
    root = wire.span(trace, 1, name="root", attributes=values, kind=2, status={"code": 2, "message": "broke"})
    root.events.add(name="exception", time_unix_nano=wire.START * 1000, attributes=wire.pairs({"type": "ValueError"}))
    root.links.add(trace_id=b"\2" * 16, span_id=b"\1" * 8)
    return [root, wire.chat(trace, 2, 1)]


@pytest.mark.parametrize("packed", [False, True])
async def test_both_encodings_give_the_same_normal_form(
    site: httpx.AsyncClient, traces: Traces, here: Context, packed: bool
) -> None:
    """Protobuf, JSON and either of them gzipped say the same."""
    seen: list[list[Span]] = []
    for media_type in (PROTOBUF, JSON):
        trace = wire.trace_id()
        given = wire.request(*everything(trace))
        body = given.SerializeToString() if media_type == PROTOBUF else json.dumps(wire.as_json(given)).encode()
        headers = {"content-encoding": "gzip"} if packed else {}
        reply = await send(site, gzip.compress(body) if packed else body, media_type, **headers)

        assert (reply.status_code, reply.headers["content-type"]) == (200, media_type)
        assert reply.content == (b"" if media_type == PROTOBUF else b"{}")
        seen.append([msgspec.structs.replace(s, trace_id="") for s in (await traces.get(here, trace)).spans])

    assert seen[0] == seen[1]
    root, call = seen[0]
    assert root.attributes == {
        "text": "größe 🚆", "count": 2**62, "ratio": 0.25, "yes": True, "raw": "AP8=", "nothing": None,
        "list": ["a", 1, [True]], "tree": {"b": {"c": [1.5]}}, "nan": "NaN", "far": "-Infinity",
        "gimbal.links": [{"trace_id": "02" * 16, "span_id": "01" * 8, "attributes": {}}],
    }  # fmt: skip
    assert (root.status, root.status_message, root.resource) == ("error", "broke", {"service.name": "shop"})
    assert root.events == [{"name": "exception", "at_us": wire.START, "attributes": {"type": "ValueError"}}]
    assert (call.parent_id, call.scope, call.dialect) == (root.span_id, "test 1.0", "otel-genai")
    assert (root.start_us, root.duration_us) == (wire.START + 1000, 10_000)


async def test_ids_of_json_may_be_hex_of_either_case_or_base64(
    site: httpx.AsyncClient, traces: Traces, here: Context
) -> None:
    """The protocol says hex; generic protobuf writers say base64, and no id can be read as both."""
    trace = "ab" * 15 + "01"
    documents = [
        wire.as_json(wire.request(wire.span(trace, 1))),
        wire.as_json(wire.request(wire.span(trace, 2, 1)), hex_ids=False),
        wire.as_json(wire.request(wire.span(trace, 3, 1))),
    ]
    upper = documents[2]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    upper["traceId"] = upper["traceId"].upper()
    for document in documents:
        assert (await send(site, json.dumps(document).encode(), JSON)).json() == {}

    spans = (await traces.get(here, trace)).spans
    assert [(s.span_id, s.parent_id) for s in spans] == [
        (f"{i:016x}", "" if i == 1 else f"{1:016x}") for i in (1, 2, 3)
    ]


async def test_numbers_as_numbers_unknown_fields_and_a_charset_are_taken(
    site: httpx.AsyncClient, traces: Traces, here: Context
) -> None:
    """Senders of a later version of the protocol are not refused."""
    trace = wire.trace_id()
    document = wire.as_json(wire.request(wire.span(trace, 1)))
    one = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    one |= {
        "startTimeUnixNano": wire.START * 1000,
        "endTimeUnixNano": str(wire.START * 1000 + 5000),
        "kind": "SPAN_KIND_SERVER",
        "mood": {"new": ["field"]},
        "attributes": [{"key": "n", "value": {"intValue": "9007199254740993"}}, {"key": "m", "value": {"later": 1}}],
    }
    document["resourceSpans"][0]["later"] = 1

    reply = await send(site, json.dumps(document).encode(), "application/json; charset=utf-8")

    assert reply.json() == {}
    span = (await traces.get(here, trace)).spans[0]
    assert (span.start_us, span.duration_us) == (wire.START, 5)
    assert span.attributes == {"n": 9007199254740993, "m": None}


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
async def test_each_bad_span_is_named_and_the_good_ones_are_stored(
    site: httpx.AsyncClient, traces: Traces, here: Context, media_type: str
) -> None:
    """Wrong, zero and missing ids, and a missing start: each by itself, with the reason."""
    trace = wire.trace_id()
    bad = {
        "no trace": {"trace_id": b""},
        "zero trace": {"trace_id": bytes(16)},
        "short trace": {"trace_id": b"\1" * 15},
        "zero span": {"span_id": bytes(8)},
        "long span": {"span_id": b"\1" * 9},
        "odd parent": {"parent_span_id": b"\1" * 3},
        "no start": {"start_time_unix_nano": 0},
    }
    spans = [wire.span(trace, 100 + i, name=name, **fields) for i, (name, fields) in enumerate(bad.items())]
    given = wire.request(wire.span(trace, 1, name="good"), *spans, wire.span(trace, 2, 1, name="good too"))
    body = given.SerializeToString() if media_type == PROTOBUF else json.dumps(wire.as_json(given)).encode()

    reply = await send(site, body, media_type)

    assert reply.status_code == 200
    if media_type == PROTOBUF:
        partial = wire.answered(reply.content).partial_success
        count, told = partial.rejected_spans, partial.error_message
    else:
        count, told = (
            int(reply.json()["partialSuccess"]["rejectedSpans"]),
            reply.json()["partialSuccess"]["errorMessage"],
        )
    assert count == len(bad)
    assert [name for name in bad if f"({name})" not in told] == []
    for reason in ("the trace id is not 16 bytes", "the span id is not 8 bytes", "parent's id is not 8", "no start"):
        assert reason in told
    assert [s.name for s in (await traces.get(here, trace)).spans] == ["good", "good too"]


async def test_json_ids_that_are_none_reject_their_span_only(
    site: httpx.AsyncClient, traces: Traces, here: Context
) -> None:
    """A parent that cannot be read does not turn its child into a root."""
    trace = wire.trace_id()
    document = wire.as_json(wire.request(*(wire.span(trace, i, name=f"s{i}") for i in range(1, 6))))
    spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans[1]["parentSpanId"] = "not an id"
    spans[2]["spanId"] = 17
    spans[3]["traceId"] = "zz" * 16

    partial = (await send(site, json.dumps(document).encode(), JSON)).json()["partialSuccess"]

    assert partial["rejectedSpans"] == "3"
    assert all(f"({name})" in partial["errorMessage"] for name in ("s2", "s3", "s4"))
    assert [s.name for s in (await traces.get(here, trace)).spans] == ["s1", "s5"]


async def test_of_thousands_of_bad_spans_the_rest_is_counted_by_reason(site: httpx.AsyncClient) -> None:
    """The answer stays of a size that exporters log."""
    trace = wire.trace_id()
    spans = [wire.span(trace, i + 1, name="n" * 500, span_id=b"") for i in range(3000)]

    reply = await send(site, wire.request(*spans).SerializeToString())

    partial = wire.answered(reply.content).partial_success
    assert partial.rejected_spans == 3000
    assert partial.error_message.endswith("2800 more: the span id is not 8 bytes, or zero")
    assert len(reply.content) < 50_000


async def test_what_comes_again_is_stored_once(
    site: httpx.AsyncClient, traces: Traces, here: Context, columns: Columns
) -> None:
    """A batch whose answer was lost is sent again; the table may keep both, a reader never sees them."""
    trace = wire.trace_id()
    body = wire.request(*everything(trace), *(wire.chat(trace, i, 1) for i in range(3, 20))).SerializeToString()
    for _ in range(3):
        assert (await send(site, body)).content == b""

    shown = await traces.get(here, trace)
    listed = await traces.page(here, TraceFilter())
    assert (len(shown.spans), shown.summary.spans) == (19, 19)
    assert [item.spans for item in listed.items] == [19]
    assert listed.items[0].input_tokens == shown.summary.input_tokens == 18_000
    assert listed.items[0].cost == shown.summary.cost
    await columns.command("OPTIMIZE TABLE spans FINAL")
    assert await traces.get(here, trace) == shown


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"", PROTOBUF, 200, None),
        (b"{}", JSON, 200, None),
        (b'{"resourceSpans":null}', JSON, 200, None),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[]}]}]}', JSON, 200, None),
        (b"", JSON, 400, "corrupt_upload"),
        (b"{", JSON, 400, "corrupt_upload"),
        (b"[]", JSON, 400, "corrupt_upload"),
        (b'{"resourceSpans":5}', JSON, 400, "corrupt_upload"),
        (b'{"resourceSpans":["x"]}', JSON, 400, "corrupt_upload"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":5}]}]}]}', JSON, 400, "corrupt_upload"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"-1"}]}]}]}', JSON, 400, "corrupt_upload"),
        (b'{"a":' * 5000, JSON, 400, "corrupt_upload"),
        (b'{"resourceSpans":' + b"[" * 100_000, JSON, 400, "corrupt_upload"),
        (b'{"resourceSpans":[{"schemaUrl":"\xff"}]}', JSON, 400, "corrupt_upload"),
        (b'{"resourceSpans":[{"schemaUrl":"\\ud800"}]}', JSON, 400, "corrupt_upload"),
        (b"not protobuf", PROTOBUF, 400, "corrupt_upload"),
        (b"\x0a\xff", PROTOBUF, 400, "corrupt_upload"),
        (b"x", "text/plain", 415, "wrong_media_type"),
        (b"{}", "application/x-ndjson", 415, "wrong_media_type"),
    ],
)
async def test_a_body_that_is_no_request_is_refused_as_a_whole(
    site: httpx.AsyncClient, body: bytes, media_type: str, status: int, code: str | None
) -> None:
    """With what is wrong; and an empty request is a request."""
    reply = await send(site, body, media_type)

    assert reply.status_code == status
    if code:
        error = wire.told(reply)
        assert error["code"] == code
        assert error["todo"]


async def test_packed_bodies_are_unpacked_or_refused(site: httpx.AsyncClient) -> None:
    """Deflate is known, too; what is not what it says, or too large unpacked, is not read."""
    body = wire.request(wire.span(wire.trace_id(), 1)).SerializeToString()
    whole = await send(site, zlib.compress(body), **{"content-encoding": "deflate"})
    broken = await send(site, body, **{"content-encoding": "gzip"})
    cut = await send(site, gzip.compress(body)[:-9], **{"content-encoding": "gzip"})
    unknown = await send(site, body, **{"content-encoding": "lzma"})
    bomb = await send(site, gzip.compress(bytes(65 << 20)), **{"content-encoding": "gzip"})

    assert [r.status_code for r in (whole, broken, cut, unknown, bomb)] == [200, 400, 400, 415, 413]


async def test_more_spans_than_a_request_may_have_are_refused(
    site: httpx.AsyncClient, traces: Traces, here: Context, services: Services
) -> None:
    """None of them is stored."""
    services.register(Settings, Settings(limits=LimitSettings(spans_per_request=3)))
    fits, over = wire.trace_id(), wire.trace_id()
    assert (await send(site, wire.request(*(wire.span(fits, i) for i in (1, 2, 3))).SerializeToString())).content == b""

    reply = await send(site, wire.request(*(wire.span(over, i) for i in (1, 2, 3, 4))).SerializeToString())

    assert (reply.status_code, wire.told(reply)["kept"]) == (413, "nothing of this request")
    assert len((await traces.get(here, fits)).spans) == 3
    with pytest.raises(NotFound):
        await traces.get(here, over)


async def test_a_full_writer_pushes_back_and_takes_the_same_later(
    site: httpx.AsyncClient, services: Services, columns: Columns, here: Context
) -> None:
    """429 with Retry-After while too much waits, 503 while stopping; the first sender's spans are not lost."""
    slow = Writer(columns, WriterSettings(max_queued_rows=2, max_wait_ms=1))
    behind = Traces(columns, slow, services.get(PriceBook))
    services.register(Traces, behind)
    kept, refused = wire.trace_id(), wire.trace_id()
    # The writer does not run yet: what is handed in waits.
    first = asyncio.create_task(send(site, wire.request(wire.span(kept, 1), wire.span(kept, 2, 1)).SerializeToString()))
    async with asyncio.timeout(10):
        while slow.state().queued_rows < 2:  # noqa: ASYNC110 - the queue offers no event to wait on
            await asyncio.sleep(0.001)
    body = wire.request(wire.span(refused, 1)).SerializeToString()
    pushed = await send(site, body)
    slow.start()

    assert (await first).status_code == 200
    assert pushed.status_code == 429
    assert float(pushed.headers["retry-after"]) >= 1
    assert wire.told(pushed)["code"] == "busy"
    assert wire.told(pushed)["kept"] == "nothing of this request"
    with pytest.raises(NotFound):
        await behind.get(here, refused)
    assert (await send(site, body)).status_code == 200
    assert len((await behind.get(here, refused)).spans) == 1
    await slow.close()
    assert (await send(site, body)).status_code == 503


async def test_a_store_that_fails_is_told_to_the_sender(site: httpx.AsyncClient, services: Services) -> None:
    """503 with what to do: spans that are not on disk are never acknowledged."""

    class Broken:
        async def insert(self, table: str, rows: object) -> None:
            raise OSError(28, "No space left on device")

    writer = Writer(Broken(), WriterSettings(max_wait_ms=1))
    writer.start()
    services.register(Traces, Traces(services.get(Columns), writer, services.get(PriceBook)))

    reply = await send(site, wire.request(wire.span(wire.trace_id(), 1)).SerializeToString())

    assert reply.status_code == 503
    assert "retry-after" in reply.headers
    assert "No space left" in wire.told(reply)["message"]
    await writer.close()


async def test_spans_go_to_the_project_of_the_key_and_a_viewer_may_not_send(
    site: httpx.AsyncClient, services: Services, here: Context, traces: Traces
) -> None:
    """What one project has, another does not see, by any question."""
    projects = services.get(Projects)
    keys = {
        role: await projects.create_key(here, CreateKey(name=role.value, role=role), here.project)
        for role in (Role.VIEWER, Role.DEVELOPER)
    }
    trace = wire.trace_id()
    body = wire.request(wire.chat(trace, 1)).SerializeToString()
    codes = {
        role: (await send(site, body, authorization=f"Bearer {key.secret}")).status_code for role, key in keys.items()
    }
    nobody = await send(site, body, authorization="Bearer gk_nothing")
    elsewhere = await send(
        site, body, authorization=f"Bearer {keys[Role.DEVELOPER].secret}", **{"x-gimbal-project": "default"}
    )
    nowhere = await send(site, body, **{"x-gimbal-project": "never-made"})

    assert codes == {Role.VIEWER: 403, Role.DEVELOPER: 200}
    assert (nobody.status_code, elsewhere.status_code, nowhere.status_code) == (401, 403, 404)
    assert len((await traces.get(here, trace)).spans) == 1
    other = here.within("default")
    with pytest.raises(NotFound):
        await traces.get(other, trace)
    assert trace not in {item.trace_id for item in (await traces.page(other, TraceFilter())).items}
    reading = await site.get(
        f"/api/v1/projects/{here.project}/traces/{trace}",
        headers={"authorization": f"Bearer {keys[Role.VIEWER].secret}"},
    )
    crossing = await site.get(f"/api/v1/projects/default/traces/{trace}")
    assert (reading.status_code, crossing.status_code) == (200, 404)


async def test_an_archived_project_takes_no_spans(site: httpx.AsyncClient, services: Services, here: Context) -> None:
    """It is read and not changed, by the dialects as by the operations."""
    trace = wire.trace_id()
    assert (await send(site, wire.request(wire.chat(trace, 1)).SerializeToString())).status_code == 200
    await services.get(Projects).archive(here, str(here.project), archived=True)

    refused = await send(site, wire.request(wire.chat(wire.trace_id(), 1)).SerializeToString())
    shown = await site.get(f"/api/v1/projects/{here.project}/traces")

    assert (refused.status_code, wire.told(refused)["code"]) == (409, "not_ready")
    assert [row["trace_id"] for row in shown.json()["items"]] == [trace]
