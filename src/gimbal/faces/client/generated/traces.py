"""Traces: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.traces.finding_model import TailAnswer
from gimbal.axis.traces.model import Aggregate, Renormalised, Span, Trace, TraceSummary
from gimbal.axis.traces.shapes import AgentGraph, FoundSpans, Similar, Skeleton
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
        endpoint: str | None = None,
        key: str | None = None,
        tag: list[str] | None = None,
        ref: str | None = None,
        attribute: list[str] | None = None,
        search: str | None = None,
        min_ms: float | None = None,
        max_ms: float | None = None,
        min_usd: Decimal | None = None,
        max_usd: Decimal | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        score: list[str] | None = None,
        scored_by: str | None = None,
        roots: bool = False,
        parts: bool = False,
        limit: int = 50,
        project: str | None = None,
    ) -> Aggregate:
        """Count spans, calls and errors, sum up cost and tokens, and measure latency, by dimension and time.

        Filters are of the spans that are counted. A call counts once, whichever spans report it. A span that used several
        versions counts in the group of each. Spans that stand for others left out by sampling count for those.

        Args:
            group: Up to two of model, provider, kind, feature, user, session, endpoint, key, status, name,
                prompt, ref, dialect, tag, tag:KEY and attribute:KEY.
            every: Part the time, too: minute, hour or day, in UTC.
            order: The groups with the most come first, of spans, traces, calls, errors, error_rate, cost,
                wasted, tokens or latency.
            since: Only spans that started at or after this.
            until: And before this.
            status: Only spans that ended so: ok, error, cancelled or unset.
            kind: Only spans of this kind: llm, chain, agent …
            model: Only spans of this model.
            feature: Only of this feature: of the span, else of its trace; so for user, session, endpoint, key,
                tag and ref.
            user: Only of this end user.
            session: Only of this session.
            text: Only spans whose name contains this.
            provider: Only spans of this provider.
            endpoint: Only spans of this endpoint.
            key: Only spans of calls with the API key of this id.
            tag: Only spans with this tag, team:search, or any of a key: team.
            ref: Only spans that used prompt:help/answer@v2, or any prompt:help/answer.
            attribute: Only spans with this attribute, as key:value; repeatable.
            search: Only spans with all of these words in input, output, documents or errors.
            min_ms: Only spans that took at least so long.
            max_ms: Only spans that took at most so long.
            min_usd: Only spans that are known to cost at least so much.
            max_usd: Only spans that are known to cost at most so much.
            min_tokens: Only spans with at least so many tokens, in and out.
            max_tokens: Only spans with at most so many tokens, in and out.
            score: Only spans of traces with this score: helpful:<0.5, tone:rude; may be given several times.
            scored_by: Only scores by human, judge, code or user; alone: any score by those.
            roots: Only spans without a parent: their time is that of whole traces.
            parts: Tell the cost by token class, too: input, cache_write_1h, reasoning, web_search …
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
                "endpoint": endpoint,
                "key": key,
                "tag": tag,
                "ref": ref,
                "attribute": attribute,
                "search": search,
                "min_ms": min_ms,
                "max_ms": max_ms,
                "min_usd": min_usd,
                "max_usd": max_usd,
                "min_tokens": min_tokens,
                "max_tokens": max_tokens,
                "score": score,
                "scored_by": scored_by,
                "roots": roots,
                "parts": parts,
                "limit": limit,
            },
        )

    def export(
        self,
        *,
        rows: Literal["traces", "spans"] = "traces",
        format: Literal["csv", "jsonl", "arrow", "parquet"] = "jsonl",
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
        endpoint: str | None = None,
        key: str | None = None,
        tag: list[str] | None = None,
        ref: str | None = None,
        attribute: list[str] | None = None,
        search: str | None = None,
        unpriced: str | None = None,
        min_ms: float | None = None,
        max_ms: float | None = None,
        min_usd: Decimal | None = None,
        max_usd: Decimal | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        score: list[str] | None = None,
        scored_by: str | None = None,
        project: str | None = None,
    ) -> Iterator[bytes]:
        """Export the traces that a list with the same filters shows, newest first, each once while others arrive.

        It streams at any length. When it breaks off, ask again with `until` at the start of the last row that came.

        Args:
            rows: traces, or spans for every span of them.
            format: csv, jsonl, arrow (IPC stream) or parquet.
            since: Started at or after this.
            until: Started before this; now when left out.
            status: Only traces that ended so: error when any span failed, else the root's status.
            kind: Only roots of this kind: llm, chain, agent …
            model: Only traces with a call of this model.
            feature: Only of this feature.
            user: Only of this end user.
            session: Only of this session.
            text: Only roots whose name contains this.
            provider: Only traces of this provider.
            endpoint: Only traces of this endpoint.
            key: Only traces of calls with the API key of this id.
            tag: Only traces with this tag, team:search, or any of a key, team; may be repeated.
            ref: Only traces that used this version.
            attribute: Only traces with this attribute, as key:value; may be given several times.
            search: Only traces with all of these words in input, output, documents or errors.
            unpriced: Only traces with a call that has no cost, for this reason or any.
            min_ms: Only traces that took at least so long.
            max_ms: Only traces that took at most so long.
            min_usd: Only traces that are known to cost at least so much.
            max_usd: Only traces that are known to cost at most so much.
            min_tokens: Only traces with at least so many tokens, in and out.
            max_tokens: Only traces with at most so many tokens, in and out.
            score: Only traces with this score: helpful:<0.5, tone:rude; may be given several times.
            scored_by: Only scores by human, judge, code or user; alone: any score by those.
        """
        return self._transport.download(
            "/projects/{project}/traces/export",
            path={"project": project},
            query={
                "rows": rows,
                "format": format,
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
                "endpoint": endpoint,
                "key": key,
                "tag": tag,
                "ref": ref,
                "attribute": attribute,
                "search": search,
                "unpriced": unpriced,
                "min_ms": min_ms,
                "max_ms": max_ms,
                "min_usd": min_usd,
                "max_usd": max_usd,
                "min_tokens": min_tokens,
                "max_tokens": max_tokens,
                "score": score,
                "scored_by": scored_by,
            },
        )

    def find(self, id: str, *, text: str, project: str | None = None) -> FoundSpans:
        """Find the spans of a trace that have a text.

        Args:
            id: Its id.
            text: What stands in a name, message, document, attribute or event, in any case.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/traces/{id}/find",
            FoundSpans,
            path={"project": project, "id": id},
            query={"text": text},
        )

    def graph(self, id: str, *, project: str | None = None) -> AgentGraph:
        """Show the agents, models and tools of a trace: who called what, how often, and who handed over to whom.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/traces/{id}/graph", AgentGraph, path={"project": project, "id": id}
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
        endpoint: str | None = None,
        key: str | None = None,
        tag: list[str] | None = None,
        ref: str | None = None,
        attribute: list[str] | None = None,
        search: str | None = None,
        unpriced: str | None = None,
        min_ms: float | None = None,
        max_ms: float | None = None,
        min_usd: Decimal | None = None,
        max_usd: Decimal | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        score: list[str] | None = None,
        scored_by: str | None = None,
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
            endpoint: Only traces of this endpoint.
            key: Only traces of calls with the API key of this id.
            tag: Only traces with this tag, team:search, or any of a key: team.
            ref: Only traces that used prompt:help/answer@v2, or any prompt:help/answer.
            attribute: Only traces with this attribute, as key:value; may be given several times.
            search: Only traces with all of these words in input, output, documents or errors.
            unpriced: Only traces with a call that has no cost, for this reason: unknown_model … or any.
            min_ms: Only traces that took at least so long.
            max_ms: Only traces that took at most so long.
            min_usd: Only traces that are known to cost at least so much.
            max_usd: Only traces that are known to cost at most so much.
            min_tokens: Only traces with at least so many tokens, in and out.
            max_tokens: Only traces with at most so many tokens, in and out.
            score: Only traces with this score, of the trace or of a span: helpful:<0.5, tone:rude,
                helpful:unscored, helpful:missing, or helpful for any value; may be given several times.
            scored_by: Only scores by human, judge, code or user; alone: any score by those.
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
                "endpoint": endpoint,
                "key": key,
                "tag": tag,
                "ref": ref,
                "attribute": attribute,
                "search": search,
                "unpriced": unpriced,
                "min_ms": min_ms,
                "max_ms": max_ms,
                "min_usd": min_usd,
                "max_usd": max_usd,
                "min_tokens": min_tokens,
                "max_tokens": max_tokens,
                "score": score,
                "scored_by": scored_by,
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

    def similar(self, id: str, *, limit: int = 10, project: str | None = None) -> Similar:
        """List the traces that are most like one, and how slow and costly it is among those.

        They are those with the same root in the seven days before it: nearest by what their spans are, how they ended, time
        and cost.

        Args:
            id: Its id.
            limit: How many at most, 1 to 50.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/traces/{id}/similar",
            Similar,
            path={"project": project, "id": id},
            query={"limit": limit},
        )

    def skeleton(self, id: str, *, project: str | None = None) -> Skeleton:
        """Show the tree, times, tokens and costs of up to 100,000 spans of a trace, without what they carry.

        Columns are arrays, in the order of the tree. `traces span` shows one span whole.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/traces/{id}/skeleton", Skeleton, path={"project": project, "id": id}
        )

    def span(self, id: str, span: str, *, project: str | None = None) -> Span:
        """Show one span of a trace with all that it carries.

        Args:
            id: Its id.
            span: Its id, 16 hex digits.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/traces/{id}/spans/{span}",
            Span,
            path={"project": project, "id": id, "span": span},
        )

    def tail(
        self,
        *,
        cursor: str | None = None,
        wait: float = 0,
        status: str | None = None,
        kind: str | None = None,
        model: str | None = None,
        feature: str | None = None,
        user: str | None = None,
        session: str | None = None,
        text: str | None = None,
        provider: str | None = None,
        endpoint: str | None = None,
        key: str | None = None,
        tag: list[str] | None = None,
        ref: str | None = None,
        attribute: list[str] | None = None,
        search: str | None = None,
        unpriced: str | None = None,
        min_ms: float | None = None,
        max_ms: float | None = None,
        min_usd: Decimal | None = None,
        max_usd: Decimal | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        score: list[str] | None = None,
        scored_by: str | None = None,
        project: str | None = None,
    ) -> TailAnswer:
        """Show traces that came, or changed, since the call before, whichever server took them in.

        Call it again and again with the cursor of the answer. A trace is told when its root is there, or when nothing more
        of it came for three seconds; the same trace with the same `stored` is the same news.

        Args:
            cursor: `cursor` of the answer before; without one the tail begins now.
            wait: Seconds to wait for something to come, 0 to 30.
            status: Only traces that ended so: error when any span failed, else the root's ok, cancelled or
                unset.
            kind: Only roots of this kind: llm, chain, agent …
            model: Only traces with a call of this model.
            feature: Only of this feature.
            user: Only of this end user.
            session: Only of this session.
            text: Only roots whose name contains this.
            provider: Only traces of this provider.
            endpoint: Only traces of this endpoint.
            key: Only traces of calls with the API key of this id.
            tag: Only traces with this tag, team:search, or any of a key, team; may be repeated.
            ref: Only traces that used this version: prompt:help/answer@v2, or all of prompt:help/answer.
            attribute: Only traces with this attribute, as key:value; may be given several times.
            search: Only traces with all of these words in input, output, documents or errors.
            unpriced: Only traces with a call that has no cost, for this reason: unknown_model … or any.
            min_ms: Only traces that took at least so long.
            max_ms: Only traces that took at most so long.
            min_usd: Only traces that are known to cost at least so much.
            max_usd: Only traces that are known to cost at most so much.
            min_tokens: Only traces with at least so many tokens, in and out.
            max_tokens: Only traces with at most so many tokens, in and out.
            score: Only traces with this score, as `traces list` has it.
            scored_by: Only scores by human, judge, code or user; alone: any score by those.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/traces/tail",
            TailAnswer,
            path={"project": project},
            query={
                "cursor": cursor,
                "wait": wait,
                "status": status,
                "kind": kind,
                "model": model,
                "feature": feature,
                "user": user,
                "session": session,
                "text": text,
                "provider": provider,
                "endpoint": endpoint,
                "key": key,
                "tag": tag,
                "ref": ref,
                "attribute": attribute,
                "search": search,
                "unpriced": unpriced,
                "min_ms": min_ms,
                "max_ms": max_ms,
                "min_usd": min_usd,
                "max_usd": max_usd,
                "min_tokens": min_tokens,
                "max_tokens": max_tokens,
                "score": score,
                "scored_by": scored_by,
            },
        )
