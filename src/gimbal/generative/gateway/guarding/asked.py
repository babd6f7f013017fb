"""What goes in: all texts of a request, and the request with what guards left of them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import (
    AnyPart,
    Conversation,
    Refused,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from gimbal.generative.gateway.guarding.looking import Aside, Looking, refused
from gimbal.generative.gateway.prompting import VARIABLES, variables
from gimbal.generative.guards.prepared import TOO_LONG, Ready
from gimbal.kernel.errors import BadInput, GimbalError, GuardRefused

WITHHELD = "[withheld]"
_OF_THE_PATH = frozenset({"model", "stream", "tools", "tool_choice"})
Swaps = dict[str | int | float, str]


class Said(NamedTuple):
    """One text of a request."""

    text: str
    before: str = ""
    """The name of its field, where it has one that says what it is."""
    json: bool = False


def texts(conversation: Conversation) -> list[Said]:
    """Return all texts of a conversation, in order."""
    return [said for turn in conversation.turns for said in _texts(turn.parts)]


def _texts(parts: tuple[AnyPart, ...]) -> Iterator[Said]:
    for part in parts:
        if isinstance(part, Text | Refused | Thinking):
            yield Said(part.text)
        elif isinstance(part, ToolUse):
            yield Said(part.arguments, json=True)
        elif isinstance(part, ToolResult):
            yield from _texts(part.parts)


def unread(conversation: Conversation) -> dict[str, int]:
    """Return how many parts of each kind are no text."""
    return dict(Counter(kind for turn in conversation.turns for kind in _unread(turn.parts)))


def _unread(parts: tuple[AnyPart, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, ToolResult):
            yield from _unread(part.parts)
        elif not isinstance(part, Text | Refused | Thinking | ToolUse):
            yield type(part).__name__.lower()


def retold(conversation: Conversation, told: Iterator[str]) -> Conversation:
    """Return a conversation with other texts, as many as it has."""
    turns = [msgspec.structs.replace(turn, parts=_retold(turn.parts, told)) for turn in conversation.turns]
    return msgspec.structs.replace(conversation, turns=tuple(turns))


def _retold(parts: tuple[AnyPart, ...], told: Iterator[str]) -> tuple[AnyPart, ...]:
    found: list[AnyPart] = []
    for part in parts:
        if isinstance(part, Text | Refused):
            found.append(msgspec.structs.replace(part, text=next(told)))
        elif isinstance(part, Thinking):
            text = next(told)
            # A signature is of the thought as it was.
            found.append(part if text == part.text else msgspec.structs.replace(part, text=text, signature=""))
        elif isinstance(part, ToolUse):
            found.append(msgspec.structs.replace(part, arguments=next(told)))
        elif isinstance(part, ToolResult):
            found.append(msgspec.structs.replace(part, parts=_retold(part.parts, told)))
        else:
            found.append(part)
    return tuple(found)


async def look(looking: Looking, said: list[Said]) -> tuple[list[str], GuardRefused | None]:
    """Return what all guards leave of texts, and the refusal of the first that blocks.

    All look, also when one has blocked: nothing that any of them takes out is recorded.
    """
    told, blocked = [one.text for one in said], None
    for guard in looking.policy.input:
        now = [one._replace(text=text) for one, text in zip(said, told, strict=True)]
        try:
            size = sum(map(len, told))
            told, found = await looking.within(guard, "input", size, lambda g=guard, n=now: _looked(g, n))
        except Aside:
            continue
        looking.ran(guard, "input", found)
        if found and guard.guard.action == "block" and blocked is None:
            blocked = refused(guard, "input", found)
    return told, blocked


def _looked(guard: Ready, said: list[Said]) -> tuple[list[str], Counter[str]]:
    found: Counter[str] = Counter()
    told: list[str] = []
    most = guard.guard.max_characters
    if most is not None and sum(len(one.text) for one in said) > most:
        found[TOO_LONG] = 1
    for one in said:
        looked = guard.look_at_json(one.text) if one.json else guard.look(one.text, one.before)
        told.append(looked.text)
        found.update(looked.found)
    return told, found


async def guarded(looking: Looking, call: Call) -> tuple[Call, GimbalError | None]:
    """Return a call as guards leave it, and the error that ends it if one of them blocks it or cannot look."""
    try:
        conversation, values = call.conversation, variables(call.asked)
        _check_answerable(looking, conversation)
    except BadInput as problem:
        return _withheld(call, Conversation(turns=(Turn(role="user", parts=(Text(text=WITHHELD),)),))), problem
    said = texts(conversation)
    filled = [_filled(name, value) for name, value in values.items()]
    if not looking.policy.input:
        return call, None
    try:
        told, blocked = await look(looking, [*said, *filled])
    except GimbalError as problem:
        # What could not be looked at is not recorded either.
        return _withheld(call, retold(conversation, iter([WITHHELD] * len(said)))), problem
    looking.unread("input", unread(conversation))
    if told == [one.text for one in (*said, *filled)]:
        return call, blocked
    expected = retold(conversation, iter(told))
    left = zip(filled, told[len(said) :], strict=True)
    masked = {name: _again(value, *one) for (name, value), one in zip(values.items(), left, strict=True)}
    if masked != values and VARIABLES in expected.extras:
        expected = msgspec.structs.replace(expected, extras={**expected.extras, VARIABLES: masked})
    return _resaid(call, expected, swaps([*said, *filled], told), masked), blocked


def _filled(name: str, value: Any) -> Said:
    """Return a variable's value as a text; what is none as JSON, of which each text and number is looked at."""
    if isinstance(value, str):
        return Said(value, before=f"{name}: ")
    return Said(msgspec.json.encode(value).decode(), before=f"{name}: ", json=True)


