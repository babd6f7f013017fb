"""Prompts: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.faces.client.group import Group
from gimbal.generative.prompts.model import PromptFile, PromptView, RenderedPrompt, SyncReport
from gimbal.kernel.refs import Ref


class Prompts(Group):
    """Messages with placeholders, as versions, synced from files."""

    def render(
        self, ref: Ref | str, *, variables: dict[str, str] | UnsetType = UNSET, project: str | None = None
    ) -> RenderedPrompt:
        """Fill a prompt's placeholders and return the messages that would be sent.

        Strict: a variable that is missing or unknown is an error. Values are inserted as they are and never expanded.

        Args:
            ref: Reference such as model:flights/delay@production.
            variables: Value by name; exactly the prompt's variables.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prompts/{ref}/render",
            RenderedPrompt,
            path={"project": project, "ref": ref},
            body={"variables": variables},
        )

    def show(self, ref: Ref | str, *, project: str | None = None) -> PromptView:
        """Show one version of a prompt: messages, model, parameters, variables, retrieval.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/prompts/{ref}", PromptView, path={"project": project, "ref": ref}
        )

    def sync(self, *, files: list[PromptFile], note: str | UnsetType = UNSET, project: str | None = None) -> SyncReport:
        """Turn prompt files into versions.

        All files are checked before anything is written; a mistake is named as `path:line`. Files that say what a version
        already says make no new one, so syncing twice changes nothing.

        Args:
            files: Prompt files with their paths below the synced folder.
            note: Why, for the history of the versions; a commit id is a good note.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/prompts/sync",
            SyncReport,
            path={"project": project},
            body={"files": files, "note": note},
        )
