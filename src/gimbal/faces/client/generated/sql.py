"""Sql: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.sql.model import SqlResult, SqlView
from gimbal.faces.client.group import Group


class Sql(Group):
    """Questions in SQL over a project's spans, calls, scores and more, read-only."""

    def export(
        self,
        *,
        query: str,
        parameter: list[str] | None = None,
        format: Literal["csv", "jsonl", "arrow", "parquet"] = "csv",
        project: str | None = None,
    ) -> Iterator[bytes]:
        """Answer one SELECT over the views with all of its rows, as a file that streams.

        What breaks off half-way is no whole transfer to any HTTP client; leaving ends the statement.

        Args:
            query: One SELECT over the views.
            parameter: Value for {name:Type} in it, as name=value; may be given several times.
            format: csv, jsonl, arrow (IPC stream) or parquet.
        """
        return self._transport.download(
            "/projects/{project}/sql",
            path={"project": project},
            query={"query": query, "parameter": parameter, "format": format},
        )

    def query(
        self,
        *,
        query: str,
        parameters: dict[str, Any] | UnsetType = UNSET,
        limit: int | UnsetType = UNSET,
        project: str | None = None,
    ) -> SqlResult:
        """Answer one SELECT over the views with its first rows.

        Only this project's rows are there. A statement that takes too long, too much memory or too many rows is ended, and
        the error says which limit it was. The audit log keeps the statement.

        Args:
            query: One SELECT over the views, in ClickHouse's dialect.
            parameters: Values for {name:Type} in it.
            limit: Rows of the answer at most; `truncated` tells whether there are more.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/sql",
            SqlResult,
            path={"project": project},
            body={"query": query, "parameters": parameters, "limit": limit},
        )

    def views(self, *, project: str | None = None) -> list[SqlView]:
        """List the views that statements may name, with every column, its type and what it means."""
        return self._transport.call("GET", "/projects/{project}/sql/views", list[SqlView], path={"project": project})
