"""What the judges of answers will cost, told before one is asked.

How often a scorer asks, and how much it shows, depends on answers that nobody has yet. Where the expectation lists what is asked
about (goals), that is counted; else five questions an answer are assumed, with a page of text beside the example.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from statistics import fmean

import msgspec

from gimbal.axis.evals.metering import dearest, priced
from gimbal.axis.evals.model import Example
from gimbal.axis.scores.builtin.judging import MOST_QUESTIONS, MOST_TOKENS
from gimbal.axis.scores.scorer import Applied
from gimbal.kernel.context import Context
from gimbal.kernel.money import ZERO

_USUAL_QUESTIONS = 5
"""Of a model about one answer, where nothing says how many: as many claims have two or three sentences."""
_RULE, _SHOWN = 600, 4_000
"""Bytes of what a judge is told to do, and of the answer and its passages, about."""
_ANSWER = 1_000
"""Bytes of an answer that an embedder is given, about."""
_WORD = 8
"""Tokens of one word, about."""


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """What judging answers will cost."""

    calls: float = 0.0
    """Calls of models and embedders for one answer, about."""
    cost: Decimal | None = ZERO
    """US dollars of judging one answer, about; null when unknown."""
    call: Decimal | None = ZERO
    """US dollars that one call of the dearest judge takes at most, with as much text as is assumed; null when unknown."""
    unpriced: str = ""
    """Which judges' cost is unknown, and why."""


async def foreseen_judging(ctx: Context, scorers: Sequence[Applied], examples: Sequence[Example]) -> Judging:
    """Tell what judging answers to such examples will cost; an answer that fails is not judged, and costs nothing."""
    calls, cost, call, unpriced = 0.0, ZERO, ZERO, dict[str, str]()
    asking = [one for one in scorers if one.asks]
    if not asking or not examples:
        return Judging()
    # In a thread: of many long examples this takes a second or more.
    shown = {kind: await asyncio.to_thread(_shown, examples, embeds=kind) for kind in {_embeds(one) for one in asking}}
    for one in asking:
        embeds = _embeds(one)
        each = 1.0 if embeds else fmean([_questions(one, example) for example in examples])
        calls += each
        about = await priced(ctx, one.asks, [shown[embeds]], 0 if embeds else _WORD)
        most = await dearest(ctx, one.asks, shown[embeds], 0 if embeds else MOST_TOKENS)
        if about.cost is None or most is None:
            unpriced[one.asks] = about.unpriced
            continue
        cost += about.cost * Decimal(each)
        call = max(call, most)
    if unpriced:
        told = "; ".join(f"{name}: {why}" for name, why in unpriced.items())
        return Judging(calls=calls, cost=None, call=None, unpriced=told)
    return Judging(calls=calls, cost=cost, call=call)


def _questions(scorer: Applied, example: Example) -> int:
    listed = [found for name in scorer.card.expects if isinstance(found := example.expected.get(name), list)]
    return min(len(listed[0]), MOST_QUESTIONS) if listed else _USUAL_QUESTIONS


def _embeds(scorer: Applied) -> bool:
    return scorer.card.asks == "embedder"


def _shown(examples: Sequence[Example], *, embeds: bool) -> int:
    """Return the bytes of what a call is given, about."""
    parts = ((one.expected if embeds else one.input) for one in examples)
    own = fmean([len(msgspec.json.encode(part, enc_hook=str)) for part in parts])
    return round(own) + (_ANSWER if embeds else _RULE + _SHOWN)
