"""The `Target` of evaluations for routes: each example is a chat completion by exactly that version, through the gateway.

One trace per example, which is the call's own. What of an example goes into the call `asked_of` says.
"""

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.generative.gateway.call import Attribution, Call, TraceContext
from gimbal.generative.gateway.complete import called
from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.flight import Flight
from gimbal.generative.gateway.foreseeing import Size, cost_of, identity_of, size_of
from gimbal.generative.gateway.pipeline import run
from gimbal.generative.gateway.routes.model import PROMPT, decode_manifest
from gimbal.generative.gateway.routes.prepared import Part, Route, prepare
from gimbal.generative.gateway.routes.service import resolve_prompts
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.generative.prompts.model import PromptManifest
from gimbal.generative.prompts.service import load_prompt
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, DeadlineExceeded, GimbalError
from gimbal.kernel.ids import new_trace_id
from gimbal.kernel.refs import Ref

_FILTERED = "The provider's content filter stopped the answer."
_QUESTION = "question"
_NOT_ASKED = frozenset({"messages", "system", "tools", "params", "variables"})
_OURS = frozenset({"messages", "model", "stream", "n"})
"""Parameters that an example may not set: one answer is judged, and it comes whole."""
_PARAMS = "Give parameters of the model, such as temperature."
_COUNTED = ("messages", "tools", "variables", "response_format")
_SHADOW = "shadow"
_LIMITS = ("max_completion_tokens", "max_tokens")
_OF_THE_MOMENT = frozenset({"least_latency", "cheapest"})
"""Strategies that go by what is so when a call is made."""


