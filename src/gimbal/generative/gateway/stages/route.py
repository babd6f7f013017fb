"""Route: whom the call goes to, and who comes next when that fails."""

from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.prompting import PROMPT, prompted
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.resilience.model import only
from gimbal.generative.gateway.routes.choosing import choose
from gimbal.generative.gateway.routes.facts import CallFacts
from gimbal.generative.gateway.routes.service import Routes, known_to, prices_for
from gimbal.generative.prompts.service import load_prompt
from gimbal.kernel.refs import Ref

_ROUTE = "route:"


async def route(flight: Flight) -> None:
    """Make the plan of a call by the model's name: a route, a released prompt, or a model of a provider.

    Raise NotFound when there is none of that name, Unprocessable when no target of a route can do what the call asks.
    """
    ctx, name = flight.ctx, flight.call.asked.model
    if name.startswith(PROMPT):
        own = len(flight.call.conversation.turns)
        flight.call, ref = await prompted(ctx, flight.call, name)
        flight.prompted = len(flight.call.conversation.turns) - own
        flight.refs.append(ref)
        _, manifest = await load_prompt(ctx, Ref.parse(name, kind="prompt"))
        name = manifest.model
    project = ctx.project or "default"
    providers = ctx.get(Providers)
    if not name.startswith(_ROUTE):
        provider, model = await providers.route(project, name)
        flight.provider, flight.model = provider, model
        flight.plan = only(Choice(provider=provider.name, model=model), ctx.get(Routes).resilience)
        return
    found = await ctx.get(Routes).of(ctx, name)
    facts = CallFacts(flight.call, key=ctx.principal.key_name)
    flight.plan = choose(found, facts, await known_to(ctx), await prices_for(ctx, found))
