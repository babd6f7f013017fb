"""Provider: carry out the plan until an answer begins, and hand on its pieces while accounting for each."""

import time
from collections.abc import AsyncIterator, Callable

from gimbal.engines.http.model import Deadlines
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Piece
from gimbal.generative.gateway.flight import EMBEDDINGS, Flight
from gimbal.generative.gateway.guarding.answered import released, watched
from gimbal.generative.gateway.parted import Parted
from gimbal.generative.gateway.prompting import prompted
from gimbal.generative.gateway.provider import Answer, Choice, Provider
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider
from gimbal.generative.gateway.resilience.attempt import attempt
from gimbal.generative.gateway.routes.service import known_to
from gimbal.generative.gateway.wire.openai_embeddings import WIRE as EMBEDDINGS_WIRE
from gimbal.kernel.errors import BadInput, GimbalError


async def provide(flight: Flight) -> None:
    """Send the call; returns when a provider has accepted it. A whole answer has been read then."""
    assert flight.plan is not None, "route runs before"
    ctx, call = flight.ctx, flight.call
    project, providers, health = ctx.project or "default", ctx.get(Providers), await known_to(ctx)
    asked: dict[str, Provider] = {} if flight.provider is None else {flight.provider.name: flight.provider}

    async def open_one(choice: Choice, deadlines: Deadlines) -> Answer:
        provider = asked.get(choice.provider)
        if provider is None:
            provider = asked[choice.provider] = await providers.get(project, choice.provider)
        sent = call
        if choice.prompt:
            sent, ref = await prompted(ctx, call, choice.prompt)
            flight.prompted = 0  # what is recorded is what the caller sent
            if ref not in flight.refs:
                flight.refs.append(ref)
        begun = time.perf_counter()
        try:
            if flight.operation == EMBEDDINGS:
                return await _embedded(flight, provider, sent, choice, deadlines)
            return await provider.open(sent, choice.model, deadlines)
        finally:
            flight.upstream_us += int((time.perf_counter() - begun) * 1e6)

    deadline = None if call.timeout_s is None else health.clock() + call.timeout_s
    outcome = await attempt(
        flight.plan, open_one, health, deadline=deadline, attempts=flight.attempts, stream=call.asked.stream
    )
    flight.provider = asked[outcome.choice.provider]
    flight.choice = outcome.choice
    flight.model = outcome.choice.model
    flight.answer = outcome.answer
    if outcome.answer.whole is not None:
        if flight.looking is None:  # else guard_output takes what guards leave of it
            flight.take(outcome.answer.whole)
        flight.complete = True


async def _embedded(flight: Flight, provider: Provider, call: Call, choice: Choice, deadlines: Deadlines) -> Answer:
    """Return vectors as a whole answer in the caller's wire; usage that nobody told is estimated from the inputs."""
    model = choice.model
    if not isinstance(provider, HttpProvider):
        raise BadInput(f"{provider.name}/{model} makes no embeddings.", where="model", todo="Use another model.")
    wire = EMBEDDINGS_WIRE
    parted = Parted(choice, flight.started_us + flight.elapsed_us())
    attempts = flight.parted = flight.parted or []
    attempts.append(parted)
    try:
        found = await provider.embed(wire, call.asked, model, deadlines, headers=call.headers, answered=parted.take)
        vectors = found.vectors
        raw = vectors.raw if found.same else wire.write(call.asked, vectors, model=vectors.model or model)
        attempts.remove(parted)
    finally:
        parted.ended_us = flight.started_us + flight.elapsed_us()
    piece = Piece(usage=vectors.usage, model=vectors.model, raw=raw)
    return Answer(whole=piece, same=True, model=model, headers=found.headers)


def pieces(flight: Flight) -> AsyncIterator[Piece]:
    """Return the pieces of a streamed answer in order, as guards leave them; `flight.complete` says whether it came to its end."""
    outflow = flight.outflow
    if outflow is None or flight.answer is None or flight.answer.pieces is None:
        return _heard(flight, flight.take)
    if not outflow.changes:
        return watched(outflow, _heard(flight, flight.take))
    return released(outflow, _heard(flight, _not_yet), flight)


def _not_yet(piece: Piece) -> None:
    """Leave a piece to the guards."""


async def _heard(flight: Flight, take: Callable[[Piece], None]) -> AsyncIterator[Piece]:
    assert flight.answer is not None, "provide runs before"
    if flight.answer.pieces is None:
        if flight.answer.whole is not None:
            yield flight.answer.whole
        return
    try:
        async for piece in flight.answer.pieces:
            take(piece)
            yield piece
    except GimbalError as problem:
        if flight.choice is not None:
            (await known_to(flight.ctx)).broke_off(flight.choice, problem)
        raise
    flight.complete = True
