"""The console's playground: the page, and what a call came to once its trace is stored. The script runs the calls."""

import contextlib
from typing import Any

from gimbal.axis.assets.service import Assets
from gimbal.axis.scores.model import SCORERS
from gimbal.axis.traces.model import Span, Trace
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.generative.gateway.playground import MOST_COLUMNS, Setup, read_setup
from gimbal.generative.gateway.prompting import PROMPT
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.traffic import traffic
from gimbal.generative.prompts.model import declared_of
from gimbal.generative.prompts.service import load_prompt
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import DeadlineExceeded, GimbalError, NotFound, Unavailable
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref

_PATH = "/gateway/playground"
_MOST = 200


@page(_PATH, title="Playground", order=65, icon="gateway", tab="Playground", within="/gateway")
async def playground_page(ctx: Context, request: PageRequest) -> View:
    """Show the playground as the address sets it up; `call` asks for what became of one call."""
    if "call" in request.query:
        return await _call(ctx, request)
    assets = ctx.get(Assets)
    suites = await assets.page(ctx, kind="suite", limit=_MOST)
    setup = read_setup(request)
    data: dict[str, Any] = {
        "setup": setup,
        "types": await _types(ctx, setup) if setup.variables else {},
        "most": MOST_COLUMNS,
        "models": await _models(ctx),
        "suites": [one.name for one in suites.items],
        "scorers": list(SCORERS),
        "may": request.principal.may(Permission.DEVELOP, request.project),
    }
    return View("gateway/playground.html", data)


async def _types(ctx: Context, setup: Setup) -> dict[str, str]:
    """Return the declared types of the variables of the prompts in the playground; the first that declares one holds."""
    found: dict[str, str] = {}
    for column in setup.columns:
        if not column.model.startswith(PROMPT):
            continue
        with contextlib.suppress(GimbalError):  # the call itself tells what is wrong with it
            _, manifest = await load_prompt(ctx, Ref.parse(column.model))
            found = {name: one.type for name, one in declared_of(manifest).items()} | found
    return found


async def _models(ctx: Context) -> list[str]:
    """Return names to choose from: released prompts, routes, what was called lately, what providers are set up with."""
    found: list[str] = []
    assets = ctx.get(Assets)
    for kind in ("route", "prompt"):
        for one in (await assets.page(ctx, kind=kind, limit=_MOST)).items:
            found += [f"{kind}:{one.name}@{alias}" for alias in one.aliases]
            found += [f"{kind}:{one.name}@v{number}" for number in range(one.versions, max(one.versions - 3, 0), -1)]
    with contextlib.suppress(DeadlineExceeded, Unavailable):  # the list is a help; any name can be written
        found += [one.called for one in (await traffic(ctx)).models if one.reached]
    if ctx.services.has(Providers):
        entries = await ctx.get(Providers).entries(ctx.project or "default")
        found += [f"{name}/{model}" for name, entry in entries.items() for model in entry.settings.models]
        if "local" in entries:
            found.append("local/extractive")
    return list(dict.fromkeys(found))


async def _call(ctx: Context, request: PageRequest) -> View:
    """Show tokens, cost and times of a call by its trace; its record may be on its way yet."""
    span: Span | None = None
    try:
        trace: Trace = await invoke(find("traces.show"), ctx, {"project": request.project, "id": request.query["call"]})
        span = next((one for one in trace.spans if one.kind == "llm" and one.attributes.get("gimbal.wire")), None)
    except NotFound:
        pass  # the journal brings it within a second
    data = {"span": span, "trace_id": request.query["call"]}
    return View("gateway/playground_call.html", data)
