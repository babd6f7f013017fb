"""What a prompt is: messages of a template language, a model, parameters, variables, tools, and how it is stored and sent.

`manifest` is what a version says, `exchange` what operations take and give, `filling` the rules by which it is filled.
Nothing in a template is ever executed, and a value that itself contains `{{…}}` stays as it is.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.generative.prompts.model.exchange import (
    PlannedPrompt,
    PromptChange,
    PromptDiff,
    PromptFile,
    PromptView,
    RenderedMessage,
    RenderedPrompt,
    RenderPrompt,
    SeenPrompt,
    SyncedPrompt,
    SyncPlan,
    SyncPrompts,
    SyncReport,
)
from gimbal.generative.prompts.model.filling import (
    check_declared,
    declared_of,
    format_messages,
    includes_of,
    variables_of,
)
from gimbal.generative.prompts.model.manifest import (
    ROLES,
    ForeignPrompt,
    IncludedPrompt,
    PromptManifest,
    PromptMessage,
    PromptParams,
    PromptTool,
    PromptVariable,
    ResponseSchema,
    RetrievalSetting,
    Role,
    VariableType,
)
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref

__all__ = [
    "KIND",
    "PROMPT_MESSAGES_ATTRIBUTE",
    "ROLES",
    "SOURCE",
    "VARIABLES_ATTRIBUTE",
    "ForeignPrompt",
    "IncludedPrompt",
    "PlannedPrompt",
    "PromptChange",
    "PromptDiff",
    "PromptFile",
    "PromptManifest",
    "PromptMessage",
    "PromptParams",
    "PromptTool",
    "PromptVariable",
    "PromptView",
    "RenderPrompt",
    "RenderedMessage",
    "RenderedPrompt",
    "ResponseSchema",
    "RetrievalSetting",
    "Role",
    "SeenPrompt",
    "SyncPlan",
    "SyncPrompts",
    "SyncReport",
    "SyncedPrompt",
    "VariableType",
    "check_declared",
    "check_manifest",
    "check_retrieval",
    "declared_of",
    "decode_manifest",
    "format_messages",
    "includes_of",
    "variables_of",
]

SOURCE = "prompt.md"
"""The file of a version that was made of one: its text, byte for byte."""


def check_manifest(manifest: PromptManifest, *, own: bool = False) -> PromptManifest:
    """Return a manifest whose parts agree; raise BadInput naming the part that does not.

    `own` is for a prompt whose includes are not looked up yet: then variables that it does not use itself may be theirs.
    """
    foreign = manifest.foreign
    unread = foreign is not None and bool(foreign.unread)
    used = () if unread else variables_of(manifest.messages, manifest.includes, own=own)
    if used != manifest.variables:
        raise BadInput(
            f"The messages use the variables {list(used)}, the manifest names {list(manifest.variables)}.",
            where="variables",
            todo="Name exactly the placeholders that the messages use, sorted.",
        )
    if not manifest.model.strip() and foreign is None:
        raise BadInput("The prompt names no model.", where="model", todo="Name one, such as local/extractive.")
    included = () if unread else includes_of(manifest.messages)
    if not own and tuple(sorted(included)) != tuple(one.name for one in manifest.includes):
        raise BadInput(
            f"The messages include {sorted(included)}, the manifest pins {[one.name for one in manifest.includes]}.",
            where="includes",
            todo="Pin exactly the prompts that the messages include, sorted by name.",
        )
    open_ = own and bool(included)
    check_declared(manifest)
    names = [one.name for one in manifest.declared]
    if names != sorted(set(names)):
        raise BadInput(
            "The declared variables are not sorted, or one is there twice.", where="declared", todo="Sort them."
        )
    unused = next((name for name in names if name not in used), None)
    if unused is not None and not open_:
        raise BadInput(
            f"The variable {unused!r} is declared, and no message uses it.",
            where=f"variables.{unused}",
            todo=f"Use it, or declare others of: {', '.join(used) or 'none'}.",
        )
    if len({tool.name for tool in manifest.tools}) < len(manifest.tools):
        raise BadInput("Two tools have one name.", where="tools", todo="Give each a name of its own.")
    if manifest.retrieval is not None and not open_:
        check_retrieval(manifest.retrieval, used)
    return manifest


def check_retrieval(retrieval: RetrievalSetting, used: tuple[str, ...]) -> None:
    """Raise BadInput for retrieval that is from no index, or by or into a variable that no message uses."""
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


VARIABLES_ATTRIBUTE = "llm.prompt_template.variables"
"""The attribute of a span that has the values a prompt was filled with, as JSON; by OpenInference's conventions."""


PROMPT_MESSAGES_ATTRIBUTE = "gimbal.prompt.messages"
"""The attribute of a model call that says how many of its messages are a prompt's own, first of all."""


def decode_manifest(manifest: Mapping[str, object]) -> PromptManifest:
    """Read the manifest of an asset version; raise BadInput naming the field that does not fit."""
    try:
        return check_manifest(msgspec.convert(dict(manifest), PromptManifest))
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"The manifest is not a prompt's: {text}.", where=place.strip("`").replace("$.", "") or "manifest"
        ) from None
    except RecursionError:
        raise BadInput("The manifest is nested too deeply.", where="manifest", todo="Make it flatter.") from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    decode_manifest(manifest)


KIND = register_kind(
    AssetKind(name="prompt", title="Prompts", ring="generative", check=_check, template="prompts/version.html")
)
