"""Records of projects, members, keys and the audit; pure rules of the hash chain."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from gimbal.kernel.context import Role
from gimbal.kernel.events import Event


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The boundary for members, keys, quotas and retention."""

    slug: str
    """Its name in addresses."""
    title: str
    """Its name for people."""
    created_at: datetime
    archived: bool = False
    """Archived projects can be read and not changed."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person with a role in one project."""

    id: str
    email: str
    name: str
    role: Role
    added_at: datetime
    added_by: str


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: str
    name: str
    """What it is for."""
    prefix: str
    """The first characters of the secret, to recognise it by."""
    role: Role
    project: str | None
    """Project that it is for; null for the whole installation."""
    created_at: datetime
    created_by: str
    member_id: str | None = None
    """Member whose key it is; null for a service."""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    """When it was last used, to the hour; null means never."""
    feature: str = ""
    """What model calls with it are for, where the caller does not say."""
    user: str = ""
    """For whom they are then."""
    tags: list[str] = []
    """Which tags they have then."""


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key with its secret, which is shown this once and stored nowhere."""

    key: ApiKey
    secret: str


class CreateProject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new project is given."""

    slug: str
    """Lower-case letters, digits and '-'."""
    title: str = ""
    """Name for people; the slug when empty."""


class AddMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is added, and as what."""

    email: str
    """Address of the person."""
    name: str = ""
    """What people call them; the address when empty."""
    role: Role = Role.VIEWER
    """viewer, developer, releaser or admin; not higher than your own."""


class ChangeMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new role of a member."""

    role: Role
    """viewer, developer, releaser or admin; not higher than your own."""


class CreateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key is given."""

    name: str
    """What it is for."""
    role: Role = Role.DEVELOPER
    """viewer, developer, releaser or admin; not higher than your own."""
    days: int | None = None
    """Days until it expires; null means it does not."""
    member: str | None = None
    """Id of the member whose key it is: it never can more than they, and goes with them. Null: a service's key."""
    everywhere: bool = False
    """For the whole installation instead of this project; takes an admin of the installation."""
    feature: str = ""
    """What model calls with it are for, where the caller does not say."""
    user: str = ""
    """For whom they are then."""
    tags: list[str] = []
    """Which tags they have then: words, or `key:value`."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the audit log."""

    sequence: int
    """From 1, without gaps."""
    at: datetime
    project: str | None
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    """Name of the operation."""
    outcome: str
    """`done` or `denied`."""
    origin: str
    """Face through which it came."""
    client: str
    """Address of the caller."""
    details: dict[str, Any]
    previous: str
    """Hash of the record before."""
    hash: str
    """SHA-256 over this record's canonical JSON without `hash`."""


class AuditCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What `gimbal audit verify` found."""

    sound: bool
    records: int
    """How many were read."""
    finding: str = ""
    """What is wrong, when something is."""
    sequence: int | None = None
    """The first record that is wrong."""
    head: str = ""
    """`sequence:hash` of the last record. Kept elsewhere, it can be given as `anchor` to a later check."""


class KeyRevoked(Event, frozen=True, kw_only=True):
    """A key was revoked; caches forget it."""

    key_id: str


GENESIS = "0" * 64


def chain_hash(record: AuditRecord) -> str:
    """Return the SHA-256 (hex) over the record's canonical JSON, `previous` included and `hash` left out."""
    values = msgspec.to_builtins(record)
    del values["hash"]
    return hashlib.sha256(msgspec.json.encode(values, order="deterministic")).hexdigest()
