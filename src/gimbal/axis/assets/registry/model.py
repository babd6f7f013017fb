"""Records of the registry: assets and versions as a foreign registry (MLflow's) shows them, and what is asked of them."""

import re
from datetime import datetime
from typing import Any, Literal

import msgspec

from gimbal.axis.assets.model import FileEntry
from gimbal.kernel.errors import BadInput
from gimbal.kernel.filters import Clause, Ordering
from gimbal.kernel.refs import ResolvedRef

Kind = Literal["model", "prompt"]
Stage = Literal["None", "Staging", "Production", "Archived"]
STAGES: tuple[Stage, ...] = ("None", "Staging", "Production", "Archived")
# Stages that an alias of the same name follows, so that gates and endpoints see them.
STAGED: tuple[Stage, ...] = ("Staging", "Production")
MAX_NAME = 256
MAX_DESCRIPTION = 100_000
MAX_TAG_NAME = 250
MAX_TAG_VALUE = 100_000

_UNFIT = re.compile(r"[^a-z0-9._-]+")


class RegisteredName(msgspec.Struct, frozen=True, kw_only=True):
    """An asset under the name by which a registry knows it."""

    asset_id: str
    project: str
    kind: Kind
    name: str
    """Any text; `asset` is what references say."""
    asset: str
    """Name of the asset: `delay-model` for `Delay model`."""
    description: str
    created_at: datetime
    updated_at: datetime
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    """Version number by alias."""


class RegisteredVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of such an asset."""

    id: str
    asset_id: str
    kind: Kind
    name: str
    """The registry's name."""
    asset: str
    """The asset's name."""
    number: int
    digest: str
    manifest: dict[str, Any]
    files: list[FileEntry]
    created_at: datetime
    updated_at: datetime
    created_by: str
    description: str
    stage: Stage
    source: str
    run_id: str
    run_link: str
    model_id: str
    tags: dict[str, str] = {}
    aliases: list[str] = []


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What shall become a version."""

    manifest: dict[str, Any]
    files: list[FileEntry] = []
    inputs: list[ResolvedRef] = []
    made_by: str | None = None
    """The run of this project that made it, for lineage."""
    source: str = ""
    run_id: str = ""
    """The run as the sender said it."""
    run_link: str = ""
    model_id: str = ""
    description: str = ""
    tags: dict[str, str] = {}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A search in the registry."""

    kind: Kind
    clauses: list[Clause] = []
    """Conditions; all of them must hold."""
    order: list[Ordering] = []
    """Each field once."""
    limit: int = 100
    cursor: str | None = None
    """`next` of the page before, with the same conditions and order."""


def slug_of(name: str, kind: str) -> str:
    """Return the asset name nearest to a registry's name."""
    found = _UNFIT.sub("-", name.lower()).lstrip("._-")[:60].rstrip("._-")
    return found or kind


def check_registered_name(name: str) -> str:
    """Return a name that a registry may have; raise BadInput otherwise."""
    if not name.strip():
        raise BadInput("A registered model needs a name.", where="name", todo="Give it one.")
    if "/" in name or ":" in name or name in {".", ".."} or not name.isprintable() or len(name) > MAX_NAME:
        raise BadInput(
            f"Invalid model name {name[:80]!r}: names have at most {MAX_NAME} printable characters without '/' and ':'.",
            where="name",
            kept="nothing",
            todo="Choose another name.",
        )
    return name


def check_tag(name: str, value: str) -> None:
    """Raise BadInput for a tag that cannot be kept."""
    if not name or len(name) > MAX_TAG_NAME or "\0" in name:
        raise BadInput(
            f"The name of a tag has 1 to {MAX_TAG_NAME} characters.", where="key", kept="nothing", todo="Shorten it."
        )
    if len(value) > MAX_TAG_VALUE or "\0" in value:
        raise BadInput(
            f"The value of the tag {name!r} has at most {MAX_TAG_VALUE} characters, without U+0000.",
            where="value",
            kept="nothing",
            todo="Put long texts into a file of the version.",
        )


def check_description(text: str) -> str:
    """Return a description that can be kept; raise BadInput otherwise."""
    if len(text) > MAX_DESCRIPTION or "\0" in text:
        raise BadInput(
            f"A description has at most {MAX_DESCRIPTION} characters, without U+0000.",
            where="description",
            kept="nothing",
            todo="Shorten it.",
        )
    return text


def stage_of(text: str) -> Stage:
    """Return a stage, however it is written; raise BadInput for what is none."""
    for stage in STAGES:
        if stage.lower() == text.lower():
            return stage
    raise BadInput(
        f"Invalid Model Version stage: {text[:80]}.", where="stage", kept="nothing", todo=f"Use {', '.join(STAGES)}."
    )
