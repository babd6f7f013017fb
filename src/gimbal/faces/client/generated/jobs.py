"""Jobs: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.engines.compute.model import Job
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Jobs(Group):
    """Work in the background: progress, cancel, retry."""

    def cancel(self, id: str, *, project: str | None = None) -> Job:
        """Stop a job: at once when it waits, within a second or so when it runs.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "POST", "/projects/{project}/jobs/{id}/cancel", Job, path={"project": project, "id": id}
        )

    def list(
        self,
        *,
        status: str | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[Job]:
        """List jobs, newest first.

        Args:
            status: Only queued, running, parked, succeeded, failed or cancelled ones.
            name: Only of this kind: `evals.run`.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/jobs",
            Page[Job],
            path={"project": project},
            query={"status": status, "name": name, "cursor": cursor, "limit": limit},
        )

    def retry(self, id: str, *, project: str | None = None) -> Job:
        """Try a failed or cancelled job again, from its last checkpoint.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "POST", "/projects/{project}/jobs/{id}/retry", Job, path={"project": project, "id": id}
        )

    def show(self, id: str, *, project: str | None = None) -> Job:
        """Show a job with its progress, result or error.

        Args:
            id: Its id.
        """
        return self._transport.call("GET", "/projects/{project}/jobs/{id}", Job, path={"project": project, "id": id})
