"""Prompts: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, UnsetType

from gimbal.faces.client.group import Group
from gimbal.generative.prompts.model.exchange import (
    PromptDiff,
    PromptFile,
    PromptView,
    RenderedPrompt,
    SeenPrompt,
    SyncPlan,
    SyncReport,
)
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
