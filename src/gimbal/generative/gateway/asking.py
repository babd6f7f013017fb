"""What scorers ask for through the gateway: a model's answer, vectors of texts. Each is a call like any other's, with its trace."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.scores.asking import Embedded, Said
from gimbal.generative.gateway.call import Attribution, Call
from gimbal.generative.gateway.complete import complete
from gimbal.generative.gateway.flight import EMBEDDINGS, Flight
from gimbal.generative.gateway.pipeline import run
from gimbal.generative.gateway.wire.openai_embeddings import WIRE
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Upstream

_FEATURE = Attribution(feature="scoring")


class _Row(msgspec.Struct, frozen=True):
    embedding: list[float]
    index: int = 0


class _Vectors(msgspec.Struct, frozen=True):
    data: list[_Row]


_vectors = msgspec.json.Decoder(_Vectors)


async def said(ctx: Context, model: str, messages: Sequence[Mapping[str, str]], params: Mapping[str, Any]) -> Said:
    """Return a model's answer; implements `Complete` of the scores. Raise the GimbalError of what failed."""
    found = await complete(ctx, model=model, messages=messages, params=params, attribution=_FEATURE)
    return Said(text=found.text, trace_id=found.trace_id, cost=found.cost)


async def embedded(ctx: Context, embedder: str, texts: Sequence[str]) -> Embedded:
    """Return a vector of length 1 per text, by a model for embeddings; implements `Embed` of the scores.

    Raise the GimbalError of what failed, Upstream for vectors that are not one per text.
    """
    body = msgspec.json.encode({"model": embedder, "input": list(texts), "encoding_format": "float"})
    wire: Any = WIRE  # what a call needs of a wire before it is answered, it has
    flight = Flight(ctx, Call(wire, wire.asked(body, {}), attribution=_FEATURE), operation=EMBEDDINGS, at_once=True)
    await run(flight)
    try:
        rows = sorted(_vectors.decode(flight.body).data, key=lambda row: row.index)
    except msgspec.DecodeError as problem:
        raise Upstream(f"{embedder} gave no vectors: {problem}.", todo="Use another embedder.") from None
    if len(rows) != len(texts):
        raise Upstream(f"{embedder} gave {len(rows)} vectors for {len(texts)} texts.", todo="Use another embedder.")
    return Embedded(vectors=[_unit(row.embedding) for row in rows], cost=flight.cost)


def _unit(vector: list[float]) -> list[float]:
    size = math.hypot(*vector)
    return [value / size for value in vector] if size else vector
