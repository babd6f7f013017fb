"""The decoders of log records under any bytes: every record of a request is kept or named, and its neighbours are kept."""

import contextlib
from typing import Any

import msgspec
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.traces import logs, otlp, salvage
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.ingest_logs import take
from gimbal.axis.traces.logs import RawEvent
from gimbal.axis.traces.service import Traces
from gimbal.axis.traces.signals import LOGS
from gimbal.axis.traces.status import field
from gimbal.kernel.context import Context
from gimbal.kernel.errors import CorruptUpload
from gimbal.kernel.ids import new_id

_QUICK = settings(max_examples=150)
_TRACE = "5" * 32
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def good(number: int) -> Any:
    return wire.event(_TRACE, 1, "gen_ai.user.message", {"content": f"good {number}"}, at_ms=number)


def seen(body: bytes, media_type: str) -> tuple[list[str], int]:
    """Return what the events that are read say, and how many records are not stored."""
    request, lost = otlp.records(body, media_type, LOGS)
    found = list(logs.events(request))
    texts = [str(one.attributes.get("content")) for one in found if isinstance(one, RawEvent)]
    return texts, len(lost) + len(found) - len(texts)


def around(middle: bytes) -> bytes:
    """Return a request of two good events with whatever bytes as the record between them."""
    empty = wire.logs().resource_logs[0]
    ends = [good(number).SerializeToString() for number in (1, 3)]
    part = empty.scope_logs[0].SerializeToString() + field(2, ends[0]) + field(2, middle) + field(2, ends[1])
    return field(1, field(1, empty.resource.SerializeToString()) + field(2, part))


@_QUICK
@given(noise=st.binary(max_size=60))
def test_noise_in_the_place_of_a_record(noise: bytes) -> None:
    assert seen(around(noise), PROTOBUF) == (["good 1", "good 3"], 1)


@_QUICK
@given(at=st.integers(0, 300), noise=st.binary(min_size=1, max_size=8), cut=st.integers(0, 40))
def test_a_record_that_was_damaged(at: int, noise: bytes, cut: int) -> None:
    """Overwritten and cut off: it is read, or rejected; its neighbours are read in any case."""
    whole = wire.evaluation(_TRACE, 1, name="relevance", value=0.5, label="good enough").SerializeToString()
    at %= len(whole)
    damaged = (whole[:at] + noise + whole[at + len(noise) :])[: len(whole) - cut]

    texts, rejected = seen(around(damaged), PROTOBUF)

    assert {"good 1", "good 3"} <= set(texts)
    assert len(texts) + rejected == 3


@_QUICK
@given(
    value=_anything,
    key=st.sampled_from(["traceId", "spanId", "eventName", "body", "attributes", "timeUnixNano", "flags", "x"]),
)
def test_a_record_of_json_with_any_value_anywhere(value: Any, key: str) -> None:
    document = wire.logs_as_json(wire.logs(*(good(number) for number in (1, 2, 3))))
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1][key] = value

    texts, rejected = seen(msgspec.json.encode(document), JSON)

    assert [text for text in texts if text in {"good 1", "good 3"}] == ["good 1", "good 3"]
    assert len(texts) + rejected == 3


@settings(_QUICK, max_examples=400)
@given(body=st.binary(max_size=80))
def test_any_bytes_are_a_request_or_are_refused(body: bytes) -> None:
    for wrapped in (body, around(body)[: len(body) + 60]):
        with contextlib.suppress(salvage.Unreadable):
            salvage.protobuf(wrapped, LOGS)
        for media_type in (PROTOBUF, JSON):
            with contextlib.suppress(CorruptUpload):
                list(logs.events(otlp.records(wrapped, media_type, LOGS)[0]))


@settings(_QUICK, max_examples=40)
@given(
    name=st.sampled_from(["gen_ai.evaluation.result", "gen_ai.choice", "gen_ai.user.message"]),
    body=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
    said=st.dictionaries(
        st.sampled_from(
            ["gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "content", "message", "error.type"]
        ),
        st.none() | st.booleans() | st.floats() | st.text(max_size=300) | st.binary(max_size=8),
    ),
)
async def test_whatever_an_event_says_is_stored_and_shown(
    traces: Traces, here: Context, name: str, body: Any, said: dict[str, Any]
) -> None:
    """Or rejected by name; its span is read with it in any case."""
    own = here.within(f"f{new_id()[-12:]}")
    await ingest(own, wire.request(wire.chat(_TRACE, 1)))
    record = wire.event(_TRACE, 1, name, {"b": body} if not isinstance(body, dict) else body, attributes=said)

    rejected = await take(own, wire.logs(record, good(1)).SerializeToString(), PROTOBUF)

    answer = otlp.answer(rejected, LOGS)
    assert isinstance(answer, ExportLogsServiceResponse)
    assert answer.partial_success.rejected_log_records == len(rejected)
    assert json_format.MessageToJson(answer)
    assert len((await own.get(Traces).get(own, _TRACE)).spans[0].events) == 2 - len(rejected)
