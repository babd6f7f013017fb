"""Indexes as versions: built over HTTP, found again by content, searched at any version."""

import httpx
import pytest

from gimbal.generative.knowledge.model import ChunkSetting, Document
from gimbal.generative.knowledge.service import Indexes
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import Ref

DOCS = [
    Document(source="docs/gates.md", text="# Gates\n\nA gate weighs evidence and leaves a Decision."),
    Document(source="docs/monitors.md", text="# Monitors\n\nA monitor watches drift and raises an alarm."),
]


async def test_unchanged_documents_are_the_same_version_and_changed_ones_a_new_one(ctx):
    indexes = ctx.get(Indexes)
    first = await indexes.build(ctx, "help/docs", DOCS)
    again = await indexes.build(ctx, "help/docs", DOCS[::-1])
    other = await indexes.build(ctx, "help/docs", DOCS, chunker=ChunkSetting(size=40))
    more = await indexes.build(ctx, "help/docs", [*DOCS, Document(source="docs/runs.md", text="A run has metrics.")])

    assert first.digest == again.digest
    assert [v.number for v in (first, again, other, more)] == [1, 1, 2, 3]


async def test_every_version_stays_searchable_also_from_cold(ctx):
    indexes = ctx.get(Indexes)
    await indexes.build(ctx, "help/docs", DOCS)
    await indexes.build(ctx, "help/docs", DOCS[:1])

    old = await indexes.search(ctx, Ref.parse("index:help/docs@v1"), "who raises the alarm?", 3)
    new = await indexes.search(ctx, Ref.parse("index:help/docs"), "who raises the alarm?", 3)
    cold = await Indexes().search(ctx, Ref.parse("index:help/docs@v1"), "who raises the alarm?", 3)

    assert [hit.source for hit in old.hits] == ["docs/monitors.md"]
    assert str(old.index) == "index:help/docs@v1"
    assert old == cold
    assert new.hits == []


async def test_few_indexes_are_kept_in_memory_and_all_can_be_read(ctx):
    indexes = Indexes(keep=1)
    for n in range(3):
        await indexes.build(ctx, f"i{n}", [Document(source="a", text=f"word{n}")])
    for n in (0, 1, 2, 0):
        found = await indexes.search(ctx, Ref.parse(f"index:i{n}"), f"word{n}", 1)
        assert found.hits[0].text == f"word{n}"


async def test_what_cannot_be_indexed_or_searched_is_refused(ctx):
    indexes = ctx.get(Indexes)
    with pytest.raises(BadInput, match="no text"):
        await indexes.build(ctx, "empty", [Document(source="a", text="\n \n")])
    with pytest.raises(NotFound):
        await indexes.search(ctx, Ref.parse("index:nothing/here"), "x", 1)
    with pytest.raises(BadInput, match="not an index"):
        await indexes.search(ctx, Ref.parse("prompt:help/answer"), "x", 1)


async def test_the_operations_over_http(http: httpx.AsyncClient):
    body = {"name": "help/docs", "documents": [{"source": d.source, "text": d.text} for d in DOCS]}
    built = (await http.post("/api/v1/projects/default/indexes", json=body)).json()
    assert (built["ref"], built["documents"], built["chunks"]) == ("index:help/docs@v1", 2, 2)

    place = "/api/v1/projects/default/indexes/index%3Ahelp%2Fdocs/search"
    found = (await http.post(place, json={"query": "evidence", "k": 1})).json()
    assert found["index"] == "index:help/docs@v1"
    assert found["hits"][0]["source"] == "docs/gates.md"
    assert found["hits"][0]["heading"] == "Gates"
    assert (await http.post(place, json={"query": "x", "k": 0})).status_code == 400
    assert (await http.post(place, json={"query": "x", "colour": 1})).json()["error"]["code"] == "unknown_field"
    body["chunker"] = {"size": 3}
    assert (await http.post("/api/v1/projects/default/indexes", json=body)).status_code == 400
