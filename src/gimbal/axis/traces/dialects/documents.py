"""Retrieved documents, in the forms in which libraries write them."""

from typing import Any

from gimbal.axis.traces.dialects.reading import encoded, first, json_value, numbered, real, text
from gimbal.axis.traces.model import Document

_CONTENTS = ("page_content", "pageContent", "content", "text", "document", "chunk")
_IDS = ("id", "document_id", "doc_id", "chunk_id")
_SCORES = ("score", "relevance_score", "relevanceScore", "similarity_score", "similarity")
_SOURCES = ("source", "doc_uri", "url", "uri", "file_path", "name", "title")


def documents_in(value: Any) -> list[Document]:
    """Return the documents in a list of maps, or in an answer that has such a list: those with an id or a content."""
    rows = value.get("documents", value.get("results")) if isinstance(value, dict) else value
    if not isinstance(rows, list):
        return []
    found = [document(row) for row in rows if isinstance(row, dict)]
    return [one for one in found if one.id or one.content]


def document(row: dict[str, Any]) -> Document:
    """Return the document that a map tells of; what it does not say itself its metadata may."""
    held = json_value(row.get("metadata"))
    metadata: dict[str, Any] = held if isinstance(held, dict) else {}
    content = first(row, *_CONTENTS)
    if isinstance(content, dict):
        content = content.get("text")
    return Document(
        id=text(first(row, *_IDS) or first(metadata, *_IDS)),
        content=text(content),
        score=_score(row, metadata),
        source=text(first(row, *_SOURCES) or first(metadata, *_SOURCES)),
        metadata=metadata,
    )


def _score(row: dict[str, Any], metadata: dict[str, Any]) -> float | None:
    given = real(first(row, *_SCORES))
    return real(first(metadata, *_SCORES)) if given is None else given


def flattened(attributes: dict[str, Any], prefix: str) -> list[Document]:
    """Return the documents in `{prefix}.{i}.document.…`, by their numbers."""
    found: dict[int, dict[str, Any]] = {}
    start = f"{prefix}."
    for name, value in attributes.items():
        if not name.startswith(start):
            continue
        index, field = numbered(name.removeprefix(start), ".document.")
        if index is not None:
            found.setdefault(index, {})[field] = value
    return [document(row) for _, row in sorted(found.items())]


def ranked(documents: Any, ranking: Any) -> list[Document]:
    """Return documents in the order of a ranking, as the AI SDK has them: each row JSON, by the number of its document."""
    given = [encoded(row) for row in documents] if isinstance(documents, list) else []
    found: list[Document] = []
    for row in [encoded(row) for row in ranking] if isinstance(ranking, list) else []:
        at = first(row, "originalIndex", "index") if isinstance(row, dict) else None
        if isinstance(at, int) and not isinstance(at, bool) and 0 <= at < len(given):
            one = given[at]
            made = document(one if isinstance(one, dict) else {"content": one})
            found.append(
                Document(
                    id=made.id or str(at), content=made.content or text(one), score=_score(row, {}), source=made.source
                )
            )
    return found
