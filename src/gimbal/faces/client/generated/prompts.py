"""Prompts: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from gimbal.faces.client.group import Group
from gimbal.generative.gateway.optimising.model import Optimisation, OptimisationPlan, WeightedMark
from gimbal.generative.prompts.model.exchange import (
    PromptDiff,
    PromptFile,
    PromptView,
    RenderedPrompt,
    SeenPrompt,
    SyncPlan,
    SyncReport,
)
from gimbal.generative.prompts.model.usage import PromptUsage
from gimbal.kernel.refs import Ref


class Prompts(Group):
    """Messages with placeholders, as versions, synced from files."""

    def diff(self, ref: Ref | str, *, to: str, project: str | None = None) -> PromptDiff:
        """Compare two versions: line by line in their files, and in what they mean.

        The second says what changed in the model, parameters, variables, tools, schema, messages and inclusions.

        Args:
            ref: Reference such as model:flights/delay@production.
            to: Reference of the other version.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/prompts/{ref}/diff",
            PromptDiff,
            path={"project": project, "ref": ref},
            query={"to": to},
        )

    def optimise(
        self,
        ref: Ref | str,
        *,
        suite: str,
        marks: list[WeightedMark] | UnsetType = UNSET,
        methods: list[Literal["few_shot", "reflection"]] | UnsetType = UNSET,
        reflector: str | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        rounds: int | UnsetType = UNSET,
        max_calls: int | None | UnsetType = UNSET,
        minibatch: int | UnsetType = UNSET,
        validation: float | UnsetType = UNSET,
        seed: int | UnsetType = UNSET,
        margin: float | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
        project: str | None = None,
    ) -> Optimisation:
        """Search for a better version of a prompt by a suite, as a job; follow it with optimisations.show.

        Candidates are made and chosen on one part of the suite. The best of them is compared with the start on the other, and
        becomes a version unless it is worse; the alias `candidate` moves to it when it is better.

        Args:
            ref: Reference such as model:flights/delay@production.
            suite: Reference of the suite: `suite:help/questions`.
            marks: Scorers of the suite to improve; without any its first that gives a mark.
            methods: `few_shot` puts examples before the question, `reflection` rewrites instructions from what
                failed.
            reflector: Model that writes instructions; the prompt's own without one.
            max_cost: US dollars that all of it may cost; needed unless every call is free.
            rounds: Candidates that are tried, at most.
            max_calls: Answers and reflections that the search may take; null for as many as the rounds need.
            minibatch: Examples that a reflection looks at.
            validation: Share of the suite's clusters that is held out for the proof.
            seed: Of the split and of every choice by chance.
            margin: Differences within ± this count as equivalent.
            concurrency: Calls under way at the same time.
            timeout_s: Seconds after which a call counts as timed out.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prompts/{ref}/optimise",
            Optimisation,
            path={"project": project, "ref": ref},
            body={
                "suite": suite,
                "marks": marks,
                "methods": methods,
                "reflector": reflector,
                "max_cost": max_cost,
                "rounds": rounds,
                "max_calls": max_calls,
                "minibatch": minibatch,
                "validation": validation,
                "seed": seed,
                "margin": margin,
                "concurrency": concurrency,
                "timeout_s": timeout_s,
            },
        )

    def optimise_plan(
        self,
        ref: Ref | str,
        *,
        suite: str,
        marks: list[WeightedMark] | UnsetType = UNSET,
        methods: list[Literal["few_shot", "reflection"]] | UnsetType = UNSET,
        reflector: str | UnsetType = UNSET,
        max_cost: Decimal | None | UnsetType = UNSET,
        rounds: int | UnsetType = UNSET,
        max_calls: int | None | UnsetType = UNSET,
        minibatch: int | UnsetType = UNSET,
        validation: float | UnsetType = UNSET,
        seed: int | UnsetType = UNSET,
        margin: float | UnsetType = UNSET,
        concurrency: int | UnsetType = UNSET,
        timeout_s: float | UnsetType = UNSET,
        project: str | None = None,
    ) -> OptimisationPlan:
        """Tell what an optimisation would ask and cost, and what it could find, without asking anything.

        Args:
            ref: Reference such as model:flights/delay@production.
            suite: Reference of the suite: `suite:help/questions`.
            marks: Scorers of the suite to improve; without any its first that gives a mark.
            methods: `few_shot` puts examples before the question, `reflection` rewrites instructions from what
                failed.
            reflector: Model that writes instructions; the prompt's own without one.
            max_cost: US dollars that all of it may cost; needed unless every call is free.
            rounds: Candidates that are tried, at most.
            max_calls: Answers and reflections that the search may take; null for as many as the rounds need.
            minibatch: Examples that a reflection looks at.
            validation: Share of the suite's clusters that is held out for the proof.
            seed: Of the split and of every choice by chance.
            margin: Differences within ± this count as equivalent.
            concurrency: Calls under way at the same time.
            timeout_s: Seconds after which a call counts as timed out.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prompts/{ref}/optimise/plan",
            OptimisationPlan,
            path={"project": project, "ref": ref},
            body={
                "suite": suite,
                "marks": marks,
                "methods": methods,
                "reflector": reflector,
                "max_cost": max_cost,
                "rounds": rounds,
                "max_calls": max_calls,
                "minibatch": minibatch,
                "validation": validation,
                "seed": seed,
                "margin": margin,
                "concurrency": concurrency,
                "timeout_s": timeout_s,
            },
        )

    def plan(
        self,
        *,
        files: list[PromptFile],
        note: str | UnsetType = UNSET,
        seen: list[SeenPrompt] | UnsetType = UNSET,
        project: str | None = None,
    ) -> SyncPlan:
        """Say what a sync of prompt files would do, file by file, and what would differ. Nothing is written.

        Prompts that are on the server and not among the files are listed and left alone.

        Args:
            files: Prompt files with their paths below the synced folder.
            note: Why, for the history of the versions; a commit id is a good note.
            seen: What `prompts.plan` said of the files; where the server is not as it was then, nothing is
                written.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prompts/plan",
            SyncPlan,
            path={"project": project},
            body={"files": files, "note": note, "seen": seen},
        )

    def render(
        self, ref: Ref | str, *, variables: dict[str, Any] | UnsetType = UNSET, project: str | None = None
    ) -> RenderedPrompt:
        """Fill a prompt's placeholders and return the messages that would be sent.

        Strict: a variable that is missing, unknown or of another type is an error. Values are inserted as they are and never
        expanded; lists and objects are for loops and paths, and are inserted as JSON.

        Args:
            ref: Reference such as model:flights/delay@production.
            variables: Value by name: any JSON. Those that have a default may be left out.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prompts/{ref}/render",
            RenderedPrompt,
            path={"project": project, "ref": ref},
            body={"variables": variables},
        )

    def show(self, ref: Ref | str, *, project: str | None = None) -> PromptView:
        """Show one version of a prompt: messages, model, parameters, variables, tools, retrieval.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/prompts/{ref}", PromptView, path={"project": project, "ref": ref}
        )

    def source(self, ref: Ref | str, *, project: str | None = None) -> Iterator[bytes]:
        """Download the file that a version was made of, byte for byte; for one that was made without a file it is written.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.download(
            "/projects/{project}/prompts/{ref}/source", path={"project": project, "ref": ref}
        )

    def sync(
        self,
        *,
        files: list[PromptFile],
        note: str | UnsetType = UNSET,
        seen: list[SeenPrompt] | UnsetType = UNSET,
        project: str | None = None,
    ) -> SyncReport:
        """Turn prompt files into versions.

        All files are checked before anything is written; a mistake is named as `path:line`. Files that say what a version
        already says make no new one, so syncing twice changes nothing. What a prompt includes is looked up and pinned.

        Args:
            files: Prompt files with their paths below the synced folder.
            note: Why, for the history of the versions; a commit id is a good note.
            seen: What `prompts.plan` said of the files; where the server is not as it was then, nothing is
                written.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prompts/sync",
            SyncReport,
            path={"project": project},
            body={"files": files, "note": note, "seen": seen},
        )

    def usage(
        self,
        ref: Ref | str,
        *,
        since: datetime | None = None,
        by: list[str] | None = None,
        limit: int = 50,
        project: str | None = None,
    ) -> PromptUsage:
        """Tell who used a prompt, in which version, when, how often and for how much, by the stored traces.

        Without a version in the reference all versions are told, each by itself.

        Args:
            ref: Reference such as model:flights/delay@production.
            since: Used at or after this; 30 days ago unless told.
            by: Callers are told apart by these: key, feature, service (unless told, these three) and user.
            limit: How many at most, 1 to 1000; the latest use comes first.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/prompts/{ref}/usage",
            PromptUsage,
            path={"project": project, "ref": ref},
            query={"since": since, "by": by, "limit": limit},
        )
