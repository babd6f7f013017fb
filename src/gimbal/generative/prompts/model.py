"""What a prompt is: messages with `{{placeholders}}`, a model, parameters, and optionally a retrieval setting.

Formatting is one pass of textual replacement: no expressions, no loops, no code, and a value that itself contains
`{{…}}` stays as it is. `files` reads prompts from text files, `service` keeps them as asset versions.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref

Role = Literal["system", "developer", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Everything that stands between double braces, escaped or not; what is inside is checked, not guessed.
_BRACES = re.compile(r"\\\{\{|\{\{(.*?)\}\}|\{\{", re.DOTALL)


class PromptMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message of the template."""

    role: Role
    content: str
    """Text with `{{name}}` placeholders; `\\{{` stands for two braces that are meant as such."""


class PromptParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Sampling parameters; what is left out is the provider's business."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    """Randomness from 0 to 2."""
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Probability mass that is sampled from."""
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Tokens that the answer may have."""
    stop: tuple[str, ...] | None = None
    """Texts at which the answer ends."""
    seed: int | None = None
    """Seed, for providers that take one."""


class RetrievalSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the prompt gets its context from."""

    index: str
    """Reference of the index: `index:help/docs`, or `index:help/docs@v3` to pin it."""
    k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    """How many passages are retrieved."""
    query: str = "question"
    """Variable whose value is searched for."""
    into: str = "context"
    """Variable that takes the numbered passages."""


class ForeignPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a prompt that another tool's client registered."""

    format: Literal["mlflow"]
    registration: str
    """Id of its registration: the same text registered again is another version."""
    unread: str = ""
    """Why its template is none of ours; then it is kept as it is, and only that tool fills it."""


class PromptManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest of a version of kind `prompt`."""

    messages: Annotated[tuple[PromptMessage, ...], msgspec.Meta(min_length=1)]
    model: str
    """Model it was written for, as `provider/model` or a name that the gateway routes; a foreign prompt may name none."""
    params: PromptParams = PromptParams()
    variables: tuple[str, ...] = ()
    """Names of the placeholders, sorted."""
    retrieval: RetrievalSetting | None = None
    description: str = ""
    """What it is for."""
    foreign: ForeignPrompt | None = None
    """Set when another tool's client registered it."""


class RenderedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message with its placeholders filled."""

    role: str
    content: str


class PromptFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt file, as text."""

    path: str
    """Path below the synced folder: `help/answer.md` becomes `prompt:help/answer`."""
    text: str
    """The file's whole text."""


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


class PromptView(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a prompt."""

    ref: str
    """Resolved: `prompt:help/answer@v2`."""
    digest: str
    manifest: PromptManifest


class RenderedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt with its placeholders filled, ready to be sent."""

    ref: str
    """Resolved reference of the version that was filled."""
    model: str
    messages: list[RenderedMessage]
    params: dict[str, float | int | str | list[str]]
    """Only the parameters that the prompt sets."""


class SyncPrompts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files to sync."""

    files: list[PromptFile]
    """Prompt files with their paths below the synced folder."""
    note: str = ""
    """Why, for the history of the versions; a commit id is a good note."""


class RenderPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values for the placeholders."""

    variables: dict[str, str] = {}
    """Value by name; exactly the prompt's variables."""


def placeholders(content: str) -> Iterator[tuple[str, int]]:
    """Yield each placeholder's name and its offset; raise BadInput for braces that are not a placeholder."""
    for match in _BRACES.finditer(content):
        if match[0].startswith("\\"):
            continue
        inside = match[1]
        name = inside.strip() if inside is not None else ""
        if not _NAME.fullmatch(name):
            line = content.count("\n", 0, match.start()) + 1
            raise BadInput(
                f"{match[0].splitlines()[0][:60]!r} is not a placeholder.",
                where=f"line {line}",
                todo="Write {{name}} with letters, digits and '_', or \\{{ where two braces are meant as text.",
            )
        yield name, match.start()


def variables_of(messages: tuple[PromptMessage, ...]) -> tuple[str, ...]:
    """Return the names of all placeholders, sorted, each once."""
    return tuple(sorted({name for message in messages for name, _ in placeholders(message.content)}))


def format_messages(manifest: PromptManifest, values: Mapping[str, str]) -> list[RenderedMessage]:
    """Fill the placeholders; raise BadInput that names a variable that is missing, unknown or not text.

    Strict on purpose: a forgotten variable must not reach a model as an empty hole.
    """
    if manifest.foreign is not None and manifest.foreign.unread:
        raise BadInput(
            f"The prompt's template is {manifest.foreign.format}'s and cannot be filled here: {manifest.foreign.unread}",
            where="messages",
            todo="Load it with that client, or register it with {{name}} placeholders.",
        )
    known = set(manifest.variables)
    missing, unknown = sorted(known - set(values)), sorted(set(values) - known)
    if missing or unknown:
        name = (missing or unknown)[0]
        raise BadInput(
            f"The variable {name!r} is missing." if missing else f"The prompt has no variable {name!r}.",
            where=f"variables.{name}",
            todo=f"It takes exactly: {', '.join(manifest.variables) or 'none'}.",
        )
    return [RenderedMessage(role=message.role, content=_fill(message.content, values)) for message in manifest.messages]


def _fill(content: str, values: Mapping[str, str]) -> str:
    def put(match: re.Match[str]) -> str:
        return "{{" if match[0].startswith("\\") else values[match[1].strip()]

    return _BRACES.sub(put, content)


def check_manifest(manifest: PromptManifest) -> PromptManifest:
    """Return a manifest whose parts agree; raise BadInput naming the part that does not."""
    foreign = manifest.foreign
    used = () if foreign is not None and foreign.unread else variables_of(manifest.messages)
    if used != manifest.variables:
        raise BadInput(
            f"The messages use the variables {list(used)}, the manifest names {list(manifest.variables)}.",
            where="variables",
            todo="Name exactly the placeholders that the messages use, sorted.",
        )
    if not manifest.model.strip() and foreign is None:
        raise BadInput("The prompt names no model.", where="model", todo="Name one, such as local/extractive.")
    retrieval = manifest.retrieval
    if retrieval is not None:
        ref = Ref.parse(retrieval.index, kind="index")
        if ref.kind != "index":
            raise BadInput(
                f"{retrieval.index!r} is not an index.", where="retrieval.index", todo="Name one like index:help/docs."
            )
        for field, name in (("query", retrieval.query), ("into", retrieval.into)):
            if name not in used:
                raise BadInput(
                    f"Retrieval names the variable {name!r}, which no message uses.",
                    where=f"retrieval.{field}",
                    todo=f"Put {{{{{name}}}}} into a message, or name another of: {', '.join(used) or 'none'}.",
                )
    return manifest


def decode_manifest(manifest: Mapping[str, object]) -> PromptManifest:
    """Read the manifest of an asset version; raise BadInput naming the field that does not fit."""
    try:
        return check_manifest(msgspec.convert(dict(manifest), PromptManifest))
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"The manifest is not a prompt's: {text}.", where=place.strip("`").replace("$.", "") or "manifest"
        ) from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    decode_manifest(manifest)


KIND = register_kind(
    AssetKind(name="prompt", title="Prompts", ring="generative", check=_check, template="prompts/version.html")
)
