"""Routes: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from gimbal.axis.assets.model import Asset
from gimbal.faces.client.group import Group
from gimbal.generative.gateway.routes.views import Chosen, PublishedRoute, RouteView
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref


class Routes(Group):
    """Which model answers a call: fallbacks, splits, rules, shadows, as versions."""

    def choose(
        self,
        ref: Ref | str,
        *,
        feature: str | UnsetType = UNSET,
        user: str | UnsetType = UNSET,
        session: str | UnsetType = UNSET,
        tags: list[str] | UnsetType = UNSET,
        model: str | UnsetType = UNSET,
        key_name: str | UnsetType = UNSET,
        stream: bool | UnsetType = UNSET,
        tools: bool | UnsetType = UNSET,
        vision: bool | UnsetType = UNSET,
        json_schema: bool | UnsetType = UNSET,
        input_tokens: int | UnsetType = UNSET,
        answer_tokens: int | None | UnsetType = UNSET,
        project: str | None = None,
    ) -> Chosen:
        """Tell what a route would choose for a call, and why; nothing is sent.

        Where chance decides, another try may choose otherwise. Latencies and breakers are those of the process that answers.

        Args:
            ref: Reference such as model:flights/delay@production.
            feature: For what it is made.
            user: For whom.
            session: In which session.
            tags: Its tags.
            model: The model that is asked for, where a rule looks at it.
            key_name: Name of the caller's key.
            stream: Whether the answer is streamed.
            tools: Whether it brings tools.
            vision: Whether it shows images.
            json_schema: Whether the answer must follow a JSON schema.
            input_tokens: Tokens of its input.
            answer_tokens: Tokens that its answer may have.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/routes/{ref}/choose",
            Chosen,
            path={"project": project, "ref": ref},
            body={
                "feature": feature,
                "user": user,
                "session": session,
                "tags": tags,
                "model": model,
                "key_name": key_name,
                "stream": stream,
                "tools": tools,
                "vision": vision,
                "json_schema": json_schema,
                "input_tokens": input_tokens,
                "answer_tokens": answer_tokens,
            },
        )

    def list(self, *, cursor: str | None = None, limit: int = 50, project: str | None = None) -> Page[Asset]:
        """List the routes of a project with their aliases, by name.

        Args:
            cursor: `next` of the page before; leave out for the first page.
            limit: How many items at most, 1 to 1000.
        """
        return self._transport.call(
            "GET",
            "/projects/{project}/routes",
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
    ) -> PublishedRoute:
        """Turn a route file into a version.

        The whole file is checked before anything is written; a mistake is named as `path:line`. A file that says what a
        version already says makes no new one. An alias decides which version is called: `route:support@production`.

        Args:
            text: The file's whole text, in TOML.
            name: The route's name; empty: as the file says.
            path: What the file is called, for messages.
            note: Why, for the history of the versions; a commit id is a good note.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/routes",
            PublishedRoute,
            path={"project": project},
            body={"text": text, "name": name, "path": path, "note": note},
        )

    def show(self, ref: Ref | str, *, project: str | None = None) -> RouteView:
        """Show one version of a route, and how its models fare in the process that answers.

        Args:
            ref: Reference such as model:flights/delay@production.
        """
        return self._transport.call(
            "GET", "/projects/{project}/routes/{ref}", RouteView, path={"project": project, "ref": ref}
        )
