"""Traces: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import UNSET, UnsetType

from gimbal.axis.traces.model import Renormalised, Trace, TraceSummary
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Traces(Group):
    """What happened, span by span: LLM calls, agent turns, predictions."""

    def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        status: str | None = None,
        kind: str | None = None,
        model: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        session: str | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[TraceSummary]:
        """List traces, newest first.

        Args:
            since: Started at or after this.
            until: Started before this.
            status: Only traces that ended so: error when any span failed, else the root's ok, cancelled or
                unset.
            kind: Only roots of this kind: llm, chain, agent …
            model: Only traces with a call of this model.
            feature: Only of this feature.
            user: Only of this end user.
            session: Only of this session.
            text: Only roots whose name contains this.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/traces",
            Page[TraceSummary],
            path={"project": project},
            query={
                "since": since,
                "until": until,
                "status": status,
                "kind": kind,
                "model": model,
                "feature": feature,
                "user": user,
                "session": session,
                "text": text,
                "cursor": cursor,
                "limit": limit,
            },
        )

    def payload(self, id: str, digest: str, *, project: str | None = None) -> Iterator[bytes]:
        """Download what a trace left in the blobs: a value that was too long, the rest of a span, an image, a vector.

        `gimbal.ingest` among the attributes of its spans, or of a resource, names the digests under `payloads`.

        Args:
            id: Its id.
            digest: Digest of what the trace left in the blobs, `b3:` and 64 hex digits.
        """
        return self._transport.download(
            "/projects/{project}/traces/{id}/payloads/{digest}", path={"project": project, "id": id, "digest": digest}
        )

    def renormalise(
        self,
        *,
        since: datetime,
        until: datetime | None | UnsetType = UNSET,
        cursor: str | None | UnsetType = UNSET,
        limit: int | UnsetType = UNSET,
        project: str | None = None,
    ) -> Renormalised:
        """Read stored spans anew from the attributes they came with, when Gimbal has learned to understand more.

        Only rows that say something else then are written; a second call changes nothing. Attributes stay as they are.

        Args:
            since: Traces with a span that started at or after this.
            until: And before this; null means no end.
            cursor: `next` of the call before.
            limit: At most so many traces in one call, up to 10,000.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/traces/renormalise",
            Renormalised,
            path={"project": project},
            body={"since": since, "until": until, "cursor": cursor, "limit": limit},
        )

    def show(self, id: str, *, project: str | None = None) -> Trace:
        """Show a trace with its spans.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/traces/{id}", Trace, path={"project": project, "id": id}
        )
