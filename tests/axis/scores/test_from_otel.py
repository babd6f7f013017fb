"""Scores that come with traces: evaluation events on spans and as log records, and OpenInference's annotations."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from tests.axis.traces import wire
from tests.axis.traces.wire import JSON, PROTOBUF

from gimbal.axis.scores.model import Score, ScoreRecorded, ScoreTarget
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.judgements import EVENT, Judgement, Judgements, of_span
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import NotFound
from gimbal.kernel.events import EventBus
from gimbal.kernel.operations import PREFIX
from gimbal.kernel.settings import WriterSettings

SPAN = f"{1:016x}"


def judged(trace: str, *said: dict[str, Any], at_ms: float = 5, number: int = 1) -> wire.Span:
    """Return a model call with evaluation events; what they say as `wire.evaluation` has it."""
    span = wire.chat(trace, number)
    for one in said:
        record = wire.evaluation(trace, number, **one)
        nano = (wire.START + round(1000 * at_ms)) * 1000
        span.events.add(name=EVENT, time_unix_nano=nano, attributes=record.attributes)
    return span


async def send(site: httpx.AsyncClient, *spans: wire.Span) -> httpx.Response:
    body = wire.request(*spans).SerializeToString()
    return await site.post("/v1/traces", content=body, headers={"content-type": PROTOBUF})


async def log(site: httpx.AsyncClient, *records: Any) -> ExportLogsServiceResponse:
    body = wire.logs(*records).SerializeToString()
    reply = await site.post("/v1/logs", content=body, headers={"content-type": PROTOBUF})
    assert reply.status_code == 200
    return ExportLogsServiceResponse.FromString(reply.content)


async def kept(scores: Scores, here: Context) -> list[Score]:
    return (await scores.page(here)).items


def said(found: list[Score]) -> set[tuple[Any, ...]]:
    return {(s.target_kind, s.target_id, s.name, s.value, s.label, s.source, s.missing) for s in found}


async def test_an_event_on_a_span_is_a_score_of_it(site: httpx.AsyncClient, scores: Scores, here: Context) -> None:
    """Also one without a number; when it failed it is missing with the reason, never 0."""
    trace = wire.trace_id()
    span = judged(
        trace,
        {"name": "relevance", "value": 0.8, "label": "relevant", "explanation": "To the point."},
        {"name": "tone", "label": "polite"},
        {"name": "count", "value": 4},
        {"name": "safety", "error": "TimeoutError"},
        {"name": "odd", "value": "0.5"},
        {"name": "far", "value": float("nan")},
        {"name": "nothing"},
        {"value": 1.0},
    )

    for _ in range(2):
        assert (await send(site, span)).content == b""

    found = await kept(scores, here)
    assert said(found) == {
        ("span", SPAN, "relevance", 0.8, "relevant", "code", ""),
        ("span", SPAN, "tone", None, "polite", "code", ""),
        ("span", SPAN, "count", 4.0, "", "code", ""),
        ("span", SPAN, "safety", None, "", "code", "TimeoutError"),
        ("span", SPAN, "odd", None, "", "code", "not_a_number"),
        ("span", SPAN, "far", None, "", "code", "not_a_number"),
        ("span", SPAN, "nothing", None, "", "code", "no_value"),
    }
    assert len(found) == 7
    assert {(s.trace_id, s.at.timestamp(), s.author) for s in found} == {
        (trace, wire.START / 1e6 + 0.005, "local owner")
    }
    assert {s.explanation for s in found} == {"", "To the point."}


async def test_a_log_record_is_the_same_score(site: httpx.AsyncClient, scores: Scores, here: Context) -> None:
    """Before its span, after it, again, and beside the event on the span that some senders write, too."""
    trace = wire.trace_id()
    record = wire.evaluation(trace, 1, at_ms=5, name="relevance", value=0.8)

    await log(site, record)
    await send(site, judged(trace, {"name": "relevance", "value": 0.8}, at_ms=5))
    await log(site, record)

    assert [(s.target_id, s.trace_id, s.value) for s in await kept(scores, here)] == [(SPAN, trace, 0.8)]
    await log(site, wire.evaluation(trace, 1, at_ms=6, name="relevance", value=0.8))
    assert len(await kept(scores, here)) == 2


async def test_an_evaluation_without_a_span_is_of_the_trace(
    site: httpx.AsyncClient, scores: Scores, here: Context
) -> None:
    trace = wire.trace_id()
    record = wire.evaluation(trace, 1, name="helpful", value=1)
    record.span_id = b""

    assert not (await log(site, record)).HasField("partial_success")

    assert said(await kept(scores, here)) == {("trace", trace, "helpful", 1.0, "", "code", "")}


async def test_an_evaluation_may_name_the_answer_instead_of_the_span(
    site: httpx.AsyncClient, scores: Scores, here: Context
) -> None:
    """By the provider's id; one that no span has is told so, and what it says is not lost on another."""
    trace, answer = wire.trace_id(), f"chatcmpl-{wire.trace_id()}"
    await send(site, wire.span(trace, 1), wire.chat(trace, 2, 1, attributes={"gen_ai.response.id": answer}))
    records = [wire.evaluation(trace, 1, name="relevance", value=value) for value in (0.8, 0.2)]
    for record, named in zip(records, (answer, "chatcmpl-unknown"), strict=True):
        record.trace_id = record.span_id = b""
        record.attributes.extend(wire.pairs({"gen_ai.response.id": named}))

    for _ in range(2):
        told = (await log(site, *records)).partial_success
        assert (told.rejected_log_records, "that no stored span has" in told.error_message) == (1, True)

    found = await kept(scores, here)
    assert [(s.target_kind, s.target_id, s.trace_id, s.value) for s in found] == [("span", f"{2:016x}", trace, 0.8)]


