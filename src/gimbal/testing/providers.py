"""Conformance of model providers: what the gateway's pipeline relies on, whatever wire is behind one."""

import msgspec

from gimbal.engines.http.model import Deadlines
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Piece
from gimbal.generative.gateway.provider import Answer, Provider
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.testing.promise import promise

_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})
_DEADLINES = Deadlines(connect_s=5, first_byte_s=10, between_s=10, total_s=30)


async def check_provider(provider: Provider, model: str, question: str = "What keeps both rings level?") -> str:
    """Ask a provider the same question whole and streamed; return the streamed text.

    Either way there is text, one reason to finish, and usage whose last report counts; a stream that is left in the
    middle closes without an error, and closing twice is fine.
    """
    whole, streamed = (
        await _ask(provider, model, question, stream=False),
        await _ask(provider, model, question, stream=True),
    )
    for pieces in (whole, streamed):
        promise(any(piece.text for piece in pieces), "An answer has text.")
        finishes = [piece.finish for piece in pieces if piece.finish]
        promise(len(finishes) == 1 and finishes[0] in _FINISHES, f"An answer finishes once and says why: {finishes}.")
        usage = [piece.usage for piece in pieces if piece.usage is not None]
        promise(bool(usage), "A provider reports usage; what it does not know stays missing.")
        promise(min(usage[-1].input_tokens, usage[-1].output_tokens) > 0, "The last report counts what was used.")
    answer = await _open(provider, model, question, stream=True)
    promise(answer.pieces is not None, "A stream has pieces.")
    if answer.pieces is not None:
        async for _ in answer.pieces:
            break
    await answer.aclose()
    await answer.aclose()
    return "".join(piece.text for piece in streamed)


async def _ask(provider: Provider, model: str, question: str, *, stream: bool) -> list[Piece]:
    answer = await _open(provider, model, question, stream=stream)
    try:
        if answer.whole is not None:
            return [answer.whole]
        promise(answer.pieces is not None, "An answer is whole or has pieces.")
        return [piece async for piece in answer.pieces] if answer.pieces is not None else []
    finally:
        await answer.aclose()


async def _open(provider: Provider, model: str, question: str, *, stream: bool) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": question}], "stream": stream}
    return await provider.open(Call(WIRE, WIRE.asked(msgspec.json.encode(body), {})), model, _DEADLINES)
