"""Annotations as Arize Phoenix takes them: what its official client sends is stored as scores, or refused as it expects.

`fixtures/phoenix_client.json` has the requests of arize-phoenix-client 3.5.0, recorded from its `add_span_annotation`,
`log_span_annotations`, `add_trace_annotation` and `add_session_annotation`, with and without `sync`.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.axis.traces import wire

from gimbal.axis.projects.model import CreateKey
from gimbal.axis.projects.service import Projects
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.judgements import Judgements
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.settings import WriterSettings
from gimbal.testing.clock import FrozenClock

CALLS = json.loads((Path(__file__).parent / "fixtures" / "phoenix_client.json").read_text())["calls"]
SPAN, OTHER, TRACE, SESSION = "00f067aa0ba902b7", "00f067aa0ba902b8", "4bf92f3577b34da6a3ce929d0e0e4736", "s1"


async def spans(site: httpx.AsyncClient) -> None:
    """Store what the recorded annotations judge."""
    body = wire.request(
        *(wire.chat(TRACE, int(span, 16), at_ms=1, attributes={"session.id": SESSION}) for span in (SPAN, OTHER))
    )
    reply = await site.post("/v1/traces", content=body.SerializeToString(), headers={"content-type": wire.PROTOBUF})
    assert reply.status_code == 200


async def replay(site: httpx.AsyncClient, key: str = "") -> list[httpx.Response]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return [await site.request(c["method"], c["path"], json=c["body"], headers=headers) for c in CALLS]


async def kept(scores: Scores, here: Context) -> set[tuple[Any, ...]]:
    found = (await scores.page(here)).items
    assert len({s.id for s in found}) == len(found)
    return {(s.target_kind, s.target_id, s.trace_id, s.name, s.value, s.label, s.source, s.missing) for s in found}


JUDGED = {
    ("span", SPAN, TRACE, "quality", 0.95, "good", "judge", ""),
    ("span", SPAN, TRACE, "thumbs", None, "up", "human", ""),
    ("span", SPAN, TRACE, "tone", 0.9, "positive", "code", ""),
    ("span", OTHER, TRACE, "tone", 0.0, "", "human", ""),
    ("trace", TRACE, "", "correct", 1.0, "", "human", ""),
    ("session", SESSION, "", "satisfied", 0.85, "yes", "human", ""),
}


async def test_what_the_official_client_sends_is_stored(
    site: httpx.AsyncClient, scores: Scores, here: Context, axis: Services
) -> None:
    """With its key, twice; the answers are those that it reads: ids where it waits for them, else none."""
    await spans(site)
    key = await axis.get(Projects).create_key(here, CreateKey(name="ann", role=Role.DEVELOPER), here.project)

    first, second = await replay(site, key.secret), await replay(site, key.secret)

    assert [r.status_code for r in (*first, *second)] == [200] * 2 * len(CALLS)
    answers = [r.json()["data"] for r, call in zip(first, CALLS, strict=True) if call["method"] == "POST"]
    assert [len(data) for data in answers] == [1, 0, 0, 1, 1]
    assert answers == [r.json()["data"] for r, c in zip(second, CALLS, strict=True) if c["method"] == "POST"]
    assert next(r for r, c in zip(first, CALLS, strict=True) if c["method"] == "GET").text == "12.0.0"
    assert await kept(scores, here) == JUDGED
    found = (await scores.page(here, name="quality")).items[0]
    assert (found.explanation, found.metadata, found.author) == ("Exact.", {"reviewer": "alice"}, "key ann")
    assert answers[0] == [{"id": found.id}]


async def test_an_unknown_target_refuses_the_whole_batch_where_the_caller_waits(
    site: httpx.AsyncClient, scores: Scores, here: Context
) -> None:
    """404 with the ids, as Phoenix answers; nothing is half-written."""
    await spans(site)
    row = {"name": "n", "annotator_kind": "CODE", "result": {"score": 1}}
    for kind, there, title in (("span", SPAN, "Spans"), ("trace", TRACE, "Traces"), ("session", SESSION, "Sessions")):
        body = {"data": [row | {f"{kind}_id": there}, row | {f"{kind}_id": "gone"}]}
        refused = await site.post(f"/v1/{kind}_annotations?sync=true", json=body)
        assert refused.status_code == 404
        assert refused.json()["detail"] == f"{title} with IDs gone do not exist."
        assert refused.json()["error"]["kept"] == "nothing of this request"
    assert await kept(scores, here) == set()


async def test_otherwise_an_annotation_may_come_before_what_it_judges(
    site: httpx.AsyncClient, scores: Scores, here: Context
) -> None:
    """It is durable with the answer, and found with the trace when that is there."""
    for call in CALLS:
        if call["method"] == "POST":
            path = call["path"].partition("?")[0]
            assert (await site.post(path, json=call["body"])).json() == {"data": []}
    await spans(site)

    found = await scores.of_trace(here, TRACE, [SPAN, OTHER], SESSION)
    assert {(j.target_kind, j.target_id, j.name, j.value) for j in found} == {
        (kind, target, name, value) for kind, target, _, name, value, *_ in JUDGED
    }
    # Known by then, the same annotations are the same scores.
    await replay(site)
    assert await kept(scores, here) == JUDGED


async def test_the_same_name_and_identifier_correct(
    site: httpx.AsyncClient, scores: Scores, here: Context, clock: FrozenClock
) -> None:
    """As in Phoenix; another identifier is another annotation."""
    for identifier, value in (("", 0.1), ("", 0.2), ("b", 0.3), ("b", 0.4)):
        row = {"span_id": SPAN, "name": "n", "annotator_kind": "CODE", "identifier": identifier}
        await site.post("/v1/span_annotations", json={"data": [row | {"result": {"score": value}}]})
        clock.advance(seconds=1)

    assert sorted(s.value or 0 for s in (await scores.page(here)).items) == [0.2, 0.4]


async def test_one_without_a_result_is_missing_not_zero(site: httpx.AsyncClient, scores: Scores, here: Context) -> None:
    rows = [
        {"span_id": SPAN, "name": "none", "annotator_kind": "LLM"},
        {"span_id": SPAN, "name": "null", "annotator_kind": "LLM", "result": {"score": None, "label": None}},
        {"span_id": SPAN, "name": "why", "annotator_kind": "LLM", "result": {"explanation": "Because."}},
    ]
    assert (await site.post("/v1/span_annotations", json={"data": rows})).status_code == 200

    assert {(s.name, s.value, s.missing) for s in (await scores.page(here)).items} == {
        ("none", None, "no_value"), ("null", None, "no_value"), ("why", None, "no_value"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"name": "n", "annotator_kind": "ROBOT", "span_id": SPAN}]},
        {"data": [{"name": "n", "span_id": SPAN}]},
        {"data": [{"annotator_kind": "LLM", "span_id": SPAN}]},
        {"data": [{"name": "n", "annotator_kind": "LLM", "span_id": SPAN, "result": {"score": "high"}}]},
        {"data": [{"name": "", "annotator_kind": "LLM", "span_id": SPAN}]},
        {"data": [{"name": "n", "annotator_kind": "LLM"}]},
        {"data": [{"name": "n", "annotator_kind": "LLM", "span_id": SPAN}] * 10_001},
        {"spans": []},
        [],
    ],
)
async def test_what_is_no_annotation_is_refused(
    site: httpx.AsyncClient, scores: Scores, here: Context, body: Any
) -> None:
    """With the place, in Phoenix's form and ours; nothing of the request is stored."""
    reply = await site.post("/v1/span_annotations", json=body)

    assert 400 <= reply.status_code < 500
    assert reply.json()["detail"] == reply.json()["error"]["message"]
    assert await kept(scores, here) == set()


async def test_nothing_to_annotate_is_no_error(site: httpx.AsyncClient) -> None:
    assert (await site.post("/v1/span_annotations", json={"data": []})).json() == {"data": []}


async def test_who_may_not_write_may_not_annotate(site: httpx.AsyncClient, axis: Services, here: Context) -> None:
    viewer = await axis.get(Projects).create_key(here, CreateKey(name="v", role=Role.VIEWER), here.project)
    for reply, call in zip(await replay(site, viewer.secret), CALLS, strict=True):
        assert reply.status_code == (403 if call["method"] == "POST" else 200)
    for reply in await replay(site, "gk_nothing"):
        assert reply.status_code == 401


async def test_under_pressure_the_caller_is_told_when_to_come_again(
    site: httpx.AsyncClient, axis: Services, columns: Columns, here: Context, scores: Scores
) -> None:
    """In Phoenix's form; nothing of it is stored."""
    closed = Writer(columns, WriterSettings())
    await closed.close()
    axis.register(Scores, Scores(columns, closed))
    axis.register(Judgements, Scores(columns, closed))

    reply = (await replay(site))[1]

    assert (reply.status_code, bool(reply.headers["retry-after"]), "detail" in reply.json()) == (503, True, True)
    assert await kept(scores, here) == set()
