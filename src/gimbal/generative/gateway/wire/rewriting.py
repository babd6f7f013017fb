"""A request of the caller's own wire with another conversation in it: of a released prompt, or what guards left of it.

It is written as for a caller of another wire, but what only this wire knows goes on as it came, for the answer does so too.
"""

import re
from typing import Any

import msgspec

from gimbal.generative.gateway.conversation import Conversation, Json
from gimbal.generative.gateway.wire.protocol import Asked, Wire

_SAMPLING = {"n": None, "logprobs": None, "top_k": None, "modalities": ()}
"""Parameters that no answer of another wire could carry, or that not all servers of a wire know."""
_WITH_THEM = {"logprobs": ("logprobs", "top_logprobs"), "tools": ("tools", "tool_choice", "parallel_tool_calls")}
_ROOT = re.compile(r"[.\[]")
_SAID = frozenset({"messages", "input", "instructions", "system", "contents", "systemInstruction"})
"""Where the conversation stands, which is another now."""
_LABELS = frozenset({"metadata"})
"""What was said to us; the values of a prompt's variables may stand in it."""


def rewritten(wire: Wire, asked: Asked, conversation: Conversation, model: str) -> Json:
    """Return the request; raise BadInput naming what stands within a message and has no place in the normal form."""
    roots = {where: _ROOT.split(where, maxsplit=1)[0] for where in conversation.extras}
    kept = {where: root for where, root in roots.items() if root in asked.fields and root not in _SAID}
    own = [name for root in kept.values() for name in _WITH_THEM.get(root, (root,))]
    changes: dict[str, Any] = {}
    for name, nothing in _SAMPLING.items():
        if name in asked.fields and getattr(conversation.sampling, name) != nothing:
            changes[name] = nothing
            own += _WITH_THEM.get(name, (name,))
    expressible = msgspec.structs.replace(
        conversation,
        extras={where: value for where, value in conversation.extras.items() if where not in kept},
        sampling=msgspec.structs.replace(conversation.sampling, **changes),
    )
    fields = wire.request(expressible, model, stream=asked.stream)
    return fields | {name: asked.fields[name] for name in own if name in asked.fields and name not in _LABELS}
