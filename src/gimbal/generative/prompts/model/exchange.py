"""What the operations on prompts take and give: files, plans, differences, filled prompts."""

from typing import Any, Literal

import msgspec

from gimbal.generative.prompts.model.manifest import PromptManifest, PromptTool, ResponseSchema

Part = Literal[
    "model", "parameters", "variables", "tools", "response", "retrieval", "messages", "includes", "description",
    "owners", "notes", "formatting",
]  # fmt: skip


class RenderedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message with its placeholders filled."""

    role: str
    content: str


class PromptFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt file, as text."""

    path: str
    """Path below the synced folder: `help/answer.md` becomes `prompt:help/answer`."""
    text: str
    """The file's whole text, line ends included."""


class SyncedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What the sync did with one file."""

    path: str
    ref: str
    """The version that the file is now: `prompt:help/answer@v2`."""
    state: str
    """`created` (a new version), `unchanged` (the newest version already says this) or `reverted` (an older one does)."""


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the sync did, file by file, in the order of their paths."""

    prompts: list[SyncedPrompt]
    created: int
    unchanged: int


class PromptChange(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs between two prompts."""

    part: Part
    """What it belongs to; `formatting` when the files differ and mean the same."""
    path: str
    """Which of it: `temperature`, `question.type`, `search.parameters.required[0]`, `[1].content`."""
    change: str
    """`added`, `removed` or `changed`."""
    before: Any = None
    after: Any = None


class PromptDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two versions of prompts."""

    before: str
    after: str
    text: str | None
    """Unified diff of the files; null when they are too long to be compared line by line."""
    changes: list[PromptChange]
    """What the difference means."""


class PlannedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync would do with one file."""

    path: str
    name: str
    ref: str
    """The version that the file would be, or is: `prompt:help/answer@v2`."""
    state: str
    """`created` (a first version), `changed` (a new one), `unchanged` (the newest already says this) or `reverted` (an older one does)."""
    newest: int
    """Number of the newest version that the plan saw; 0 without one."""
    digest: str
    """Digest of the version that the file would be, or is."""
    text: str | None = ""
    """Unified diff from the newest version's file; null when they are too long to be compared line by line."""
    changes: list[PromptChange] = []
    """What the difference to the newest version means."""


class SyncPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync would do, file by file, in the order of their paths."""

    prompts: list[PlannedPrompt]
    elsewhere: list[str]
    """Prompts on the server that no file is of; a sync leaves them alone."""
    created: int
    changed: int
    unchanged: int
    reverted: int


class SeenPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan said of one prompt; a sync that is given it does this and nothing else."""

    name: str
    newest: int
    """Number of the newest version that the plan saw; 0 without one."""
    digest: str
    """Digest that the plan gave for the file."""


class SyncPrompts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files to sync."""

    files: list[PromptFile]
    """Prompt files with their paths below the synced folder."""
    note: str = ""
    """Why, for the history of the versions; a commit id is a good note."""
    seen: list[SeenPrompt] = []
    """What `prompts.plan` said of the files; where the server is not as it was then, nothing is written."""


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a prompt."""

    ref: str
    """Resolved: `prompt:help/answer@v2`."""
    digest: str
    manifest: PromptManifest


class RenderPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values for the placeholders."""

    variables: dict[str, Any] = {}
    """Value by name: any JSON. Those that have a default may be left out."""


class RenderedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt with its placeholders filled, ready to be sent."""

    ref: str
    """Resolved reference of the version that was filled."""
    model: str
    messages: list[RenderedMessage]
    params: dict[str, float | int | str | list[str]]
    """Only the parameters that the prompt sets."""
    tools: tuple[PromptTool, ...] = ()
    """Tools that the model may call."""
    response: ResponseSchema | None = None
    """The form that the answer must have."""
