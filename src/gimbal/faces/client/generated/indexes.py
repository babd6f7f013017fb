"""Indexes: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.faces.client.group import Group
from gimbal.generative.knowledge.model import BuiltIndex, ChunkSetting, Document, RetrieverSetting, SearchResult
from gimbal.kernel.refs import Ref


class Indexes(Group):
    """Documents cut into passages and indexed for retrieval."""

    def build(
        self,
        *,
        name: str,
        documents: list[Document],
        chunker: ChunkSetting | UnsetType = UNSET,
        retriever: RetrieverSetting | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> BuiltIndex:
        """Build an index from documents and keep it as a version.

        Markdown is cut along its headings and blocks, and each passage keeps the headings above it. Building again from the
        same documents with the same settings gives the same version.

        Args:
            name: Name of the index: `help/docs` becomes `index:help/docs`.
            documents: All documents; an index is always built whole, so what is not sent is not in it.
            chunker: How documents are cut into passages.
            retriever: How passages are ranked.
            note: Why, for the history.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/indexes",
            BuiltIndex,
            path={"project": project},
            body={"name": name, "documents": documents, "chunker": chunker, "retriever": retriever, "note": note},
        )

    def search(
        self, ref: Ref | str, *, query: str, k: int | UnsetType = UNSET, project: str | None = None
    ) -> SearchResult:
        """Search one version of an index and return the best passages with their sources and scores.

        Args:
            ref: Reference such as model:flights/delay@production.
            query: Words or a question.
            k: How many passages at most.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/indexes/{ref}/search",
            SearchResult,
            path={"project": project, "ref": ref},
            body={"query": query, "k": k},
        )
