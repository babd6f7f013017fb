"""Admit: what must be right before a provider is asked. The versions that the caller names exist and are recorded."""

from gimbal.axis.assets.service import Assets
from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.flight import Flight
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.refs import Ref


async def admit(flight: Flight) -> None:
    """Resolve the prompt that the call is attributed to; raise BadInput when there is none of that name.

    A process that cannot record the call does not make it.
    """
    flight.ctx.get(Traces)
    named = flight.call.attribution.prompt
    if not named:
        return
    try:
        ref = Ref.parse(named, kind="prompt")
        if ref.kind != "prompt":
            raise BadInput(f"{named!r} is not a prompt.", todo="Name one like prompt:help/answer@production.")
        version = await flight.ctx.get(Assets).resolve(flight.ctx, ref)
    except GimbalError as problem:
        raise BadInput(
            f"The call names a prompt that cannot be found: {problem.message}",
            where="x-gimbal-prompt",
            todo=problem.todo or "Name an existing version, or leave the header out.",
        ) from None
    flight.refs.append(version.ref)
