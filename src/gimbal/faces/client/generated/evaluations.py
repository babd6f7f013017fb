"""Evaluations: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.evals.model import Comparison, EvaluationResult, EvaluationRun
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Evaluations(Group):
    """Versions put through suites, and paired comparisons of two."""

    def compare(self, id: str, *, to: str, margin: float = 0.02, project: str | None = None) -> Comparison:
        """Compare two runs example by example: `to` against `id`.

        Args:
            id: Its id.
            to: Id of the other run, on the same suite.
            margin: Differences within ± this are equivalent.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/evaluations/{id}/compare",
            Comparison,
            path={"project": project, "id": id},
            query={"to": to, "margin": margin},
        )

    def list(
        self,
        *,
        suite: str | None = None,
        subject: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[EvaluationRun]:
        """List evaluation runs, newest first.

        Args:
            suite: Only on this suite: `suite:help/questions` or with `@v1`.
            subject: Only of this subject: `prompt:help/answer` or with `@v2`.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/evaluations",
            Page[EvaluationRun],
            path={"project": project},
            query={"suite": suite, "subject": subject, "cursor": cursor, "limit": limit},
        )

    def results(self, id: str, *, project: str | None = None) -> list[EvaluationResult]:
        """List what came of each example.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/evaluations/{id}/results",
            list[EvaluationResult],
            path={"project": project, "id": id},
        )

    def show(self, id: str, *, project: str | None = None) -> EvaluationRun:
        """Show an evaluation run with its estimates.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/evaluations/{id}", EvaluationRun, path={"project": project, "id": id}
        )

    def start(
        self, *, suite: str, subject: str, concurrency: int | UnsetType = UNSET, project: str | None = None
    ) -> EvaluationRun:
        """Put a version through a suite, as a job; follow it with evaluations.show.

        Args:
            suite: Reference of the suite: `suite:help/questions`.
            subject: Reference of the version under test: `prompt:help/answer@v2`.
            concurrency: Examples under way at the same time, 1 to 64.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/evaluations",
            EvaluationRun,
            path={"project": project},
            body={"suite": suite, "subject": subject, "concurrency": concurrency},
        )
