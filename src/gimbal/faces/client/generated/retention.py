"""Retention: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from gimbal.axis.retention.model import Erasure, Proof, ProofCheck, RetentionTerms
from gimbal.engines.compute.model import Job
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Retention(Group):
    """How long data are kept, erasure of users, and proof of deletion."""

    def download(self, id: str, *, project: str | None = None) -> Iterator[bytes]:
        """Download a proof as a JSON file.

        Args:
            id: Its id.
        """
        return self._transport.download(
            "/projects/{project}/retention/proofs/{id}/file", path={"project": project, "id": id}
        )

    def erase(
        self,
        *,
        user: str,
        reason: str,
        sessions: bool | UnsetType = UNSET,
        keep_costs: bool | UnsetType = UNSET,
        dry_run: bool | UnsetType = UNSET,
        project: str | None = None,
    ) -> Erasure:
        """Erase what is stored of a user: every trace that names them, whole, its scores and payloads; a job does it.

        With `dry_run` it only counts. What they do after this moment is new and stays; what comes late from before is erased
        again, and so is what a restored backup brings back. The id itself is not kept.

        Args:
            user: The user id, exactly as spans have it. It is kept nowhere: only a salted hash is.
            reason: Why, for the record; do not name the person here.
            sessions: Whether all traces of the sessions go, too, in which the user was named.
            keep_costs: Whether calls stay as anonymous rows: the hour, model, feature, tokens and cost, and
                nothing else.
            dry_run: Only count what would go.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/retention/erasures",
            Erasure,
            path={"project": project},
            body={"user": user, "reason": reason, "sessions": sessions, "keep_costs": keep_costs, "dry_run": dry_run},
        )

    def erasure(self, id: str, *, project: str | None = None) -> Erasure:
        """Show one erasure.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/retention/erasures/{id}", Erasure, path={"project": project, "id": id}
        )

    def erasures(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[Erasure]:
        """List erasures, newest first, with how far they are.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/retention/erasures",
            Page[Erasure],
            path={"project": project},
            query={"cursor": cursor, "limit": limit},
        )

    def proof(self, id: str, *, project: str | None = None) -> Proof:
        """Show one proof of deletion: what went, since when no query finds it, and since when it is off the disk.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "GET", "/projects/{project}/retention/proofs/{id}", Proof, path={"project": project, "id": id}
        )

    def proofs(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[Proof]:
        """List proofs of deletion, newest first.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/retention/proofs",
            Page[Proof],
            path={"project": project},
            query={"cursor": cursor, "limit": limit},
        )

    def run(self, *, project: str | None = None) -> Job:
        """Delete what is past its term now, as a job, instead of waiting for the daily run."""
        return self._transport.call("POST", "/projects/{project}/retention/run", Job, path={"project": project})

    def set(
        self,
        *,
        keep_days: dict[str, int | None] | UnsetType = UNSET,
        hold: bool | None | UnsetType = UNSET,
        hold_reason: str | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> RetentionTerms:
        """Set for how many days data classes are kept, and whether a legal hold is on.

        A daily run deletes what is past its term. Under a legal hold nothing is deleted, by terms or by erasures.

        Args:
            keep_days: Days by data class; null keeps for ever. Classes that are left out stay as they are.
            hold: Whether a legal hold is on: then nothing is deleted, whatever the days say. Null leaves it as
                it is.
            hold_reason: Why: shown wherever something is not deleted because of it.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/retention",
            RetentionTerms,
            path={"project": project},
            body={"keep_days": keep_days, "hold": hold, "hold_reason": hold_reason},
        )

    def show(self, *, project: str | None = None) -> RetentionTerms:
        """Show how long each data class is kept, what is stored of it and what is due."""
        return self._transport.call("GET", "/projects/{project}/retention", RetentionTerms, path={"project": project})

    def verify(self, id: str, *, project: str | None = None) -> ProofCheck:
        """Look again whether a proof holds: its hash, that no query finds what went, and that no old part is on the disk.

        Args:
            id: Its id.
        """
        return self._transport.call(
            "POST", "/projects/{project}/retention/proofs/{id}/verify", ProofCheck, path={"project": project, "id": id}
        )
