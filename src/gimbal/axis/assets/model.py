"""Records of assets, the registry of their kinds, and the pure rules: what a version's digest is, what a diff says."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from gimbal.kernel.context import Context
from gimbal.kernel.events import Event
from gimbal.kernel.plugins import Registry
from gimbal.kernel.refs import ResolvedRef


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a version; its bytes are a blob."""

    path: str
    """Relative path inside the version."""
    digest: str
    """`b3:` and 64 hex digits."""
    size: int
    """Bytes."""
    media_type: str = "application/octet-stream"
    """What the bytes are."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable version of an asset."""

    id: str
    project: str
    kind: str
    name: str
    number: int
    """From 1, without gaps."""
    digest: str
    """BLAKE3 over kind, manifest and files: the same content is the same version."""
    manifest: dict[str, Any]
    """What the owner of the kind says of it."""
    files: list[FileEntry]
    created_at: datetime
    created_by: str
    run_id: str | None = None
    """The run that made it."""
    inputs: list[ResolvedRef] = []
    """The versions that it was made from."""
    note: str = ""
    aliases: list[str] = []
    """Aliases that stand on it now; filled where a version is shown."""

    @property
    def ref(self) -> ResolvedRef:
        """What is recorded of it elsewhere."""
        return ResolvedRef(kind=self.kind, name=self.name, number=self.number, digest=self.digest)

    @property
    def asset(self) -> str:
        """`kind:name`."""
        return f"{self.kind}:{self.name}"

    def file(self, path: str) -> FileEntry | None:
        """Return the entry of a file, or None."""
        return next((entry for entry in self.files if entry.path == path), None)


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A named thing, as lists show it."""

    kind: str
    name: str
    versions: int
    """How many there are."""
    latest_at: datetime
    """When the newest was made."""
    aliases: dict[str, int] = {}
    """Version number by alias."""


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A movable name on a version."""

    kind: str
    name: str
    alias: str
    number: int
    """Version on which it stands."""
    digest: str
    moved_at: datetime
    moved_by: str


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """One move in an alias's history."""

    id: str
    kind: str
    name: str
    alias: str
    from_number: int | None
    """Where it stood before; null on the first move."""
    to_number: int | None
    """Where it stands from then on; null when it was removed."""
    at: datetime
    by: str
    reason: str
    decision_id: str | None = None
    """The gate's Decision that let it move."""


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to move one gated alias to one version; only `gates` makes them."""

    project: str
    asset: str
    alias: str
    to_digest: str
    decision_id: str


class MoveAlias(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an alias shall stand."""

    to: str
    """A selector of the same asset: `v7`, `b3:9f2c1d07…`, another alias or `latest`."""
    reason: str = ""
    """Why; kept in the history."""
    expected: int | None = None
    """Version number on which it stands as far as you know; StaleVersion when it does not. 0 means nowhere yet."""


class AddVersion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new version; its files have been uploaded as blobs before."""

    manifest: dict[str, Any]
    """What the kind's owner asks for."""
    files: list[FileEntry] = []
    """Files by path; their blobs must be there."""
    inputs: list[str] = []
    """References of the versions that it was made from."""
    run_id: str | None = None
    """The run that made it."""
    note: str = ""
    """A remark for people."""


class VersionDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One version of many that are added together."""

    name: str
    """Of the asset."""
    manifest: Mapping[str, Any]
    """What the kind's owner asks for."""
    files: Sequence[FileEntry] = ()
    """Files by path; their blobs must be there."""
    inputs: Sequence[ResolvedRef] = ()
    """The versions that it was made from."""
    run_id: str | None = None
    """The run that made it."""
    note: str = ""
    """A remark for people."""
    after: int | None = None
    """Number of the newest version as far as you know; 0 means none yet."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in a lineage graph."""

    id: str
    """`model:flights/delay@v3`, `run:<id>`, `decision:<id>`, `endpoint:<slug>`, `trace:<id>`."""
    kind: str
    label: str


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """Something flowed from one thing into another."""

    source: str
    target: str
    relation: str
    """`input`, `made`, `used`."""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a version was made from, and what was made from it."""

    root: str
    nodes: list[Node]
    edges: list[Edge]
    truncated: bool = False
    """Whether there is more than is shown."""


class ManifestChange(msgspec.Struct, frozen=True, kw_only=True):
    """One path of a manifest that differs."""

    path: str
    change: str
    """`added`, `removed` or `changed`."""
    before: Any = None
    after: Any = None


class FileDiff(msgspec.Struct, frozen=True, kw_only=True):
    """One file that differs."""

    path: str
    change: str
    """`added`, `removed` or `changed`."""
    text: str | None = None
    """Unified diff, when both sides are text."""


class AssetDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two versions."""

    before: str
    after: str
    manifest: list[ManifestChange]
    files: list[FileDiff]


