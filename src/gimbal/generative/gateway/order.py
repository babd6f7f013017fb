"""The order of an answer: thoughts stand before what they led to, and a signature with what it signs."""

from collections.abc import Iterable, Sequence

from gimbal.generative.gateway.conversation import AnswerPart, Json, Piece, Refused, Text, Thinking, ToolCall, said_of

_RANKS: dict[type, int] = {Thinking: 0, Text: 1, Refused: 2, ToolCall: 3}


def answer_of(parts: Sequence[AnswerPart], *, whole: bool = True) -> Json:
    """Return the fields of a Piece that say these parts; of a `whole` answer also their order, where it is not the usual."""
    thoughts: list[Thinking] = []
    calls: list[ToolCall] = []
    said, refused = "", ""
    usual, last = True, 0
    for place, part in enumerate(parts):
        rank = _RANKS[type(part)]
        usual, last = usual and rank >= last, rank
        if isinstance(part, Text):
            said += part.text
        elif isinstance(part, ToolCall):
            calls.append(part)
        elif isinstance(part, Thinking):
            # A signature that is not of the thought before it would be taken for that.
            usual = usual and not (part.signature and place and _open(parts[place - 1]))
            thoughts.append(part)
        else:
            refused += part.text
    fields: Json = said_of(thoughts) if thoughts else {}
    fields |= {"text": said, "refusal": refused, "tool_calls": tuple(calls)}
    # Without thoughts nothing is paired with anything.
    return fields if usual or not thoughts or not whole else fields | {"parts": tuple(parts)}


def runs(parts: Sequence[AnswerPart]) -> list[list[AnswerPart]]:
    """Return parts cut into runs that are each in the usual order: thoughts, then text, then calls."""
    found: list[list[AnswerPart]] = []
    for part in parts:
        if found and _RANKS[type(part)] >= _RANKS[type(found[-1][-1])]:
            found[-1].append(part)
        else:
            found.append([part])
    return found


def together(pieces: Iterable[Piece]) -> Json:
    """Return the fields of a Piece that say what these say one after another."""
    parts: list[AnswerPart] = []
    calls: dict[int, int] = {}
    for part in (part for piece in pieces for part in piece.order):
        last = parts[-1] if parts else None
        if isinstance(part, ToolCall) and part.index in calls:
            place = calls[part.index]
            parts[place] = _grown(parts[place], part)
        elif isinstance(part, Text) and isinstance(last, Text):
            parts[-1] = Text(text=last.text + part.text)
        elif isinstance(part, Refused) and isinstance(last, Refused):
            parts[-1] = Refused(text=last.text + part.text)
        elif isinstance(part, Thinking) and isinstance(last, Thinking) and _open(last) and not part.redacted:
            parts[-1] = Thinking(text=last.text + part.text, signature=part.signature)
        else:
            if isinstance(part, ToolCall):
                calls[part.index] = len(parts)
            parts.append(part)
    return answer_of(parts)


def _open(part: AnswerPart) -> bool:
    return isinstance(part, Thinking) and not (part.signature or part.redacted)


def _grown(call: AnswerPart, more: ToolCall) -> ToolCall:
    assert isinstance(call, ToolCall), "it was noted where the call is"
    return ToolCall(
        index=call.index,
        id=more.id or call.id,
        name=more.name or call.name,
        arguments=call.arguments + more.arguments,
    )
