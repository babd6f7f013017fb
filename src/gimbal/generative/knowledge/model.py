"""What an index is: documents, the passages they were cut into, and how passages are ranked.

An index is rebuilt, never changed: unchanged documents and settings give the same digest, hence the same version.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.kernel.errors import BadInput

Digest = Annotated[str, msgspec.Meta(pattern="^b3:[0-9a-f]{64}$")]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source text. Several with the same source are parts of one document and are all kept, in order."""

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    """Where it comes from; answers cite it: `docs/how-to/gates.md`."""
    text: str
    """The text, plain or markdown."""
    title: str = ""
    """What it is called; empty means its first heading, or the source."""


class ChunkSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How documents are cut."""

    kind: Literal["markdown"] = "markdown"
    """Along headings, paragraphs, list items, tables and code blocks."""
    size: Annotated[int, msgspec.Meta(ge=16, le=4096)] = 180
    """Tokens (as `analysis.count_tokens` counts them) that a passage has at most."""
    overlap: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 30
    """Tokens at the end of a passage that may be said again at the start of the next one of the same section."""


class RetrieverSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How passages are ranked: Okapi BM25 (Robertson and Zaragoza 2009), with the idf that is never negative."""

    kind: Literal["bm25"] = "bm25"
    k1: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.2
    """How soon repeating a term stops to count."""
    b: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.75
    """How much a long passage is held back."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One passage."""

    id: str
    """`b3:` and 32 hex digits of the BLAKE3 of source, heading and text: the same passage has the same id."""
    source: str
    title: str
    heading: str
    """Headings above it, outermost first, joined by ` > `; empty before the first one."""
    text: str
    position: int
    """Place among the passages of its document, from 0."""
    tokens: int


class DocumentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest says of one document."""

    source: str
    title: str
    digest: Digest
    """BLAKE3 of its text."""
    chunks: int


class IndexManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest of a version of kind `index`."""

    chunker: ChunkSetting
    retriever: RetrieverSetting
    analyzer: str
    """Name and version of what makes terms of text; an index written by another one is analysed anew when loaded."""
    documents: list[DocumentEntry]
    chunks: int
    tokens: int
    """Of all passages together."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One passage that was found."""

    id: str
    source: str
    title: str
    heading: str
    text: str
    score: float
    """BM25; comparable within one search only."""
    position: int


class BuildIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to index, and how."""

    name: str
    """Name of the index: `help/docs` becomes `index:help/docs`."""
    documents: Annotated[list[Document], msgspec.Meta(min_length=1, max_length=100_000)]
    """All documents; an index is always built whole, so what is not sent is not in it."""
    chunker: ChunkSetting = ChunkSetting()
    """How documents are cut into passages."""
    retriever: RetrieverSetting = RetrieverSetting()
    """How passages are ranked."""
    note: str = ""
    """Why, for the history."""


class BuiltIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The version that the documents are now."""

    ref: str
    """Resolved: `index:help/docs@v3`. Unchanged documents and settings give the version there was."""
    digest: str
    documents: int
    chunks: int
    """Passages."""
    tokens: int
    """Of all passages together."""


class SearchIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
    """Words or a question."""
    k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """How many passages at most."""


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    index: str
    """Exactly which version was searched."""
    hits: list[Hit]
    """Best first; empty when no passage shares a word with the query."""


def decode_manifest(manifest: Mapping[str, object]) -> IndexManifest:
    """Read the manifest of an asset version; raise BadInput naming the field that does not fit."""
    try:
        return msgspec.convert(dict(manifest), IndexManifest)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"The manifest is not an index's: {text}.", where=place.strip("`").replace("$.", "") or "manifest"
        ) from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    decode_manifest(manifest)


KIND = register_kind(
    AssetKind(name="index", title="Indexes", ring="generative", check=_check, template="knowledge/version.html")
)
