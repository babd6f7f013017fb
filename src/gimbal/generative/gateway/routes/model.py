"""What a route is: targets and a strategy, rules that choose others for some calls, a shadow, and how hard is tried."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.generative.gateway.resilience.model import RouteResilience
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref

Strategy = Literal["fallback", "weighted", "least_latency", "cheapest"]
Sticky = Literal["user", "session", "none"]
MOST_TARGETS = 16
MOST_RULES = 64
PROMPT = "prompt:"

Tokens = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Words = (
    str | Annotated[tuple[Annotated[str, msgspec.Meta(min_length=1)], ...], msgspec.Meta(min_length=1, max_length=64)]
)
"""One pattern or several, of which one must fit; `*` stands for any characters."""


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model that may answer, and what it can do as far as you say so."""

    model: str
    """`provider/model`, or a released prompt: `prompt:support/answer@production`."""
    weight: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 1.0
    """Its share of a weighted split, relative to the others; 0: only when no other answers."""
    context_length: Tokens | None = None
    """Tokens of input and answer together; left out: not known, and never a reason against it."""
    tools: bool | None = None
    """Whether it calls tools; left out: not known."""
    vision: bool | None = None
    """Whether it reads images."""
    json_schema: bool | None = None
    """Whether it answers by a JSON schema."""
    region: str = ""
    """Where it runs. Where a route asks for regions, a target that does not say is not asked."""


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a call must be for a rule; all that is given must hold."""

    feature: Words | None = None
    user: Words | None = None
    session: Words | None = None
    tag: Words | None = None
    """One of the call's tags."""
    model: Words | None = None
    """The model that was asked for, as the caller wrote it."""
    key: Words | None = None
    """Name of the key that the caller used."""
    stream: bool | None = None
    tools: bool | None = None
    """Whether the call brings tools."""
    tokens_above: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """More input tokens than this, by estimate."""
    tokens_up_to: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """So many input tokens at most, by estimate."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Other targets, another strategy or other regions for some calls; the first rule that fits holds."""

    when: When
    targets: Annotated[tuple[str | Target, ...], msgspec.Meta(max_length=MOST_TARGETS)] = ()
    """Models, or whole targets; a name that the route's own targets have means that target. Left out: the route's."""
    strategy: Strategy | None = None
    """Left out: the route's."""
    regions: tuple[str, ...] | None = None
    """Left out: the route's."""
    name: str = ""
    """For people and traces."""


class Shadow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second model that is asked beside, for the record alone."""

    model: str
    """`provider/model`."""
    share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    """Share of the calls that are sent to it as well."""


class RouteManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The manifest of a version of kind `route`."""

    targets: Annotated[tuple[str | Target, ...], msgspec.Meta(min_length=1, max_length=MOST_TARGETS)]
    """Models, or whole targets."""
    strategy: Strategy = "fallback"
    """fallback: in order; weighted: split by weight; least_latency: the quicker of two drawn by chance; cheapest: the
    lowest price for this call's estimated tokens. The others follow where the first does not answer."""
    sticky: Sticky = "user"
    """By what a weighted split keeps to its choice. A call without it is assigned by chance."""
    answer_tokens: Tokens = 500
    """Tokens of answer that `cheapest` reckons with, at most what the call allows."""
    regions: tuple[str, ...] = ()
    """Regions that may be used; empty: all."""
    rules: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=MOST_RULES)] = ()
    shadow: Shadow | None = None
    resilience: RouteResilience = RouteResilience()
    description: str = ""
    """What it is for."""


def as_target(named: str | Target, known: Iterable[Target] = ()) -> Target:
    """Return the target that a name or a target means."""
    if isinstance(named, Target):
        return named
    return next((target for target in known if target.model == named), None) or Target(model=named)


def own_targets(manifest: RouteManifest) -> tuple[Target, ...]:
    """Return the route's own targets."""
    return tuple(as_target(named) for named in manifest.targets)


def rule_targets(manifest: RouteManifest, rule: Rule) -> tuple[Target, ...]:
    """Return the targets for the calls of a rule."""
    own = own_targets(manifest)
    return tuple(as_target(named, own) for named in rule.targets) or own


def check_manifest(manifest: RouteManifest) -> RouteManifest:
    """Return a manifest whose parts agree; raise BadInput naming the part that does not."""
    _check_targets(own_targets(manifest), manifest.strategy, manifest.regions, "targets")
    for number, rule in enumerate(manifest.rules):
        where = f"rules[{number}]"
        _check_when(rule.when, f"{where}.when")
        if not rule.targets and rule.strategy is None and rule.regions is None:
            raise BadInput(
                "The rule changes nothing.", where=where, todo="Give it targets, a strategy or regions of its own."
            )
        regions = manifest.regions if rule.regions is None else rule.regions
        _check_targets(rule_targets(manifest, rule), rule.strategy or manifest.strategy, regions, f"{where}.targets")
    if manifest.shadow is not None:
        _check_model(manifest.shadow.model, "shadow.model")
        if manifest.shadow.model.startswith(PROMPT):
            raise BadInput(
                "A shadow is a model, not a prompt.", where="shadow.model", todo="Name it as provider/model."
            )
    return manifest


def _check_targets(targets: tuple[Target, ...], strategy: Strategy, regions: tuple[str, ...], where: str) -> None:
    seen: set[str] = set()
    for target in targets:
        _check_model(target.model, where)
        if target.model in seen:
            raise BadInput(
                f"{target.model!r} stands twice among the targets.", where=where, todo="Name each target once."
            )
        seen.add(target.model)
    if strategy == "weighted" and not any(target.weight > 0 for target in targets):
        raise BadInput("No target has a weight above 0.", where=where, todo="Give at least one target a weight.")
    if regions and not any(target.region in regions for target in targets):
        raise BadInput(
            f"No target is in {' or '.join(regions)}.", where=where, todo="Say in which region the targets run."
        )


def _check_model(model: str, where: str) -> None:
    if model.startswith(PROMPT):
        Ref.parse(model, kind="prompt")
        return
    if model.startswith("route:"):
        raise BadInput(
            f"{model!r} is a route, and a route names no other.", where=where, todo="Name models or prompts."
        )
    provider, slash, name = model.partition("/")
    if not slash or not provider or not name or model != model.strip():
        raise BadInput(f"{model!r} is not a model.", where=where, todo="Write provider/model, or prompt:name@alias.")


def _check_when(when: When, where: str) -> None:
    if when == When():
        raise BadInput(
            "The rule holds for every call, so that nothing after it is reached.",
            where=where,
            todo="Say for which calls, or make its targets those of the route.",
        )
    low, high = when.tokens_above, when.tokens_up_to
    if low is not None and high is not None and high <= low:
        raise BadInput(
            f"No call has more than {low} and at most {high} tokens.", where=where, todo="Mend one of the two."
        )


def decode_manifest(manifest: Mapping[str, object]) -> RouteManifest:
    """Read the manifest of an asset version; raise BadInput naming the field that does not fit."""
    try:
        return check_manifest(msgspec.convert(dict(manifest), RouteManifest))
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(
            f"The manifest is not a route's: {text}.", where=place.strip("`").replace("$.", "") or "manifest"
        ) from None


def _check(manifest: dict[str, Any], files: list[FileEntry]) -> None:
    decode_manifest(manifest)


KIND = register_kind(
    AssetKind(name="route", title="Routes", ring="generative", check=_check, template="gateway/route.html")
)