def _again(value: Any, said: Said, told: str) -> Any:
    """Return a variable's value as guards left it; one that they left alone is the caller's own."""
    if told == said.text:
        return value
    try:
        return msgspec.json.decode(told) if said.json else told
    except (ValueError, RecursionError):
        return told


def _withheld(call: Call, conversation: Conversation) -> Call:
    return call.saying(conversation)


def swaps(said: list[Said], told: list[str]) -> Swaps:
    """Return what stands for each text that was changed, and for each value within those that are JSON."""
    found: Swaps = {}
    for one, text in zip(said, told, strict=True):
        if one.text == text:
            continue
        found[one.text] = text
        if one.json:
            try:
                found |= _pairs(msgspec.json.decode(one.text), msgspec.json.decode(text))
            except (ValueError, RecursionError):
                continue
    return found


def _pairs(before: Any, after: Any) -> Swaps:
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
        found: Swaps = {a: b for a, b in zip(old, new, strict=False) if a != b}
        for a, b in zip(old.values(), new.values(), strict=False):
            found |= _pairs(a, b)
        return found
    if isinstance(before, list) and isinstance(after, list):
        found = {}
        for a, b in zip(cast("list[Any]", before), cast("list[Any]", after), strict=False):
            found |= _pairs(a, b)
        return found
    if isinstance(after, str) and isinstance(before, str | int | float) and before != after:
        return {before: after}
    return {}


def _resaid(call: Call, expected: Conversation, changed: Swaps, values: Mapping[str, Any]) -> Call:
    """Return the call saying what is expected, in the caller's own fields where that says just it.

    So what has no place in the normal form goes on to a provider of the same wire all the same.
    """
    asked = call.asked
    fields = {name: raw if name in _OF_THE_PATH else _swapped(raw, changed) for name, raw in asked.fields.items()}
    if values:
        fields[VARIABLES] = msgspec.Raw(msgspec.json.encode(values))
    said = bytes(_swapped(msgspec.Raw(asked.said), changed)) if asked.said else b""
    metadata = asked.metadata
    if values and VARIABLES in metadata:
        metadata = {**metadata, VARIABLES: dict(values)}
    other = Call(
        call.wire,
        msgspec.structs.replace(asked, fields=fields, said=said, metadata=metadata),
        attribution=call.attribution,
        trace=call.trace,
        headers=call.headers,
        timeout_s=call.timeout_s,
    )
    other.__dict__["id"] = call.id
    try:
        same = not call.rewritten and other.conversation == expected
    except BadInput:
        same = False
    return other if same else other.saying(expected)


def _swapped(raw: msgspec.Raw, changed: Swaps) -> msgspec.Raw:
    before = msgspec.json.decode(raw)
    after = _walked(before, changed)
    return raw if after == before else msgspec.Raw(msgspec.json.encode(after))


def _walked(value: Any, changed: Swaps) -> Any:
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {changed.get(name, name): _walked(one, changed) for name, one in fields.items()}
    if isinstance(value, list):
        return [_walked(one, changed) for one in cast("list[Any]", value)]
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return changed.get(value, value)
    return value


def _check_answerable(looking: Looking, conversation: Conversation) -> None:
    """Raise BadInput for what could not be guarded in an answer: it would be lost when the answer is written anew."""
    if not looking.policy.changes_output:
        return
    sampling = conversation.sampling
    asks = (
        ("n", (sampling.n or 1) > 1, "several choices"),
        ("logprobs", sampling.logprobs is not None, "the probabilities of tokens"),
        ("modalities", "audio" in sampling.modalities, "sound"),
    )
    for field, wanted, what in asks:
        if wanted:
            raise BadInput(
                f"Guards look at the answers of this project, and cannot look at {what}.",
                where=field,
                todo="Leave it out.",
            )