async def test_one_span_id_in_two_traces_is_two_spans(site: httpx.AsyncClient, scores: Scores, here: Context) -> None:
    """Ids of spans are unique in their trace only."""
    one, two = wire.trace_id(), wire.trace_id()
    await send(site, judged(one, {"name": "n", "value": 0.1}), judged(two, {"name": "n", "value": 0.9}))

    for trace, value in ((one, 0.1), (two, 0.9)):
        assert [j.value for j in await scores.of_trace(here, trace, [SPAN], "")] == [value]


ANNOTATED = {
    "annotations.0.annotation.name": "hallucination",
    "annotations.0.annotation.score": 1,
    "annotations.0.annotation.label": "hallucinated",
    "annotations.0.annotation.explanation": "Not in the documents.",
    "annotations.0.annotation.annotator_kind": "LLM",
    "annotations.0.annotation.identifier": "judge-v2",
    "annotations.0.annotation.metadata": '{"rubric_version":"2"}',
    # The same in the other term, and one more of the same name.
    "evaluations.0.evaluation.name": "clear",
    "evaluations.0.evaluation.score": 0.5,
    "annotations.1.annotation.name": "clear",
    "annotations.1.annotation.score": 0.5,
    "annotations.2.annotation.name": "clear",
    "annotations.2.annotation.score": 0.7,
    "annotations.3.annotation.score": 0.7,
    "trace.annotations.0.annotation.name": "solved",
    "trace.annotations.0.annotation.label": "yes",
    "trace.annotations.0.annotation.annotator_kind": "HUMAN",
    "session.evaluations.0.evaluation.name": "happy",
    "session.evaluations.0.evaluation.explanation": "They thanked.",
    "session.evaluations.0.evaluation.annotator_kind": "panel",
}


