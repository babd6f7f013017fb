"""A released prompt as the model's name: its messages come before the caller's, its parameters where the caller has none.

`model="prompt:support/answer@production"` with `variables` beside it, or in the metadata where a client has no other place.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Conversation, Sampling, Text, Turn
from gimbal.generative.gateway.providers.reading import numbered
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.generative.knowledge.service import Indexes
from gimbal.generative.prompts.model import PromptManifest, RenderedMessage, format_messages
from gimbal.generative.prompts.service import load_prompt
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref, ResolvedRef

PROMPT = "prompt:"
VARIABLES = "variables"


async def prompted(ctx: Context, call: Call, name: str) -> tuple[Call, ResolvedRef]:
    """Return the call with a prompt's messages before its own, and the version that they are of.

    Raise NotFound for a prompt that is not there, BadInput for variables that are missing or unknown.
    """
    ref, manifest = await load_prompt(ctx, Ref.parse(name, kind="prompt"))
    values = variables(call.asked)
    if manifest.retrieval is not None:
        setting = manifest.retrieval
        query = values.get(setting.query)
        if query is None:
            raise BadInput(
                f"The variable {setting.query!r} is missing.", where=f"variables.{setting.query}", todo="Give it."
            )
        found = await ctx.get(Indexes).search(ctx, Ref.parse(setting.index, kind="index"), query, setting.k)
        values[setting.into] = numbered([(hit.source, hit.heading, hit.text) for hit in found.hits])
    return call.saying(_before(call.conversation, manifest, format_messages(manifest, values))), ref


def variables(asked: Asked) -> dict[str, str]:
    """Return the values for a prompt's placeholders; raise BadInput for what is no object of texts."""
    raw = asked.fields.get(VARIABLES)
    given: Any = msgspec.json.decode(raw) if raw is not None else asked.metadata.get(VARIABLES)
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given)
        except msgspec.DecodeError:
            given = 0
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadInput("The variables are not an object.", where=VARIABLES, todo='Send {"name": "text"}.')
    values = cast("Mapping[str, Any]", given)
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            raise BadInput(f"The variable {name!r} is not a text.", where=f"{VARIABLES}.{name}", todo="Send a string.")
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in values.items()
    }


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
    return msgspec.structs.replace(asked, turns=(*turns, *asked.turns), sampling=sampling, extras=extras)
