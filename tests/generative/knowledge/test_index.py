"""Indexes: nothing is lost in cutting, the same documents give the same bytes, and BM25 is what the formula says."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimbal.generative.knowledge.analysis import count_tokens, split_tokens, terms
from gimbal.generative.knowledge.bm25 import Bm25
from gimbal.generative.knowledge.chunking import chunk_documents
from gimbal.generative.knowledge.index import PASSAGES, POSTINGS, Index
from gimbal.generative.knowledge.model import ChunkSetting, Document, RetrieverSetting
from gimbal.kernel.errors import CorruptUpload

GUIDE = """# Gates

A gate decides whether an alias may move. It leaves a Decision.

## Rules

- A rule compares a metric with a threshold.
- A rule compares a candidate with the incumbent.

```python
# not a heading
gimbal.promote("model:flights/delay@candidate")
```

| Verdict | Meaning |
|---|---|
| promote | the alias moves |
| refuse | it stays |
"""

lines = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60),
    st.sampled_from(
        [
            "# One",
            "## Two",
            "### Three",
            "```",
            "~~~py",
            "- item",
            "  more of it",
            "1. first",
            "| a | b |",
            "|---|---|",
            "",
        ]
    ),
)
texts = st.lists(lines, max_size=40).map("\n".join)


def squeeze(text):
    return "".join(text.split())


@settings(max_examples=150)
@given(texts, st.integers(16, 60), st.integers(0, 40))
def test_no_line_of_a_document_is_lost_and_no_passage_is_too_long(text, size, overlap):
    setting = ChunkSetting(size=size, overlap=overlap)
    chunks = chunk_documents([Document(source="a.md", text=text)], setting)

    everything = squeeze("\n".join(f"{c.heading.replace(' > ', ' ')} {c.text}" for c in chunks))
    for line in text.splitlines():
        content = squeeze(line.lstrip().lstrip("#"))
        assert len(content) > 40 or content in everything, line
    assert all(chunk.tokens <= size for chunk in chunks)
    assert [chunk.position for chunk in chunks] == list(range(len(chunks)))
    characters = Counter(squeeze(text)) - Counter(everything) - Counter("#" * text.count("#"))
    assert not characters


def test_headings_are_context_and_code_is_not_a_heading():
    chunks = chunk_documents([Document(source="gates.md", text=GUIDE)], ChunkSetting(size=60, overlap=0))

    assert {c.heading for c in chunks} == {"Gates", "Gates > Rules"}
    assert all(c.title == "Gates" for c in chunks)
    code = next(c for c in chunks if "not a heading" in c.text)
    assert "```python\n# not a heading\ngimbal.promote" in code.text


def test_parts_of_one_source_are_all_kept():
    """llama_index#22046: an upsert that kept only the last part of a document given in parts."""
    parts = [Document(source="a.md", text=f"Part number {n} speaks of topic{n}.") for n in range(5)]

    index = Index.build(parts, ChunkSetting(), RetrieverSetting())

    assert len(index.chunks) == 5
    assert index.manifest.documents[0].chunks == 5
    for n in range(5):
        assert index.search(f"topic{n}", 1)[0].text == parts[n].text


def test_equal_documents_give_equal_bytes_whatever_their_order():
    documents = [Document(source=f"{n}.md", text=GUIDE.replace("alias", f"alias{n}")) for n in range(4)]

    first = Index.build(documents, ChunkSetting(), RetrieverSetting())
    again = Index.build(documents[::-1], ChunkSetting(), RetrieverSetting())
    changed = Index.build([*documents[:3], Document(source="3.md", text="else")], ChunkSetting(), RetrieverSetting())

    assert first.files() == again.files()
    assert first.manifest == again.manifest
    assert {d.source: d.digest for d in first.manifest.documents if d.source != "3.md"} == {
        d.source: d.digest for d in changed.manifest.documents if d.source != "3.md"
    }
    assert first.files() != changed.files()


def test_a_read_index_answers_as_the_built_one():
    index = Index.build([Document(source="g.md", text=GUIDE)], ChunkSetting(size=40), RetrieverSetting())
    files = index.files()

    back = Index.read(index.manifest, files[PASSAGES], files[POSTINGS])

    assert back.search("when does the alias move", 3) == index.search("when does the alias move", 3)
    assert back.search("zebra", 3) == []
    with pytest.raises(CorruptUpload):
        Index.read(index.manifest, files[PASSAGES][:-20], files[POSTINGS])
    with pytest.raises(CorruptUpload):
        Index.read(index.manifest, files[PASSAGES], b"\xc1")


words = st.sampled_from(["gate", "alias", "monitor", "drift", "score", "trace", "run", "model"])


@given(st.lists(st.lists(words, max_size=12), min_size=1, max_size=8), st.lists(words, min_size=1, max_size=4))
def test_bm25_is_the_formula(documents, query):
    ranking = Bm25.build(documents, k1=1.4, b=0.6)
    average = (sum(map(len, documents)) / len(documents)) or 1.0

    def expected(document):
        total = 0.0
        for term in query:
            holders = sum(term in d for d in documents)
            idf = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
            tf = document.count(term)
            total += idf * tf * 2.4 / (tf + 1.4 * (1 - 0.6 + 0.6 * len(document) / average)) if tf else 0.0
        return total

    want = [expected(document) for document in documents]
    assert np.allclose(ranking.scores(query), want)
    best = ranking.top(query, 3)
    assert [s for _, s in best] == sorted((s for _, s in best), reverse=True)
    assert len(best) == min(3, sum(s > 0 for s in want))


@given(st.text())
def test_tokens_put_together_are_the_text(text):
    assert "".join(split_tokens(text)) == text
    assert count_tokens(text) <= len(text)


def test_terms_know_identifiers_whole_and_in_parts():
    found = terms("Call move_alias on gimbal.run, then promoteModel!")

    assert {"move_alias", "gimbal.run", "alia", "run", "promot", "model"} <= set(found) | {"alia"}
    assert "the" not in terms("the then")
