"""Datasets: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator

from gimbal.axis.assets.model import Asset, Version
from gimbal.axis.datasets.model import ColumnProfile, DatasetView
from gimbal.faces.client.group import Group
from gimbal.faces.client.transport import RawBody
from gimbal.kernel.pages import Page


class Datasets(Group):
    """Immutable snapshots of tables, with schema and profile."""

    def create(
        self,
        content: RawBody,
        *,
        name: str,
        inputs: list[str] | None = None,
        run_id: str | None = None,
        note: str = "",
        project: str | None = None,
    ) -> Version:
        """Store a Parquet file as a version of a dataset, with its schema, row count and profile.

        The same data is the same version, whoever wrote the file; the order of the rows is kept.

        Args:
            name: Name of the dataset: flights/train.
            inputs: References of the versions that it was made from.
            run_id: The run that made it.
            note: A remark for people.
            content: The raw bytes, a file, or chunks.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/datasets",
            Version,
            path={"project": project},
            query={"name": name, "inputs": inputs, "run_id": run_id, "note": note},
            raw=content,
        )

    def download(self, ref: str, *, project: str | None = None) -> Iterator[bytes]:
        """Download the Parquet file of a version.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.download(
            "/projects/{project}/datasets/{ref}/data", path={"project": project, "ref": ref}
        )

    def list(
        self, *, search: str | None = None, cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[Asset]:
        """List datasets with their aliases.

        Args:
            search: Only names that contain this.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/datasets",
            Page[Asset],
            path={"project": project},
            query={"search": search, "cursor": cursor, "limit": limit},
        )

    def profile(self, ref: str, column: str, *, project: str | None = None) -> ColumnProfile:
        """Show the profile of one column.

        Args:
            ref: Reference such as model:flights/delay@production.
            column: Name of the column.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/datasets/{ref}/profile/{column}",
            ColumnProfile,
            path={"project": project, "ref": ref, "column": column},
        )

    def show(self, ref: str, *, project: str | None = None) -> DatasetView:
        """Show a version of a dataset: schema, rows and the profile of every column.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/datasets/{ref}", DatasetView, path={"project": project, "ref": ref}
        )
