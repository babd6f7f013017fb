"""Guards: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.assets.model import Asset
from gimbal.faces.client.group import Group
from gimbal.generative.guards.views import PolicyView, PublishedPolicy, Tried
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref


class Guards(Group):
    """What calls may say and answers may hold: guards that block, mask or flag."""

    def check(
        self,
        ref: Ref | str,
        *,
        text: str,
        direction: Literal["input", "output"] | UnsetType = UNSET,
        project: str | None = None,
    ) -> Tried:
        """Tell what a policy makes of a text: what each guard finds, and what would go on; nothing is sent or kept.

        Args:
            ref: Reference such as model:flights/delay@production.
            text: The text.
            direction: Whether it is what is asked or what is answered.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/policies/{ref}/check",
            Tried,
            path={"project": project, "ref": ref},
            body={"text": text, "direction": direction},
        )

    def list(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[Asset]:
        """List the policies of a project with their aliases, by name.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/policies",
            Page[Asset],
            path={"project": project},
            query={"cursor": cursor, "limit": limit},
        )

    def publish(
        self,
        *,
        text: str,
        name: str | UnsetType = UNSET,
        path: str | UnsetType = UNSET,
        note: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> PublishedPolicy:
        """Turn a policy file into a version.

        The whole file is checked before anything is written; a mistake is named as `path:line`. A file that says what a
        version already says makes no new one. Calls are under `policy:gateway@production`, where a project has it.

        Args:
            text: The file's whole text, in TOML.
            name: The policy's name; empty: as the file says.
            path: What the file is called, for messages.
            note: Why, for the history of the versions; a commit id is a good note.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/policies",
            PublishedPolicy,
            path={"project": project},
            body={"text": text, "name": name, "path": path, "note": note},
        )

    def show(self, ref: Ref | str, *, project: str | None = None) -> PolicyView:
        """Show one version of a policy: its guards in order.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/policies/{ref}", PolicyView, path={"project": project, "ref": ref}
        )
