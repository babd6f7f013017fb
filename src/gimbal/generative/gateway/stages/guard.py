"""Guards: what a project's policy finds in what goes in and what comes out, and what it does about that.

Nothing but a look into a dict where a project has none. The record has one word for each guard and direction.
"""

from gimbal.generative.gateway.conversation import Piece
from gimbal.generative.gateway.flight import EMBEDDINGS, Flight
from gimbal.generative.gateway.guarding import asked, embedded
from gimbal.generative.gateway.guarding.answered import Outflow, joined
from gimbal.generative.gateway.guarding.looking import Looking
from gimbal.generative.guards.service import Policies
from gimbal.kernel.errors import GimbalError


async def guard_input(flight: Flight) -> None:
    """Look at the request; raise GuardRefused for what a guard blocks, GuardUnavailable where a required one cannot look."""
    ctx = flight.ctx
    policies = ctx.services.get(Policies)
    if policies.has_none(ctx.project or "default"):
        return
    policy = await policies.of(ctx)
    if policy is None:
        return
    looking = flight.looking = Looking(policy, flight.guards)
    if policy.ref is not None:
        flight.refs.append(policy.ref)
    guarded = embedded.guarded if flight.operation == EMBEDDINGS else asked.guarded
    # Also a call that is refused is recorded as guards leave it.
    flight.call, problem = await guarded(looking, flight.call)
    if problem is not None:
        raise problem


async def guard_output(flight: Flight) -> None:
    """Look at a whole answer, or get ready for the pieces of a stream."""
    looking, answer = flight.looking, flight.answer
    if looking is None or answer is None:
        return
    if flight.operation == EMBEDDINGS:
        for one in looking.policy.output:
            looking.skipped(one, "output", "vectors hold no text")
    if flight.operation == EMBEDDINGS or not looking.policy.output:
        if answer.whole is not None:
            flight.take(answer.whole)
        return
    outflow = flight.outflow = Outflow(looking)
    if outflow.changes:
        # What goes on is written anew: the provider's own bytes say what guards have not let through.
        answer.same = False
    if answer.whole is not None:
        await _whole(flight, outflow, answer.whole)


async def _whole(flight: Flight, outflow: Outflow, whole: Piece) -> None:
    changes = outflow.changes
    bare = Piece(finish=whole.finish, usage=whole.usage, model=whole.model, id=whole.id)
    flight.retake(bare if changes else whole)
    try:
        told = joined([*await outflow.feed(whole), *await outflow.end()])
    except GimbalError:
        # What was made and nobody sees is paid for all the same.
        flight.side_text += outflow.heard
        raise
    if changes:
        flight.retake(told)
        flight.side_text += max(0, outflow.heard - outflow.told)


def twin(flight: Flight, other: Flight) -> None:
    """Put another flight of the same call under the same policy: a shadow, whose answer is recorded as well."""
    if flight.looking is not None:
        other.looking = Looking(flight.looking.policy, other.guards)
        for name, row in flight.guards.items():
            kept = {key: value for key, value in other.guards[name].items() if not key.startswith("input")}
            other.guards[name] = kept | {key: value for key, value in row.items() if key.startswith("input")}
