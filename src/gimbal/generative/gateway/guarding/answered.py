"""What comes out: the pieces of an answer through the guards, in the order in which they came.

Text, reasoning and refusals are released as soon as no guard can still find something in them; when an answer goes over from
one to another the rest of the first goes before. Arguments of tools wait until they are whole, since a caller can do nothing
with a part of them, and are looked at as the JSON that they are.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

from gimbal.generative.gateway.conversation import Piece, ToolCall
from gimbal.generative.gateway.guarding.looking import Aside, Looking, refused
from gimbal.generative.gateway.order import answer_of, together
from gimbal.generative.guards.prepared import TOO_LONG, Looked, Ready
from gimbal.generative.guards.window import Window

_TEXT, _REASONING, _REFUSAL = "text", "reasoning", "refusal"


class Outflow:
    """One answer on its way through the guards."""

    def __init__(self, looking: Looking) -> None:
        self._looking = looking
        self._guards = looking.policy.output
        self.changes = looking.policy.changes_output
        self._windows: dict[str, list[Window]] = {}
        self._arguments: dict[int, str] = {}
        self._now: str | int = ""
        """Which of them grows now: text, reasoning, refusal, or the tool call of a number."""
        self._found: dict[str, Counter[str]] = {one.name: Counter() for one in self._guards}
        self._lengths: dict[str, int] = dict.fromkeys(self._found, 0)
        self._gone: set[str] = set()
        """Guards that have stepped aside."""
        self._rethought = False
        """Whether the reasoning is not what was signed: then it is signed no more, since thoughts are taken back all or none."""
        self.heard = 0
        """Characters that came in."""
        self.told = 0
        """Characters that went on."""
        for one in self._guards:
            looking.ran(one, "output", {})

    async def feed(self, piece: Piece) -> list[Piece]:
        """Take a piece; return what may go on."""
        out: list[Piece] = []
        for one in [Piece(**answer_of((part,))) for part in piece.parts] or (piece,):
            for part in one.thinking:
                if part.text:
                    await self._say(_REASONING, part.text, out)
                if part.signature or part.redacted:
                    await self._flush(out)
                    if not self._rethought:
                        out.append(Piece(signature=part.signature, redacted=part.redacted))
            if one.text:
                await self._say(_TEXT, one.text, out)
            if one.refusal:
                await self._say(_REFUSAL, one.refusal, out)
            for call in one.tool_calls:
                await self._call(call, out)
        if piece.finish:
            await self._flush(out)
        return self._with_the_rest(piece, out)

    async def end(self) -> list[Piece]:
        """Return what still waits."""
        out: list[Piece] = []
        await self._flush(out)
        self.told += sum(map(_length, out))
        return out

    def _with_the_rest(self, piece: Piece, out: list[Piece]) -> list[Piece]:
        """Return the pieces, the last of them with what a piece says besides text."""
        last = out.pop() if out else Piece()
        rest = msgspec.structs.replace(
            last,
            finish=piece.finish,
            usage=piece.usage,
            model=piece.model,
            id=piece.id,
            side_text=piece.side_text,
        )
        self.told += sum(_length(one) for one in (*out, rest))
        return out if rest == Piece() else [*out, rest]

    async def _turn(self, to: str | int, out: list[Piece]) -> None:
        if self._now not in {"", to}:
            await self._flush(out)
        self._now = to

    async def _say(self, channel: str, text: str, out: list[Piece]) -> None:
        await self._turn(channel, out)
        self.heard += len(text)
        windows = self._windows.setdefault(channel, [Window(one) for one in self._guards])
        for guard, window in zip(self._guards, windows, strict=True):
            text = await self._through(guard, window, text, over=False)
        if text:
            out.append(_piece(channel, text))

    async def _call(self, call: ToolCall, out: list[Piece]) -> None:
        await self._turn(call.index, out)
        self.heard += len(call.arguments)
        self._arguments[call.index] = self._arguments.get(call.index, "") + call.arguments
        if call.id or call.name:
            out.append(Piece(tool_calls=(ToolCall(index=call.index, id=call.id, name=call.name),)))

    async def _flush(self, out: list[Piece]) -> None:
        """Release what waits where the answer is now."""
        now = self._now
        if isinstance(now, int):
            text = self._arguments.pop(now, "")
            for guard in self._guards:
                text = await self._look(guard, text)
            if text:
                out.append(Piece(tool_calls=(ToolCall(index=now, arguments=text),)))
        elif now:
            text = ""
            for guard, window in zip(self._guards, self._windows[now], strict=True):
                text = await self._through(guard, window, text, over=True)
            if text:
                out.append(_piece(now, text))
        self._now = ""

    async def _through(self, guard: Ready, window: Window, text: str, *, over: bool) -> str:
        """Return what one guard lets go on of a text that it has begun to see."""
        waiting = window.waiting
        if guard.name in self._gone:
            window.forget()
            return waiting + text
        known = window.found.copy()
        size = len(waiting) + len(text)
        try:
            released = await self._looking.within(guard, "output", size, lambda: _fed(window, text, over=over))
        except Aside:
            self._gone.add(guard.name)
            # A thread may still be at work on that one.
            for windows in self._windows.values():
                windows[:] = [Window(guard) if one is window else one for one in windows]
            return waiting + text
        new = window.found - known
        if new and guard.masks and self._now == _REASONING:
            self._rethought = True
        self._judge(guard, len(text), new)
        return released

    async def _look(self, guard: Ready, text: str) -> str:
        if guard.name in self._gone:
            return text
        see: Callable[[], Looked] = lambda: guard.look_at_json(text)  # noqa: E731 - it is handed on
        try:
            looked = await self._looking.within(guard, "output", len(text), see)
        except Aside:
            self._gone.add(guard.name)
            return text
        self._judge(guard, len(text), Counter(looked.found))
        return looked.text

    def _judge(self, guard: Ready, length: int, new: Counter[str]) -> None:
        """Note what a guard has found; raise GuardRefused where it blocks."""
        found = self._found[guard.name]
        self._lengths[guard.name] += length
        most = guard.guard.max_characters
        if most is not None and self._lengths[guard.name] > most and not found[TOO_LONG]:
            new[TOO_LONG] = 1
        if not new:
            return
        found.update(new)
        # At once: a caller who goes away ends the call where it stands.
        self._looking.ran(guard, "output", found)
        if guard.guard.action == "block":
            raise refused(guard, "output", found)


def _fed(window: Window, text: str, *, over: bool) -> str:
    released = window.feed(text)
    return released + window.end() if over else released


def _piece(channel: str, text: str) -> Piece:
    if channel == _TEXT:
        return Piece(text=text)
    return Piece(reasoning=text) if channel == _REASONING else Piece(refusal=text)


def _length(piece: Piece) -> int:
    return (
        len(piece.text)
        + len(piece.reasoning)
        + len(piece.refusal)
        + sum(len(call.arguments) for call in piece.tool_calls)
    )


def joined(pieces: list[Piece]) -> Piece:
    """Return the pieces of a whole answer as one."""
    usage = [piece.usage for piece in pieces if piece.usage is not None]
    return Piece(
        **together(pieces),
        finish="".join(piece.finish for piece in pieces),
        usage=usage[-1] if usage else None,
        model=next((piece.model for piece in pieces if piece.model), ""),
        id=next((piece.id for piece in pieces if piece.id), ""),
        side_text="".join(piece.side_text for piece in pieces),
    )


class Taking(Protocol):
    """Who accounts for what goes on: a Flight."""

    side_text: int

    def take(self, piece: Piece) -> None:
        """Account for one piece."""
        ...


async def watched(outflow: Outflow, pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """Yield the pieces of a stream as they come, since none of the guards changes anything, and look at them beside."""
    async for piece in pieces:
        await outflow.feed(piece)
        yield piece
    await outflow.end()


async def released(outflow: Outflow, pieces: AsyncIterator[Piece], taking: Taking) -> AsyncIterator[Piece]:
    """Yield what guards let go on of a stream; what they keep is accounted for as text that nobody sees."""
    async for piece in pieces:
        for one in await _counted(outflow, outflow.feed(piece), taking):
            taking.take(one)
            yield one
    for one in await _counted(outflow, outflow.end(), taking):
        taking.take(one)
        yield one


async def _counted(outflow: Outflow, step: Awaitable[list[Piece]], taking: Taking) -> list[Piece]:
    before = outflow.heard - outflow.told
    try:
        return await step
    finally:
        taking.side_text += outflow.heard - outflow.told - before
