"""What goes in to be embedded: the texts of such a request, and the request with what guards left of them."""

from typing import Any

import msgspec

from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.guarding.asked import WITHHELD, Said, look
from gimbal.generative.gateway.guarding.looking import Looking
from gimbal.kernel.errors import BadInput, GimbalError


async def guarded(looking: Looking, call: Call) -> tuple[Call, GimbalError | None]:
    """Return a call as guards leave it, and the error that ends it if one of them blocks it or cannot look."""
    if not looking.policy.input:
        return call, None
    wire: Any = call.wire
    try:
        inputs: tuple[str | tuple[int, ...], ...] = wire.embeddings(call.asked).inputs
    except BadInput as problem:
        return _saying(call, [WITHHELD]), problem
    tokens = sum(not isinstance(one, str) for one in inputs)
    if tokens and any(one.changes and one.guard.required for one in looking.policy.input):
        problem = BadInput(
            "Guards look at the input of this project, and cannot read tokens.", where="input", todo="Send texts."
        )
        return _saying(call, [WITHHELD]), problem
    said = [Said(one) for one in inputs if isinstance(one, str)]
    try:
        told, blocked = await look(looking, said)
    except GimbalError as problem:
        return _saying(call, [WITHHELD] * len(said)), problem
    looking.unread("input", {"tokens": tokens} if tokens else {})
    if told == [one.text for one in said]:
        return call, blocked
    rest = iter(told)
    return _saying(call, [next(rest) if isinstance(one, str) else one for one in inputs]), blocked


def _saying(call: Call, inputs: list[Any]) -> Call:
    raw = msgspec.Raw(msgspec.json.encode(inputs))
    other = Call(
        call.wire,
        msgspec.structs.replace(call.asked, fields={**call.asked.fields, "input": raw}, said=bytes(raw)),
        attribution=call.attribution,
        trace=call.trace,
        headers=call.headers,
        timeout_s=call.timeout_s,
    )
    other.__dict__["id"] = call.id
    return other
