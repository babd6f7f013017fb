"""The policy: what is looked for, where, and what takes its place."""

from datetime import datetime
from typing import Literal

import msgspec

Action = Literal["mask", "hash", "token", "drop"]
Identity = Literal["scan", "hash", "token", "drop"]
Field = Literal["attributes", "events", "status_message", "name", "resource", "scores"]
FIELDS: tuple[Field, ...] = ("attributes", "events", "status_message", "name", "resource", "scores")
MARK = "gimbal.redaction"
"""Attribute that says how many of what were taken out."""
USER, SESSION = "user", "session"
"""What takes the place of the ids of users and sessions is called."""
FAILED, LATE = "failed", "timeout"
"""Why a text was replaced as a whole: its detectors failed, or ran out of their time."""


class CustomPattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern of the project's own."""

    kind: str
    """What its findings are called: small letters, digits and underscores."""
    pattern: str
    """In RE2's syntax: no look-around, no back references."""


class SetRedaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is taken out of what comes in, before it is stored."""

    detectors: list[str] = []
    """Detectors or families of them: contact, payment, national_id, network, secret; none takes nothing out."""
    patterns: list[CustomPattern] = []
    """Patterns of the project's own, in RE2's syntax, up to 50."""
    action: Action = "mask"
    """What takes the place of a finding: mask writes its kind, hash a keyed digest of it, the same for the same value, token
    what can be undone with the key; drop takes the whole text that it stands in."""
    actions: dict[str, Action] = {}
    """Other actions, by detector, family or kind of a pattern."""
    fields: list[Field] = []
    """Where it is looked for; empty means everywhere. attributes are what a span says, with the input, output and documents made of it; events are
    its events, exceptions and links and the GenAI events of logs."""
    users: Identity = "scan"
    """What becomes of the ids of end users: scan treats them as any text, the others replace each of them."""
    sessions: Identity = "scan"
    """What becomes of the ids of sessions, likewise."""
    allow: list[str] = []
    """Findings that stay: as they stand there, in any case; * stands for anything: *@example.com."""
    allow_keys: list[str] = []
    """Attributes, and fields in them, that are not looked into; * stands for anything."""

    @property
    def is_on(self) -> bool:
        """Whether anything is taken out."""
        return bool(self.detectors or self.patterns or self.users != "scan" or self.sessions != "scan")

    @property
    def needs_key(self) -> bool:
        """Whether any action needs a key."""
        return not {"hash", "token"}.isdisjoint([self.action, *self.actions.values(), self.users, self.sessions])


class RedactionPolicy(SetRedaction, frozen=True, kw_only=True):
    """A project's policy, and who said so."""

    updated_at: datetime | None = None
    """Null while nobody has said anything: then nothing is taken out."""
    updated_by: str = ""
    keys: list[str] = []
    """Ids of the keys of this installation; the first makes new tokens, the last makes hashes."""
    problem: str = ""
    """What is wrong with the keys; findings that need one are masked meanwhile."""


OFF = RedactionPolicy()


class TryRedaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to try a policy on."""

    text: str
    """Any text, or JSON; nothing of it is stored."""
    policy: SetRedaction | None = None
    """A policy that is not set; null means the project's."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One finding, in characters of the text."""

    kind: str
    start: int
    end: int
    action: str
    """mask, hash, token or drop."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy makes of a text."""

    text: str
    """As it would be stored."""
    found: list[Found]
    """Findings in the text as it was given. Of JSON the texts in it are read one by one when it is stored, so that there
    may be others."""
    counts: dict[str, int]
    """How many of what were taken out."""


class Reveal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to undo, and why."""

    reason: str
    """Stands in the audit log."""
    tokens: list[str] = []
    """Tokens, or texts with tokens in them."""
    trace_id: str = ""
    """With `span_id`: all tokens of that span."""
    span_id: str = ""
    """With `trace_id`."""


class Revealed(msgspec.Struct, frozen=True, kw_only=True):
    """What stood in the places of tokens."""

    values: dict[str, str]
    """By token."""
    refused: dict[str, str]
    """Why a token could not be undone, by token."""
