"""Scores: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.axis.scores.model import NewScore, Score, ScoreTarget
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Scores(Group):
    """Judgements by code, judges, people and users."""

    def list(
        self,
        *,
        target_kind: ScoreTarget | None = None,
        target_id: str | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> Page[Score]:
        """List scores, newest first.

        Args:
            target_kind: Only judgements of this kind of thing.
            target_id: Only judgements of this one.
            name: Only this score.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/scores",
            Page[Score],
            path={"project": project},
            query={"target_kind": target_kind, "target_id": target_id, "name": name, "cursor": cursor, "limit": limit},
        )

    def record(self, *, scores: list[NewScore], project: str | None = None) -> list[Score]:
        """Record judgements of spans, traces, sessions, examples, runs or predictions.

        Args:
            scores: 1 to 10,000 of them.
        """
        return self._transport.call(
            "POST", "/projects/{project}/scores", list[Score], path={"project": project}, body={"scores": scores}
        )
