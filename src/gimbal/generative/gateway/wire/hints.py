"""What may be left out when a request goes on by another wire, and why. All else that cannot be said is refused by name.

This is the one list of it: an encoder calls `refuse_extras` first, and asks `asks_nothing` of what it cannot express.
"""

import re
from collections.abc import Mapping
from typing import Any

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.protocol import inexpressible

_MARK = "says where a provider's cache may begin; the answer is the same without it, only its price may differ"
_LABEL = "is a label on the call; the trace has it"

HINTS: Mapping[str, str] = {
    "cache_control": _MARK,
    "prompt_cache_key": _MARK,
    "prompt_cache_retention": _MARK,
    "prompt_cache_options": _MARK,
    "metadata": _LABEL,
    "labels": _LABEL,
    "user": "says whom to hold responsible; the trace has it, and so has a provider with a place for it",
    "safety_identifier": "as user",
    "stream_options": "is about the form of the stream that the caller gets, which is ours to write",
    "include_obfuscation": "as stream_options",
    "eager_input_streaming": "is about how finely a stream is cut",
    "displayName": "is a name for people",
}
"""Fields without an effect on the answer, by their last name, with the reason: they may be left out."""

PARTS_LEFT_OUT: Mapping[str, str] = {
    "Part.cache": _MARK,
    "Tool.cache": _MARK,
    "Conversation.user": HINTS["user"],
    "Format.name": "is a label of the schema; providers that want none are given none",
    "ToolResult.name": "follows from the call that it answers",
    "Thinking without a signature": "is nothing that a provider could take for its own thoughts; what it said is there",
    "Thinking that another provider sealed": "can be neither checked nor read by this one, which would refuse all of it",
    "Thinking.redacted": "can be read by nobody but the provider that hid it; for one that hides nothing it is nothing",
}
"""The same for what has a place in the normal form."""

ANYWAY: Mapping[str, tuple[Any, ...]] = {
    "store": (False,),
    "background": (False,),
    "logprobs": (False,),
    "responseLogprobs": (False,),
    "parallel_tool_calls": (True,),
    "service_tier": ("auto", "default"),
    "serviceTier": ("unspecified", "standard"),
    "speed": ("standard",),
    "truncation": ("disabled",),
    "citations": ({"enabled": False}, []),
    "defer_loading": (False,),
    "allowed_callers": (["direct"],),
    "caller": ({"type": "direct"},),
    "safetySettings": ([],),
    "mcp_servers": ([],),
    "transformations": ({}, {"oversized_image": "downsize"}),
    "behavior": ("BLOCKING", "UNSPECIFIED"),
    "mediaResolution": ("MEDIA_RESOLUTION_UNSPECIFIED",),
    "partMetadata": ({},),
}
"""Values that ask for what happens anyway, by the last name of their field."""

_LAST = re.compile(r"[^.\[\]]+(?=(?:\[\d+\])*$)")


def refuse_extras(conversation: Conversation, whose: str, understood: frozenset[str] = frozenset()) -> None:
    """Raise BadInput for the first field of the caller's wire that neither `whose` wire nor this list knows."""
    for where, value in conversation.extras.items():
        if where not in understood and not asks_nothing(where, value):
            raise inexpressible(where, where, whose)


def asks_nothing(where: str, value: Any) -> bool:
    """Tell whether a field may be left out: it is a hint, or asks for what happens anyway."""
    match = _LAST.search(where)
    name = match[0] if match else where
    # 1 is True to Python, and so is 0 False: of equal values the kind must be equal too.
    return name in HINTS or any(value == row and type(value) is type(row) for row in ANYWAY.get(name, ()))


def refuse_sampling(conversation: Conversation, whose: str, *, can: frozenset[str]) -> Json:
    """Return the parameters that were given; raise BadInput for one that `whose` wire does not have.

    `can` names those that it has. What no answer of another wire can carry back (several choices, the chances of tokens,
    sound) is refused for every wire.
    """
    given: Json = {}
    sampling = conversation.sampling
    for name in sampling.__struct_fields__:
        value = getattr(sampling, name)
        if value is None or value in ("", (), {}):
            continue
        if name in can:
            given[name] = value
        elif value not in _ANYWAY_SAMPLING.get(name, ()):
            raise inexpressible(name, name, whose)
    return given


_ANYWAY_SAMPLING: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "service_tier": ("auto", "default", "standard"),
    "verbosity": ("medium",),
    "modalities": (("text",),),
}
