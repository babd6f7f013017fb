"""Evaluations: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET, UnsetType

from gimbal.axis.evals.answers import RecordedAnswer
from gimbal.axis.evals.model import EvaluationPlan, EvaluationResult, EvaluationRun
from gimbal.axis.evals.verdicts import Comparison
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Evaluations(Group):
    """Versions put through suites, and paired comparisons of two."""

    def cancel(self, id: str, *, project: str | None = None) -> EvaluationRun:
        """Stop an evaluation that runs; what it has found stays.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "POST", "/projects/{project}/evaluations/{id}/cancel", EvaluationRun, path={"project": project, "id": id}
        )

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

    def finish(self, id: str, *, project: str | None = None) -> EvaluationRun:
        """Judge the answers of an open evaluation, as a job; what nobody answered is missing, and never dropped.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "POST", "/projects/{project}/evaluations/{id}/finish", EvaluationRun, path={"project": project, "id": id}
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

    def open(
        self,
        *,
        suite: str,
        subject: str,
        repeats: int | None | UnsetType = UNSET,
        client: str | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> EvaluationRun:
        """Begin an evaluation whose answers come from outside: evaluations.record takes them, evaluations.finish judges them.

        Args:
            suite: Reference of the suite: `suite:help/questions`.
            subject: Reference of the version whose answers they are: `function:help/answer`.
            repeats: How often each example is asked; null for what the suite says.
            client: What brings the answers, for people: `promptfoo`.
            max_cost: US dollars that judging the answers may cost, which is all that is spent here: it stops
                before a call of a judge that could pass them, and goes on with `evaluations.resume`. Null for no
                cap.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/evaluations/open",
            EvaluationRun,
            path={"project": project},
            body={"suite": suite, "subject": subject, "repeats": repeats, "client": client, "max_cost": max_cost},
        )

    def plan(
        self,
        *,
        repeats: int | None | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        per_minute: float | None | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        cache: bool | UnsetType = UNSET,
        suite: str,
        subject: str | UnsetType = UNSET,
        asked: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> EvaluationPlan:
        """Tell what an evaluation would ask and cost, and what it could find, without asking anything.

        Args:
            repeats: How often each example is asked; null for what the suite says.
            concurrency: Calls under way at the same time, 1 to 64.
            per_minute: Calls that may begin in a minute; null for no limit but that of the gateway.
            timeout_s: Seconds after which a call counts as timed out.
            max_cost: US dollars that the run may cost, judges and all; it stops before a call that could pass
                them, and an answer whose judges the cap cut off is judged when the run goes on. Null for no cap.
            cache: Whether an answer that an earlier run got for the same content and the same repeat is taken
                instead of asking.
            suite: Reference of the suite: `suite:help/questions`.
            subject: Reference of the version under test: `prompt:help/answer@v2`; without one the suite's task.
            asked: The name that `subject` was looked up by before, to be noted with the run; without one
                `subject` itself.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/evaluations/plan",
            EvaluationPlan,
            path={"project": project},
            body={
                "repeats": repeats,
                "concurrency": concurrency,
                "per_minute": per_minute,
                "timeout_s": timeout_s,
                "max_cost": max_cost,
                "cache": cache,
                "suite": suite,
                "subject": subject,
                "asked": asked,
            },
        )

    def record(self, id: str, *, answers: list[RecordedAnswer], project: str | None = None) -> EvaluationRun:
        """Store answers of an open evaluation, all or none; the same example and repeat again is replaced.

        Args:
            id: Its id.
            answers: 1 to 500 of them; one that was stored before for the same example and repeat is replaced.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/evaluations/{id}/answers",
            EvaluationRun,
            path={"project": project, "id": id},
            body={"answers": answers},
        )

    def results(
        self,
        id: str,
        *,
        only: str = "",
        scorer: str = "",
        order: str = "suite",
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[EvaluationResult]:
        """List what came of each example, in the order of the suite or the worst first.

        Args:
            id: Its id.
            only: `missing`, `failed` or `below` (with a scorer: less than its best value).
            scorer: Of which scorer `only` and `order` speak; empty for any.
            order: `suite`, or `worst` first; answers without a value come before all others.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/evaluations/{id}/results",
            Page[EvaluationResult],
            path={"project": project, "id": id},
            query={"only": only, "scorer": scorer, "order": order, "cursor": cursor, "limit": limit},
        )

    def resume(
        self, id: str, *, max_cost: Decimal | None | UnsetType = UNSET, project: str | None = None
    ) -> EvaluationRun:
        """Go on with an evaluation that failed, was cancelled or stopped at its cap; what is stored is not asked again.

        Args:
            id: Its id.
            max_cost: The new cap in US dollars, of the whole run; null to leave it as it is.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/evaluations/{id}/resume",
            EvaluationRun,
            path={"project": project, "id": id},
            body={"max_cost": max_cost},
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
        self,
        *,
        repeats: int | None | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        per_minute: float | None | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        cache: bool | UnsetType = UNSET,
        suite: str,
        subject: str | UnsetType = UNSET,
        asked: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> EvaluationRun:
        """Put a version through a suite, as a job; follow it with evaluations.show. What it would cost says evaluations.plan.

        Args:
            repeats: How often each example is asked; null for what the suite says.
            concurrency: Calls under way at the same time, 1 to 64.
            per_minute: Calls that may begin in a minute; null for no limit but that of the gateway.
            timeout_s: Seconds after which a call counts as timed out.
            max_cost: US dollars that the run may cost, judges and all; it stops before a call that could pass
                them, and an answer whose judges the cap cut off is judged when the run goes on. Null for no cap.
            cache: Whether an answer that an earlier run got for the same content and the same repeat is taken
                instead of asking.
            suite: Reference of the suite: `suite:help/questions`.
            subject: Reference of the version under test: `prompt:help/answer@v2`; without one the suite's task.
            asked: The name that `subject` was looked up by before, to be noted with the run; without one
                `subject` itself.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/evaluations",
            EvaluationRun,
            path={"project": project},
            body={
                "repeats": repeats,
                "concurrency": concurrency,
                "per_minute": per_minute,
                "timeout_s": timeout_s,
                "max_cost": max_cost,
                "cache": cache,
                "suite": suite,
                "subject": subject,
                "asked": asked,
            },
        )
