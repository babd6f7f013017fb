"""A released prompt as the model's name: its messages come before the caller's, what else it says where the caller says none.

`model="prompt:support/answer@production"` with `variables` beside it, or in the metadata where a client has no other place.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Conversation, Format, Sampling, Text, Tool, Turn
from gimbal.generative.gateway.providers.reading import numbered
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.generative.knowledge.service import Indexes
from gimbal.generative.prompts.model import (
    PromptManifest,
    RenderedMessage,
    RetrievalSetting,
    declared_of,
    format_messages,
)
from gimbal.generative.prompts.service import load_prompt
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref, ResolvedRef

PROMPT = "prompt:"
VARIABLES = "variables"


async def prompted(ctx: Context, call: Call, name: str) -> tuple[Call, ResolvedRef]:
    """Return the call with a prompt's messages before its own, and the version that they are of.

    Raise NotFound for a prompt that is not there, BadInput for variables that are missing, unknown or of another type.
    """
    ref, manifest = await load_prompt(ctx, Ref.parse(name, kind="prompt"))
    values = variables(call.asked)
    if manifest.retrieval is not None:
        setting = manifest.retrieval
        query = query_of(manifest, setting, values, VARIABLES)
        found = await ctx.get(Indexes).search(ctx, Ref.parse(setting.index, kind="index"), query, setting.k)
        values[setting.into] = numbered([(hit.source, hit.heading, hit.text) for hit in found.hits])
    return call.saying(_before(call.conversation, manifest, format_messages(manifest, values))), ref


def variables(asked: Asked) -> dict[str, Any]:
    """Return the values of a prompt's variables as the caller sent them; raise BadInput for what is no object."""
    raw = asked.fields.get(VARIABLES)
    given: Any = asked.metadata.get(VARIABLES)
    try:
        if raw is not None:
            given = msgspec.json.decode(raw)
        if isinstance(given, str):
            given = msgspec.json.decode(given)
    except (msgspec.DecodeError, RecursionError):
        given = 0
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadInput("The variables are not an object.", where=VARIABLES, todo='Send {"name": "value"}.')
    return dict(cast("Mapping[str, Any]", given))


def query_of(manifest: PromptManifest, setting: RetrievalSetting, values: Mapping[str, Any], where: str) -> str:
    """Return the text that a prompt's index is searched for; raise BadInput that names its place where there is none."""
    declared = declared_of(manifest).get(setting.query)
    query = values.get(setting.query, declared.default if declared is not None else None)
    if isinstance(query, str):
        return query
    if setting.query in values:
        what, todo = "is what the index is searched for, and is not text", "Give it as a string."
    else:
        what, todo = "is missing", "Give it."
    raise BadInput(f"The variable {setting.query!r} {what}.", where=f"{where}.{setting.query}", todo=todo)


def tools_of(manifest: PromptManifest) -> tuple[Tool, ...]:
    """Return the tools that a prompt lets the model call."""
    return tuple(
        Tool(name=tool.name, description=tool.description, parameters=tool.parameters or None)
        for tool in manifest.tools
    )


def format_of(manifest: PromptManifest) -> Format | None:
    """Return the form that a prompt wants its answers in, or None."""
    asked = manifest.response
    if asked is None:
        return None
    # Providers that hold a model to every schema take no word against it.
    return Format(kind="schema", name=asked.name, schema=asked.schema, strict=asked.strict or None)


def _before(asked: Conversation, manifest: PromptManifest, messages: Sequence[RenderedMessage]) -> Conversation:
    turns = tuple(Turn(role=message.role, parts=(Text(text=message.content),)) for message in messages)
    defaults, said = manifest.params, asked.sampling
    given = {
        "temperature": defaults.temperature,
        "top_p": defaults.top_p,
        "max_tokens": defaults.max_tokens,
        "seed": defaults.seed,
    }
    changes: dict[str, Any] = {
        name: value for name, value in given.items() if value is not None and getattr(said, name) is None
    }
    if defaults.stop and not said.stop:
        changes["stop"] = defaults.stop
    sampling: Sampling = msgspec.structs.replace(said, **changes)
    extras = {name: value for name, value in asked.extras.items() if name != VARIABLES}
    return msgspec.structs.replace(
        asked,
        turns=(*turns, *asked.turns),
        tools=asked.tools or tools_of(manifest),
        format=asked.format or format_of(manifest),
        sampling=sampling,
        extras=extras,
    )
