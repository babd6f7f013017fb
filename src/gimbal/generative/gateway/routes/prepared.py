"""A route made ready: what can be known of it before a call comes."""

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

import msgspec

from gimbal.axis.pricing.lookup import compiled
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.model import DEFAULT, Plan, Resilience
from gimbal.generative.gateway.routes.facts import Facts
from gimbal.generative.gateway.routes.model import (
    PROMPT,
    RouteManifest,
    Shadow,
    Strategy,
    Target,
    When,
    Words,
    own_targets,
    rule_targets,
)
from gimbal.kernel.errors import BadInput

_WHY = {
    "fallback": "first in order",
    "least_latency": "least latency",
    "cheapest": "cheapest",
}


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt that a route names was resolved to."""

    ref: str
    """`prompt:support/answer@v3`."""
    model: str
    """The model that it names."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A target of a part, with the choices that it may become."""

    target: Target
    provider: str
    model: str
    first: Choice
    """When it was chosen."""
    next: Choice
    """When it follows another."""
    salt: int
    """What sets its draws apart from those of others; of its name alone, so that it is the same in every process."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Targets and a strategy: those of the route, or of one of its rules."""

    targets: tuple[Ready, ...]
    strategy: Strategy
    left_out: tuple[str, ...]
    """Targets that no call gets here, with the reason."""
    reasons: tuple[str, ...]
    """What every plan of this part says of itself."""
    asks: bool
    """Whether a target says what it can do, so that calls must be looked at."""
    plan: Plan | None
    """The plan of every call, where nothing depends on it."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with its condition as a function."""

    holds: Callable[[Facts], bool]
    part: Part


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route made ready."""

    ref: str
    """`route:support@v3`."""
    name: str
    manifest: RouteManifest
    resilience: Resilience
    """How hard its calls are tried: what it says, and the settings for the rest."""
    rules: tuple[Rule, ...]
    default: Part
    shadow: Choice | None
    share: float
    priced: bool
    """Whether a part goes by prices."""


def prepare(
    name: str,
    manifest: RouteManifest,
    *,
    ref: str = "",
    prompts: Mapping[str, Filled] | None = None,
    resilience: Resilience = DEFAULT,
) -> Route:
    """Make a route ready; `prompts` has what each prompt that it names was resolved to. Raise BadInput otherwise.

    `resilience` is how hard calls are tried where the route does not say.
    """
    resilience = manifest.resilience.over(resilience)
    made = _Maker(resilience, ref or f"route:{name}", prompts or {})
    shadow = manifest.shadow
    return Route(
        ref=made.ref,
        name=name,
        manifest=manifest,
        resilience=resilience,
        rules=tuple(
            Rule(
                holds=condition(rule.when),
                part=made.part(
                    rule_targets(manifest, rule),
                    rule.strategy or manifest.strategy,
                    manifest.regions if rule.regions is None else rule.regions,
                    f"rule {rule.name or number}",
                ),
            )
            for number, rule in enumerate(manifest.rules, 1)
        ),
        default=made.part(own_targets(manifest), manifest.strategy, manifest.regions, ""),
        shadow=_shadow(shadow) if shadow else None,
        share=shadow.share if shadow else 0.0,
        priced="cheapest" in {manifest.strategy, *(rule.strategy for rule in manifest.rules)},
    )


def prompts_of(manifest: RouteManifest) -> list[str]:
    """Return the references of the prompts that a route names, each once."""
    listed = [*own_targets(manifest), *(target for rule in manifest.rules for target in rule_targets(manifest, rule))]
    return list(dict.fromkeys(target.model for target in listed if target.model.startswith(PROMPT)))


def models_of(route: Route) -> list[tuple[str, str]]:
    """Return provider and model of everything that a route may call, each once, in its order."""
    parts = [route.default, *(rule.part for rule in route.rules)]
    found = [(ready.provider, ready.model) for part in parts for ready in part.targets]
    if route.shadow is not None:
        found.append((route.shadow.provider, route.shadow.model))
    return list(dict.fromkeys(found))


class _Maker:
    def __init__(self, resilience: Resilience, ref: str, prompts: Mapping[str, Filled]) -> None:
        self.ref = ref
        self._resilience = resilience
        self._prompts = prompts

    def part(self, targets: Sequence[Target], strategy: Strategy, regions: Sequence[str], rule: str) -> Part:
        used = [target for target in targets if not regions or target.region in regions]
        places = " or ".join(regions)
        left_out = tuple(
            f"{target.model} left out: it runs in {target.region or 'no region that is told'}, not in {places}"
            for target in targets
            if target not in used
        )
        weights = sum(target.weight for target in used)
        ready = tuple(self._ready(target, strategy, weights) for target in used)
        reasons = tuple(reason for reason in (rule, strategy, *left_out) if reason)
        asks = any(
            target.context_length is not None or False in {target.tools, target.vision, target.json_schema}
            for target in used
        )
        fixed = strategy == "fallback" or (len(ready) == 1 and strategy != "cheapest")
        choices = (ready[0].first, *(target.next for target in ready[1:])) if ready else ()
        plan = Plan(choices=choices, resilience=self._resilience, reasons=reasons, route=self.ref)
        return Part(
            targets=ready,
            strategy=strategy,
            left_out=left_out,
            reasons=reasons,
            asks=asks,
            plan=plan if fixed and ready and not asks else None,
        )

    def _ready(self, target: Target, strategy: Strategy, weights: float) -> Ready:
        name, prompt = target.model, ""
        if name.startswith(PROMPT):
            filled = self._prompts.get(name)
            if filled is None:
                raise BadInput(f"{name} is not resolved.", where="targets", todo="Release the prompt first.")
            name, prompt = filled.model, filled.ref
        provider, slash, model = name.partition("/")
        if not slash or ":" in provider:
            raise BadInput(
                f"{target.model} names the model {name!r}, which a route cannot send calls to.",
                where="targets",
                todo="Let the prompt name a model as provider/model.",
            )
        why = _WHY.get(strategy) or f"weight {target.weight / weights:.3g}"
        return Ready(
            target=target,
            provider=provider,
            model=model,
            first=Choice(provider=provider, model=model, why=why, prompt=prompt),
            next=Choice(provider=provider, model=model, why="fallback", prompt=prompt),
            salt=int.from_bytes(blake2b(target.model.encode(), digest_size=8).digest(), "big"),
        )


def _shadow(shadow: Shadow) -> Choice:
    provider, _, model = shadow.model.partition("/")
    return Choice(provider=provider, model=model, why="shadow")


def condition(when: When) -> Callable[[Facts], bool]:
    """Return a function that tells whether a call is what a rule asks for; what costs least is looked at first."""
    checks: list[Callable[[Facts], bool]] = []
    if when.stream is not None:
        checks.append(lambda facts: facts.stream is when.stream)
    for name in ("feature", "user", "session", "model", "key"):
        words: Words | None = getattr(when, name)
        if words is not None:
            checks.append(_is(name, _fits(words)))
    if when.tag is not None:
        tag = _fits(when.tag)
        checks.append(lambda facts: any(tag(each) for each in facts.tags))
    if when.tools is not None:
        checks.append(lambda facts: facts.tools is when.tools)
    if (low := when.tokens_above) is not None:
        checks.append(lambda facts: facts.input_tokens > low)
    if (high := when.tokens_up_to) is not None:
        checks.append(lambda facts: facts.input_tokens <= high)
    return lambda facts: all(check(facts) for check in checks)


def _is(name: str, fits: Callable[[str], bool]) -> Callable[[Facts], bool]:
    return lambda facts: fits(getattr(facts, name))


def _fits(words: Words) -> Callable[[str], bool]:
    listed = (words,) if isinstance(words, str) else words
    exact = frozenset(word for word in listed if "*" not in word)
    patterns: list[re.Pattern[str]] = [compiled(word) for word in listed if "*" in word]
    return lambda text: text in exact or any(pattern.match(text) for pattern in patterns)
