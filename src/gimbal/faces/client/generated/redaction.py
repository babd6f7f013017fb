"""Redaction: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from gimbal.axis.traces.redaction.model import CustomPattern, RedactionPolicy, Revealed, SetRedaction, Tried
from gimbal.faces.client.group import Group


class Redaction(Group):
    """What is taken out of spans, events and scores before they are stored."""

    def recommended(self, *, project: str | None = None) -> RedactionPolicy:
        """Set the recommended policy: contacts, cards and accounts, national ids and secrets are masked everywhere."""
        return self._transport.call(
            "POST", "/projects/{project}/redaction/recommended", RedactionPolicy, path={"project": project}
        )

    def reveal(
        self,
        *,
        reason: str,
        tokens: list[str] | UnsetType = UNSET,
        trace_id: str | UnsetType = UNSET,
        span_id: str | UnsetType = UNSET,
        project: str | None = None,
    ) -> Revealed:
        """Undo tokens: return what stood in their places, of a span or of any text with tokens in it.

        The audit log keeps who asked, why and for how many, never a value. Tokens of other projects, altered ones and those
        whose key is gone are refused one by one.

        Args:
            reason: Stands in the audit log.
            tokens: Tokens, or texts with tokens in them.
            trace_id: With `span_id`: all tokens of that span.
            span_id: With `trace_id`.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/redaction/reveal",
            Revealed,
            path={"project": project},
            body={"reason": reason, "tokens": tokens, "trace_id": trace_id, "span_id": span_id},
        )

    def set(
        self,
        *,
        detectors: list[str] | UnsetType = UNSET,
        patterns: list[CustomPattern] | UnsetType = UNSET,
        action: Literal["mask", "hash", "token", "drop"] | UnsetType = UNSET,
        actions: dict[str, Literal["mask", "hash", "token", "drop"]] | UnsetType = UNSET,
        fields: list[Literal["attributes", "events", "status_message", "name", "resource", "scores"]]
        | UnsetType = UNSET,
        users: Literal["scan", "hash", "token", "drop"] | UnsetType = UNSET,
        sessions: Literal["scan", "hash", "token", "drop"] | UnsetType = UNSET,
        allow: list[str] | UnsetType = UNSET,
        allow_keys: list[str] | UnsetType = UNSET,
        project: str | None = None,
    ) -> RedactionPolicy:
        """Set what is taken out of what comes in from now on; every process follows within a second.

        What is stored already stays as it is. A policy with hash or token needs a key.

        Args:
            detectors: Detectors or families of them: contact, payment, national_id, network, secret; none takes
                nothing out.
            patterns: Patterns of the project's own, in RE2's syntax, up to 50.
            action: What takes the place of a finding: mask writes its kind, hash a keyed digest of it, the same
                for the same value, token what can be undone with the key; drop takes the whole text that it stands
                in.
            actions: Other actions, by detector, family or kind of a pattern.
            fields: Where it is looked for; empty means everywhere. attributes are what a span says, with the
                input, output and documents made of it; events are its events, exceptions and links and the GenAI
                events of logs.
            users: What becomes of the ids of end users: scan treats them as any text, the others replace each
                of them.
            sessions: What becomes of the ids of sessions, likewise.
            allow: Findings that stay: as they stand there, in any case; * stands for anything: *@example.com.
            allow_keys: Attributes, and fields in them, that are not looked into; * stands for anything.
        """
        return self._transport.call(
            "PUT",
            "/projects/{project}/redaction",
            RedactionPolicy,
            path={"project": project},
            body={
                "detectors": detectors,
                "patterns": patterns,
                "action": action,
                "actions": actions,
                "fields": fields,
                "users": users,
                "sessions": sessions,
                "allow": allow,
                "allow_keys": allow_keys,
            },
        )

    def show(self, *, project: str | None = None) -> RedactionPolicy:
        """Show the project's policy, and which keys this installation has; never the keys themselves."""
        return self._transport.call("GET", "/projects/{project}/redaction", RedactionPolicy, path={"project": project})

    def test(self, *, text: str, policy: SetRedaction | None | UnsetType = UNSET, project: str | None = None) -> Tried:
        """Show what a policy makes of a text; nothing of it is stored.

        Args:
            text: Any text, or JSON; nothing of it is stored.
            policy: A policy that is not set; null means the project's.
        """
        return self._transport.call(
            "POST",
            "/projects/{project}/redaction/test",
            Tried,
            path={"project": project},
            body={"text": text, "policy": policy},
        )
