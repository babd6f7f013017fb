"""Knowledge: documents cut into passages and indexed for retrieval, as immutable asset versions of kind `index`.

`chunking` cuts markdown, `analysis` turns text into terms, `bm25` ranks, `index` puts them together and makes them
bytes; `service` keeps indexes as versions and searches them. `gateway` puts what is found into a prompt's context.
"""

from gimbal.generative.knowledge.model import (
    Chunk,
    ChunkSetting,
    Document,
    DocumentEntry,
    Hit,
    IndexManifest,
    RetrieverSetting,
)

__all__ = ["Chunk", "ChunkSetting", "Document", "DocumentEntry", "Hit", "IndexManifest", "RetrieverSetting"]