async def test_openinference_annotations_are_scores(
    site: httpx.AsyncClient, scores: Scores, here: Context, axis: Services
) -> None:
    """Of the span, its trace and its session, in both terms; the span keeps them among its attributes."""
    axis.register(Counters, Counters())
    trace = wire.trace_id()
    more = {"openinference.span.kind": "EVALUATOR", "session.id": f"s{trace}"}

    for _ in range(2):
        await send(site, wire.span(trace, 1, attributes=ANNOTATED | more, ms=100))

    found = await kept(scores, here)
    assert said(found) == {
        ("span", SPAN, "hallucination", 1.0, "hallucinated", "judge", ""),
        ("span", SPAN, "clear", 0.5, "", "code", ""),
        ("span", SPAN, "clear", 0.7, "", "code", ""),
        ("trace", trace, "solved", None, "yes", "human", ""),
        ("session", f"s{trace}", "happy", None, "", "code", "no_value"),
    }
    assert len(found) == 5
    assert {json.dumps(s.metadata) for s in found} == {"{}", '{"rubric_version": "2"}'}
    span = (await here.get(Traces).get(here, trace)).spans[0]
    assert (span.kind, span.attributes["annotations.2.annotation.score"]) == ("evaluator", 0.7)
    counted = {(s.name, *s.labels.values()): s.value for s in axis.get(Counters).samples()}
    assert counted["gimbal_ingest_scores_total", "stored"] == 10
    assert counted["gimbal_ingest_scores_total", "unreadable"] == 2


async def test_an_annotation_sent_with_a_later_version_of_its_span_is_corrected(
    site: httpx.AsyncClient, scores: Scores, here: Context
) -> None:
    """Whether or not its sender gives it an identifier."""
    trace = wire.trace_id()
    for value in (0.1, 0.9):
        given = {
            "annotations.0.annotation.name": "a",
            "annotations.0.annotation.score": value,
            "annotations.1.annotation.name": "b",
            "annotations.1.annotation.score": value,
            "annotations.1.annotation.identifier": "i",
        }
        await send(site, wire.span(trace, 1, attributes=given))

    assert sorted((s.name, s.value) for s in await kept(scores, here)) == [("a", 0.9), ("b", 0.9)]


async def test_a_session_without_an_id_has_no_scores(site: httpx.AsyncClient, scores: Scores, here: Context) -> None:
    given = {"session.annotations.0.annotation.name": "happy", "session.annotations.0.annotation.score": 1}
    assert (await send(site, wire.span(wire.trace_id(), 1, attributes=given))).status_code == 200
    assert await kept(scores, here) == []


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs"])
async def test_the_answer_waits_until_the_scores_are_durable(
    site: httpx.AsyncClient, axis: Services, columns: Columns, here: Context, path: str
) -> None:
    """And is not given before: there is none while the scores' writer stands, nor is anything else stored."""
    standing = Writer(columns, WriterSettings(max_wait_ms=1))
    scores = Scores(columns, standing)
    axis.register(Judgements, scores)
    trace = wire.trace_id()
    if path == "/v1/traces":
        sending = asyncio.create_task(send(site, judged(trace, {"name": "n", "value": 1.0})))
    else:
        sending = asyncio.create_task(log(site, wire.evaluation(trace, 1, name="n", value=1.0)))
    async with asyncio.timeout(10):
        while not standing.state().queued_rows:  # noqa: ASYNC110 - the queue offers no event to wait on
            await asyncio.sleep(0.001)
    assert not sending.done()
    assert await kept(scores, here) == []
    with pytest.raises(NotFound):
        await here.get(Traces).get(here, trace)

    standing.start()
    await sending

    assert [s.value for s in await kept(scores, here)] == [1.0]
    await standing.close()


