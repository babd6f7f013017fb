"""Traces: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from msgspec import UNSET, UnsetType

from gimbal.axis.traces.model import Aggregate, Renormalised, Trace, TraceSummary
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Traces(Group):
    """What happened, span by span: LLM calls, agent turns, predictions."""

    def aggregate(
        self,
        *,
        group: list[str] | None = None,
        every: str | None = None,
        order: str = "spans",
        since: datetime | None = None,
        until: datetime | None = None,
        status: str | None = None,
        kind: str | None = None,
        model: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        session: str | None = None,
        text: str | None = None,
        provider: str | None = None,
        ref: str | None = None,
        attribute: list[str] | None = None,
        search: str | None = None,
        min_ms: float | None = None,
        max_ms: float | None = None,
        min_usd: Decimal | None = None,
        max_usd: Decimal | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        roots: bool = False,
        limit: int = 50,
        project: str | None = None,
    ) -> Aggregate:
        """Count spans, calls and errors, sum up cost and tokens, and measure latency, by dimension and time.

        Filters are of the spans that are counted. A call counts once, whichever spans report it. A span that used several
        versions counts in the group of each. Spans that stand for others left out by sampling count for those.

        Args:
            group: Up to two of model, provider, kind, feature, user, session, status, name, prompt, ref,
                dialect and attribute:KEY.
            every: Part the time, too: minute, hour or day, in UTC.
            order: The groups with the most come first, of spans, traces, calls, errors, error_rate, cost,
                tokens or latency (p95).
            since: Only spans that started at or after this.
            until: And before this.
            status: Only spans that ended so: ok, error, cancelled or unset.
            kind: Only spans of this kind: llm, chain, agent …
            model: Only spans of this model.
            feature: Only of this feature: of the span, else of its trace; so for user, session and ref.
            user: Only of this end user.
            session: Only of this session.
            text: Only spans whose name contains this.
            provider: Only spans of this provider.
            ref: Only spans that used this version: prompt:help/answer@v2, or all of prompt:help/answer.
            attribute: Only spans with this attribute, as key:value; may be given several times.
            search: Only spans with all of these words in input, output or attributes.
            min_ms: Only spans that took at least so long.
            max_ms: Only spans that took at most so long.
            min_usd: Only spans that are known to cost at least so much.
            max_usd: Only spans that are known to cost at most so much.
            min_tokens: Only spans with at least so many tokens, in and out.
            max_tokens: Only spans with at most so many tokens, in and out.
            roots: Only spans without a parent: their time is that of whole traces.
            limit: How many groups at most, 1 to 1000; the others are summed up.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/traces/aggregate",
            Aggregate,
            path={"project": project},
            query={
                "group": group,
                "every": every,
                "order": order,
                "since": since,
                "until": until,
                "status": status,
                "kind": kind,
                "model": model,
                "feature": feature,
                "user": user,
                "session": session,
                "text": text,
                "provider": provider,
                "ref": ref,
                "attribute": attribute,
                "search": search,
                "min_ms": min_ms,
                "max_ms": max_ms,
                "min_usd": min_usd,
                "max_usd": max_usd,
                "min_tokens": min_tokens,
                "max_tokens": max_tokens,
                "roots": roots,
                "limit": limit,
            },
        )

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
        provider: str | None = None,
        ref: str | None = None,
        attribute: list[str] | None = None,
        search: str | None = None,
        min_ms: float | None = None,
        max_ms: float | None = None,
        min_usd: Decimal | None = None,
        max_usd: Decimal | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        sort: str = "start",
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[TraceSummary]:
        """List traces, newest first.

        A trace fits when any of its spans has the model, provider, version, attribute or word; its root's duration and what
        all its spans cost count.

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
            provider: Only traces of this provider.
            ref: Only traces that used this version: prompt:help/answer@v2, or all of prompt:help/answer.
            attribute: Only traces with this attribute, as key:value; may be given several times.
            search: Only traces with all of these words in input, output or attributes.
            min_ms: Only traces that took at least so long.
            max_ms: Only traces that took at most so long.
            min_usd: Only traces that are known to cost at least so much.
            max_usd: Only traces that are known to cost at most so much.
            min_tokens: Only traces with at least so many tokens, in and out.
            max_tokens: Only traces with at most so many tokens, in and out.
            sort: start (newest first), or duration, cost or tokens (the most first).
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
                "provider": provider,
                "ref": ref,
                "attribute": attribute,
                "search": search,
                "min_ms": min_ms,
                "max_ms": max_ms,
                "min_usd": min_usd,
                "max_usd": max_usd,
                "min_tokens": min_tokens,
                "max_tokens": max_tokens,
                "sort": sort,
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
