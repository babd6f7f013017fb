"""Studies: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.runs.studies.model import Changed, Report, Study, Trial, TrialParam, Trials
from gimbal.faces.client.group import Group
from gimbal.kernel.pages import Page


class Studies(Group):
    """Searches for good parameters; each trial is a run."""

    def begin(
        self,
        study: str,
        *,
        run_id: str | None | UnsetType = UNSET,
        state: Literal["waiting", "running", "complete", "pruned", "fail"] | UnsetType = UNSET,
        values: list[float | Literal["NaN", "Infinity", "-Infinity"]] | None | UnsetType = UNSET,
        params: dict[str, TrialParam] | UnsetType = UNSET,
        reports: list[Report] | UnsetType = UNSET,
        user_attrs: dict[str, str] | UnsetType = UNSET,
        system_attrs: dict[str, str] | UnsetType = UNSET,
        started_at: datetime | None | UnsetType = UNSET,
        ended_at: datetime | None | UnsetType = UNSET,
        beat_s: int | None | UnsetType = UNSET,
        owner: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Trial:
        """Begin a trial with the next number, or put one in line.

        Args:
            study: Number of the study, or its name.
            run_id: UUIDv7 of its run, chosen by the sender, so that a repeated request makes one trial.
            state: `waiting` puts it in line; the others begin it, or tell of one that has ended.
            values: One per objective, of one that is complete.
            params: First parameters.
            reports: First intermediate values.
            user_attrs: What people note, as JSON texts.
            system_attrs: What Optuna notes, as JSON texts.
            started_at: When it began, if not now.
            ended_at: When it ended, if it has.
            beat_s: The sender promises to be heard of so often, in seconds; one that is silent for three times
                that is dead.
            owner: Who works on it.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/studies/{study}/trials",
            Trial,
            path={"project": project, "study": study},
            body={
                "run_id": run_id,
                "state": state,
                "values": values,
                "params": params,
                "reports": reports,
                "user_attrs": user_attrs,
                "system_attrs": system_attrs,
                "started_at": started_at,
                "ended_at": ended_at,
                "beat_s": beat_s,
                "owner": owner,
            },
        )

    def change(
        self,
        trial: int,
        *,
        state: Literal["waiting", "running", "complete", "pruned", "fail"] | None | UnsetType = UNSET,
        values: list[float | Literal["NaN", "Infinity", "-Infinity"]] | None | UnsetType = UNSET,
        params: dict[str, TrialParam] | UnsetType = UNSET,
        reports: list[Report] | UnsetType = UNSET,
        user_attrs: dict[str, str] | UnsetType = UNSET,
        system_attrs: dict[str, str] | UnsetType = UNSET,
        owner: str | UnsetType = UNSET,
        error: str | UnsetType = UNSET,
        beat_s: int | None | UnsetType = UNSET,
        at: datetime | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> Changed:
        """Change a trial that has not ended, claim one that waits, or end it; of several who claim it one gets it.

        Args:
            trial: Id of the trial, not its number.
            state: `running` claims one that waits; the others end it.
            values: One per objective.
            params: Parameters to set.
            reports: Intermediate values to set; one of the same step is replaced.
            user_attrs: What people note, as JSON texts.
            system_attrs: What Optuna notes, as JSON texts.
            owner: Who claims it: the same sender may claim it twice.
            error: Why it failed.
            beat_s: Who claims it promises to be heard of so often, in seconds; one that is silent for three
                times that is dead.
            at: When the reports were made, so that a repeated request makes the same points; now when left out.
        """
        return self._transport.call(
            "PATCH",
            "/projects/{project}/trials/{trial}",
            Changed,
            path={"project": project, "trial": trial},
            body={
                "state": state,
                "values": values,
                "params": params,
                "reports": reports,
                "user_attrs": user_attrs,
                "system_attrs": system_attrs,
                "owner": owner,
                "error": error,
                "beat_s": beat_s,
                "at": at,
            },
        )

    def create(
        self,
        *,
        name: str,
        directions: list[Literal["minimize", "maximize"]],
        experiment: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Study:
        """Begin a study.

        Args:
            name: Unique in the project.
            directions: Of each objective, whether small or large values are good.
            experiment: Where the runs of its trials are.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/studies",
            Study,
            path={"project": project},
            body={"name": name, "directions": directions, "experiment": experiment},
        )

    def delete(self, study: str, *, project: str | None = None) -> Study:
        """Delete a study; the runs of its trials go out of lists and can be restored one by one.

        Args:
            study: Number of the study, or its name.
        """
        return self._transport.call(
            "DELETE", "/projects/{project}/studies/{study}", Study, path={"project": project, "study": study}
        )

    def list(
        self, *, name: str | None = None, cursor: str | None = None, limit: int = 50, project: str | None = None
    ) -> Page[Study]:
        """List studies, newest first.

        Args:
            name: Only the one of this name.
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/studies",
            Page[Study],
            path={"project": project},
            query={"name": name, "cursor": cursor, "limit": limit},
        )

    def show(self, study: str, *, project: str | None = None) -> Study:
        """Show a study.

        Args:
            study: Number of the study, or its name.
        """
        return self._transport.call(
            "GET", "/projects/{project}/studies/{study}", Study, path={"project": project, "study": study}
        )

    def silent(self, study: str, *, project: str | None = None) -> list[int]:
        """List the ids of trials that are said to run, and whose sender is not heard of any more.

        Args:
            study: Number of the study, or its name.
        """
        return self._transport.call(
            "GET", "/projects/{project}/studies/{study}/silent", list[int], path={"project": project, "study": study}
        )

    def trial(self, trial: int, *, project: str | None = None) -> Trial:
        """Show a trial.

        Args:
            trial: Id of the trial, not its number.
        """
        return self._transport.call(
            "GET", "/projects/{project}/trials/{trial}", Trial, path={"project": project, "trial": trial}
        )

    def trials(self, study: str, *, after: int = -1, limit: int = 1000, project: str | None = None) -> Trials:
        """List the trials of a study in the order of their changes, so that one can ask for what is new.

        Args:
            study: Number of the study, or its name.
            after: Only those that changed after this revision; -1 for all.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/studies/{study}/trials",
            Trials,
            path={"project": project, "study": study},
            query={"after": after, "limit": limit},
        )

    def update(
        self,
        study: str,
        *,
        user_attrs: dict[str, str] | UnsetType = UNSET,
        system_attrs: dict[str, str] | UnsetType = UNSET,
        project: str | None = None,
    ) -> Study:
        """Set attributes of a study.

        Args:
            study: Number of the study, or its name.
            user_attrs: What people note, as JSON texts.
            system_attrs: What Optuna notes, as JSON texts.
        """
        return self._transport.call(
            "PATCH",
            "/projects/{project}/studies/{study}",
            Study,
            path={"project": project, "study": study},
            body={"user_attrs": user_attrs, "system_attrs": system_attrs},
        )