@pytest.mark.parametrize("media_type", [PROTOBUF, JSON])
async def test_where_scores_cannot_be_stored_the_request_is_refused(
    site: httpx.AsyncClient, axis: Services, scores: Scores, columns: Columns, here: Context, media_type: str
) -> None:
    """As a whole, with a code that senders retry; sent again all of it is there once."""
    closed = Writer(columns, WriterSettings())
    await closed.close()
    axis.register(Judgements, Scores(columns, closed))
    trace = wire.trace_id()
    request = wire.request(judged(trace, {"name": "n", "value": 1.0}), wire.span(trace, 2, 1))
    body = request.SerializeToString() if media_type == PROTOBUF else json.dumps(wire.as_json(request)).encode()

    refused = await site.post("/v1/traces", content=body, headers={"content-type": media_type})
    with pytest.raises(NotFound):
        await here.get(Traces).get(here, trace)
    axis.register(Judgements, scores)
    taken = await site.post("/v1/traces", content=body, headers={"content-type": media_type})

    assert (refused.status_code, wire.told(refused)["kept"]) == (503, "nothing of this request")
    assert refused.headers["retry-after"]
    assert taken.status_code == 200
    assert len((await here.get(Traces).get(here, trace)).spans) == 2
    assert len(await kept(scores, here)) == 1


async def test_whoever_listens_to_scores_hears_of_these(
    site: httpx.AsyncClient, axis: Services, scores: Scores, here: Context
) -> None:
    """After they are stored."""
    heard: list[ScoreRecorded] = []

    async def listen(event: ScoreRecorded) -> None:
        heard.append(event)

    axis.get(EventBus).subscribe(ScoreRecorded, listen)
    trace = wire.trace_id()
    await send(site, judged(trace, {"name": "n", "value": 1.0}))

    assert [(e.project, [s.target_id for s in e.scores]) for e in heard] == [(here.project, [SPAN])]


async def test_a_session_is_judged_over_http(site: httpx.AsyncClient, scores: Scores, here: Context) -> None:
    """And found by its id, on the page of each of its traces, too."""
    trace, session = wire.trace_id(), "s/1 ä"
    await send(site, wire.chat(trace, 1, attributes={"session.id": session}))
    body = {"scores": [{"target_kind": "session", "target_id": session, "name": "solved", "value": 1}]}
    posted = await site.post(f"{PREFIX}/projects/{here.project}/scores", json=body)

    listed = await site.get(
        f"{PREFIX}/projects/{here.project}/scores", params={"target_kind": "session", "target_id": session}
    )

    assert posted.status_code == 200, posted.text
    assert [s["name"] for s in listed.json()["items"]] == ["solved"]
    assert [j.name for j in await scores.of_trace(here, trace, [SPAN], session)] == ["solved"]


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.text(max_size=3))


@settings(max_examples=200)
@given(
    attributes=st.dictionaries(
        st.builds(
            "{}{}.{}.{}.{}".format,
            st.sampled_from(["", "trace.", "session."]),
            st.sampled_from(["annotations", "evaluations"]),
            st.sampled_from(["0", "1", "01", "x", "-1"]),
            st.sampled_from(["annotation", "evaluation"]),
            st.sampled_from(["name", "score", "label", "metadata", "identifier", "explanation", "annotator_kind"]),
        ),
        _values,
    ),
    event=st.dictionaries(
        st.sampled_from(["gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "error.type"]), _values
    ),
)
def test_whatever_a_span_says_is_judgements_or_none(attributes: dict[str, Any], event: dict[str, Any]) -> None:
    """Each has a target, a name, and one of value, label and the reason why there is none; the same twice."""
    span = Span(
        trace_id="a" * 32,
        span_id="b" * 16,
        name="n",
        start_us=1,
        end_us=2,
        session_id="s",
        attributes=attributes,
        events=[{"name": EVENT, "at_us": 1, "attributes": event}],
    )

    found = list(of_span("p", span))

    assert found == list(of_span("p", span))
    good = [one for one in found if isinstance(one, Judgement)]
    assert all(one.name and one.target_id for one in good)
    assert all(one.missing == "" if one.value is not None else one.label or one.missing for one in good)
    assert len({one.id for one in good}) == len(good)
    assert {one.target_kind for one in good} <= set(ScoreTarget)
