"""What goes in and out of the operations on policies."""

from typing import Annotated

import msgspec

from gimbal.generative.guards.model import Action, Direction, PolicyManifest


class PublishPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy file."""

    text: str
    """The file's whole text, in TOML."""
    name: str = ""
    """The policy's name; empty: as the file says."""
    path: str = "policy.toml"
    """What the file is called, for messages."""
    note: str = ""
    """Why, for the history of the versions; a commit id is a good note."""


class PublishedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The version that a file is now."""

    ref: str
    """`policy:gateway@v2`."""
    state: str
    """`created` (a new version), `unchanged` (the newest version already says this) or `reverted` (an older one does)."""


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a policy."""

    ref: str
    digest: str
    manifest: PolicyManifest


class TryPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to try a policy with; nothing is sent, and nothing of it is kept."""

    text: Annotated[str, msgspec.Meta(max_length=1_000_000)]
    """The text."""
    direction: Direction = "input"
    """Whether it is what is asked or what is answered."""


class TriedGuard(msgspec.Struct, frozen=True, kw_only=True):
    """What one guard made of it."""

    name: str
    did: str
    """`ran`, or `skipped` for a guard of the other direction."""
    action: Action
    """What it does about what it finds."""
    found: dict[str, int]
    """How many of each kind."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy makes of a text."""

    ref: str
    text: str
    """As it would go on; what a guard blocks is masked here."""
    blocked_by: str
    """The first guard that would refuse the call; empty when none does."""
    guards: list[TriedGuard]