class RouteTarget:
    """Puts examples through versions of routes."""

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        """Tell what calls with such examples will cost: as much as the dearest target, and the shadow beside it.

        Rules count as well, because what a call is like is known only when it is made. Answers are kept for later runs
        where the version alone says who answers, by order or by weight, and not where latencies or prices of the moment do.
        """
        manifest = decode_manifest(version.manifest)
        prompts, _ = await resolve_prompts(ctx, manifest)
        route = prepare(version.name, manifest, ref=str(version.ref), prompts=prompts)
        known = {name: (await load_prompt(ctx, Ref.parse(found.ref))) for name, found in prompts.items()}
        identity = ""
        if not any(_goes_by_the_moment(part) for part in _parts(route)):
            named = [await identity_of(ctx, ref.digest, prompt) for ref, prompt in known.values()]
            identity = " ".join([version.digest, *named])
        costs = await _costs(ctx, route, {name: prompt for name, (_, prompt) in known.items()}, examples)
        unpriced = "; ".join(f"{model}: {one.unpriced}" for model, one in costs.items() if one.cost is None)
        return Foreseen(
            identity=identity,
            cost=_together({model: one.cost for model, one in costs.items()}),
            most=_together({model: one.most for model, one in costs.items()}),
            unpriced=unpriced,
        )

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Answer one example; what goes wrong is in the output, because a failed call is missing, not wrong."""
        trace = TraceContext(trace_id=new_trace_id())
        flight: Flight | None = None
        try:
            body = asked_of(example) | {"model": str(version.ref), "stream": False}
            asked = WIRE.asked(_json(body), {})
            call = Call(WIRE, asked, attribution=Attribution(feature="evaluation"), trace=trace)
            flight = Flight(ctx, call, at_once=True)
            await run(flight)
        except GimbalError as problem:
            return _failed(problem, flight)
        except UnicodeEncodeError as problem:
            return TargetOutput(error=f"The example has text that is no Unicode: {problem.reason}.")
        return _answered(flight, offered="tools" in body)


ROUTES = RouteTarget()


def asked_of(example: Example) -> Json:
    """Return the fields of a chat completion that an example says; raise BadInput where it says none.

    `messages` are sent as they are. Without them there is one message of the user: `question` where there is one, else all
    texts of the input in their order, with a blank line between. `system` comes before, `tools` and `variables` (of a
    prompt that the route names) go along, and `params` has the other fields of a chat completion.
    """
    given = example.input
    params: Any = given.get("params") or {}
    if not isinstance(params, Mapping):
        raise BadInput("`params` of the example is no object.", where="input.params", todo=_PARAMS)
    taken = sorted(_OURS & {str(name) for name in cast("Mapping[str, Any]", params)})
    if taken:
        raise BadInput(f"`params` of the example sets {', '.join(taken)}.", where="input.params", todo=_PARAMS)
    body: Json = {**params, "messages": _messages(given)}
    for name in ("tools", "variables"):
        if given.get(name) is not None:
            body[name] = given[name]
    return body


def _messages(given: Mapping[str, Any]) -> list[Any]:
    system = [{"role": "system", "content": given["system"]}] if given.get("system") is not None else []
    messages = given.get("messages")
    if messages is not None:
        if not isinstance(messages, list) or not messages:
            raise BadInput(
                "`messages` of the example is no list with a message.",
                where="input.messages",
                todo='Write [{"role": "user", "content": "…"}].',
            )
        return [*system, *messages]
    texts = {name: value for name, value in given.items() if isinstance(value, str) and name not in _NOT_ASKED}
    if not texts:
        raise BadInput(
            "The example has no text to ask.", where="input", todo="Give it `question`, `messages` or another text."
        )
    content = texts.get(_QUESTION)
    return [*system, {"role": "user", "content": "\n\n".join(texts.values()) if content is None else content}]


def _failed(problem: GimbalError, flight: Flight | None) -> TargetOutput:
    return TargetOutput(
        trace_id=flight.call.trace.trace_id if flight is not None else "",
        error=str(problem),
        failure="timed_out" if isinstance(problem, DeadlineExceeded) else "error",
        # What the provider takes a while to allow is asked again.
        retry_after_s=problem.retry_after,
        cost=flight.cost if flight is not None else None,
        latency_ms=_latency(flight) if flight is not None else None,
    )


def _answered(flight: Flight, *, offered: bool) -> TargetOutput:
    text, usage = "".join(flight.text), flight.usage
    refused = flight.refusal or (_FILTERED if flight.finish == "content_filter" and not text else "")
    calls = called(flight)
    return TargetOutput(
        text=refused or text,
        error=f"The model refused: {refused}" if refused else "",
        failure="refused" if refused else "error",
        tool_calls=calls if calls or offered else None,
        trace_id=flight.call.trace.trace_id,
        input_tokens=usage.input_tokens if usage is not None else None,
        output_tokens=usage.output_tokens if usage is not None else None,
        cost=flight.cost,
        latency_ms=_latency(flight),
    )


def _latency(flight: Flight) -> float:
    return ((flight.ended_us or flight.started_us) - flight.started_us) / 1000


def _parts(route: Route) -> list[Part]:
    return [route.default, *(rule.part for rule in route.rules)]


def _goes_by_the_moment(part: Part) -> bool:
    return part.strategy in _OF_THE_MOMENT and len(part.targets) > 1


async def _costs(
    ctx: Context, route: Route, prompts: Mapping[str, PromptManifest], examples: Sequence[Example]
) -> dict[str, Foreseen]:
    """Return what a call costs by the name of each target."""
    calls = _said(examples)
    given = [sum(len(_json(body[name])) for name in _COUNTED if name in body) for body in calls]
    own = Size(
        given=given,
        messages=max((len(body["messages"]) for body in calls), default=1),
        tools=any("tools" in body for body in calls),
    )
    found: dict[str, Foreseen] = {}
    for ready in (ready for part in _parts(route) for ready in part.targets):
        named = ready.target.model
        if named not in found:
            size = _with(own, prompts[named]) if named.startswith(PROMPT) else own
            size = msgspec.structs.replace(size, longest=_longest(calls, size.longest))
            found[named] = await cost_of(ctx, f"{ready.provider}/{ready.model}", size)
    if route.shadow is not None:
        size = msgspec.structs.replace(own, longest=_longest(calls, None))
        found[_SHADOW] = await cost_of(ctx, f"{route.shadow.provider}/{route.shadow.model}", size)
    return found


def _said(examples: Sequence[Example]) -> list[Json]:
    """Return what examples ask; one that asks nothing will be told as an error of that example."""
    found: list[Json] = []
    for example in examples:
        with contextlib.suppress(BadInput):
            found.append(asked_of(example))
    return found


def _longest(calls: Sequence[Json], usual: int | None) -> int | None:
    """Return how long an answer may be by what the examples say, `usual` where one does not; None for any length."""
    said = [next((body[name] for name in _LIMITS if type(body.get(name)) is int), usual) for body in calls] or [usual]
    limits = [limit for limit in said if limit is not None]
    return max(limits) if len(limits) == len(said) else None


def _with(own: Size, prompt: PromptManifest) -> Size:
    """Return the size of calls that a prompt's messages come before."""
    size = size_of(prompt, own.given)
    return msgspec.structs.replace(size, messages=size.messages + own.messages, tools=size.tools or own.tools)


def _together(costs: Mapping[str, Decimal | None]) -> Decimal | None:
    """Return the dearest target's dollars and those of the shadow; None where one is not known."""
    known = {model: cost for model, cost in costs.items() if cost is not None}
    if len(known) < len(costs):
        return None
    shadow = known.pop(_SHADOW, Decimal(0))
    return max(known.values()) + shadow if known else None


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)
