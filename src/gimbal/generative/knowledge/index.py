"""An index in memory: passages and their BM25, made from documents or read back from its two files.

`passages.jsonl` is for people and diffs, `postings.msgpack` for speed; both are the same bytes whenever documents and
settings are the same. `service` stores them as a version.
"""

from collections.abc import Iterable

import blake3
import msgspec

from gimbal.generative.knowledge.analysis import ANALYZER, terms
from gimbal.generative.knowledge.bm25 import Bm25, Postings
from gimbal.generative.knowledge.chunking import by_source, chunk_documents, title_of
from gimbal.generative.knowledge.model import (
    Chunk,
    ChunkSetting,
    Document,
    DocumentEntry,
    Hit,
    IndexManifest,
    RetrieverSetting,
)
from gimbal.kernel.errors import CorruptUpload

PASSAGES = "passages.jsonl"
POSTINGS = "postings.msgpack"


class Index:
    """Immutable; safe to share between tasks and threads."""

    def __init__(self, manifest: IndexManifest, chunks: list[Chunk], ranking: Bm25) -> None:
        self.manifest = manifest
        self.chunks = chunks
        self._ranking = ranking

    @classmethod
    def build(cls, documents: list[Document], chunker: ChunkSetting, retriever: RetrieverSetting) -> "Index":
        """Cut and index documents; the order in which different sources are given does not matter."""
        chunks = chunk_documents(documents, chunker)
        manifest = IndexManifest(
            chunker=chunker,
            retriever=retriever,
            analyzer=ANALYZER,
            documents=_entries(documents, chunks),
            chunks=len(chunks),
            tokens=sum(chunk.tokens for chunk in chunks),
        )
        return cls(manifest, chunks, _rank(chunks, retriever))

    @classmethod
    def read(cls, manifest: IndexManifest, passages: bytes, postings: bytes) -> "Index":
        """Read what `files` wrote; raise CorruptUpload when the parts do not fit each other."""
        try:
            chunks = msgspec.json.Decoder(Chunk).decode_lines(passages)
            stored = msgspec.msgpack.decode(postings, type=Postings)
        except msgspec.DecodeError as problem:
            raise CorruptUpload(f"The index cannot be read: {problem}.", todo="Build it again.") from None
        retriever = manifest.retriever
        if manifest.analyzer == ANALYZER:
            ranking = Bm25(stored, k1=retriever.k1, b=retriever.b)
        else:
            ranking = _rank(chunks, retriever)
        if not manifest.chunks == len(chunks) == ranking.size:
            raise CorruptUpload(
                f"The index should have {manifest.chunks} passages; it has {len(chunks)}, {ranking.size} of them indexed.",
                todo="Build it again.",
            )
        return cls(manifest, chunks, ranking)

    def files(self) -> dict[str, bytes]:
        """Return the two files of the index by name."""
        encoder = msgspec.json.Encoder()
        return {
            PASSAGES: encoder.encode_lines(self.chunks),
            POSTINGS: msgspec.msgpack.encode(self._ranking.postings),
        }

    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most `k` passages that share a term with the query, best first; equal ones in document order."""
        return [self._hit(number, score) for number, score in self._ranking.top(terms(query), k)]

    def _hit(self, number: int, score: float) -> Hit:
        chunk = self.chunks[number]
        return Hit(
            id=chunk.id,
            source=chunk.source,
            title=chunk.title,
            heading=chunk.heading,
            text=chunk.text,
            score=score,
            position=chunk.position,
        )


def _rank(chunks: Iterable[Chunk], retriever: RetrieverSetting) -> Bm25:
    # Title and headings are part of what a passage is about, so they are ranked with its text.
    return Bm25.build(
        [terms(f"{chunk.title}\n{chunk.heading}\n{chunk.text}") for chunk in chunks], k1=retriever.k1, b=retriever.b
    )


def _entries(documents: list[Document], chunks: list[Chunk]) -> list[DocumentEntry]:
    counts: dict[str, int] = {}
    for chunk in chunks:
        counts[chunk.source] = counts.get(chunk.source, 0) + 1
    return [
        DocumentEntry(
            source=parts[0].source,
            title=title_of(parts),
            digest="b3:" + blake3.blake3("\x00".join(part.text for part in parts).encode()).hexdigest(),
            chunks=counts.get(parts[0].source, 0),
        )
        for parts in by_source(documents)
    ]