class VersionAdded(Event, frozen=True, kw_only=True):
    """A version was made that was not there before."""

    version: Version


class AliasMoved(Event, frozen=True, kw_only=True):
    """An alias stands on another version now, or nowhere any more."""

    kind: str
    name: str
    alias: str
    from_version: int | None
    to_version: int | None
    decision_id: str | None


class AssetKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of asset, as the room that owns it registers it."""

    name: str
    title: str
    """For people, plural: `Models`."""
    ring: str
    """`predictive`, `generative` or `axis`."""
    check: Callable[[dict[str, Any], list[FileEntry]], None] | None = None
    """Raises BadInput when a manifest does not fit."""
    template: str = ""
    """Jinja template below the owner's `templates` folder that shows a version on the asset's page, for instance
    `datasets/version.html`. It gets `version` (a Version) and `manifest` (its JSON), and is left out for a manifest that
    `check` would refuse today; fields that have a default may be missing. Empty: the manifest is shown as it is stored."""
    told: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """What else the template gets, as `told`: what the owner knows of such a manifest."""


KINDS: Registry[AssetKind] = Registry("asset_kinds")


def register_kind(kind: AssetKind) -> AssetKind:
    """Make a kind known."""
    return KINDS.add(kind.name, kind)


class GatePolicy(Protocol):
    """Whether an alias may move only with a permit; `gates` answers, and without gates none needs one."""

    async def is_gated(self, ctx: Context, kind: str, name: str, alias: str) -> bool:
        """Tell whether a gate guards this alias."""
        ...


def canonical(kind: str, manifest: dict[str, Any], files: list[FileEntry]) -> bytes:
    """Return the bytes whose BLAKE3 is the digest of a version: the same on every machine and in any order."""
    rows = sorted((f.path, f.digest) for f in files)
    return msgspec.json.encode({"kind": kind, "manifest": manifest, "files": rows}, order="deterministic")


_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def diff_values(before: Any, after: Any, path: str = "") -> Iterator[ManifestChange]:
    """Yield what differs between two JSON values, depth first, paths like `params.depth` and `columns[2].name`.

    A key that is not a plain word stands quoted: `files["a.txt"]`. Lists are compared place by place.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _diff_one(before, after, key, _inner(path, str(key)))
    elif isinstance(before, list) and isinstance(after, list):
        left, right = dict(enumerate(before)), dict(enumerate(after))
        for index in range(max(len(before), len(after))):
            yield from _diff_one(left, right, index, f"{path}[{index}]")
    elif before != after or type(before) is not type(after):
        yield ManifestChange(path=path, change="changed", before=before, after=after)


def _inner(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{msgspec.json.encode(key).decode()}]"
    return f"{path}.{key}" if path else key


def _diff_one(before: dict[Any, Any], after: dict[Any, Any], key: Any, path: str) -> Iterator[ManifestChange]:
    if key not in after:
        yield ManifestChange(path=path, change="removed", before=before[key])
    elif key not in before:
        yield ManifestChange(path=path, change="added", after=after[key])
    else:
        yield from diff_values(before[key], after[key], path)


def diff_text(before: str, after: str, path: str) -> str:
    """Return a unified diff with three lines of context, as `patch` reads it."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    # Not splitlines: that also ends lines at form feeds and U+2028, which are content here.
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])
