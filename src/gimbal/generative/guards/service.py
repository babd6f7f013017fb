"""The verbs of policies: publish one, show it, try it; and those that are in force, ready in memory."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.generative.guards.checks import check_speeds, decode_manifest
from gimbal.generative.guards.files import read_policy
from gimbal.generative.guards.model import PolicyManifest
from gimbal.generative.guards.prepared import TOO_LONG, Policy
from gimbal.generative.guards.views import (
    PublishedPolicy,
    PublishPolicy,
    Tried,
    TriedGuard,
    TryPolicy,
)
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, Unavailable
from gimbal.kernel.refs import Ref, ResolvedRef

IN_FORCE = Ref.parse("policy:gateway@production")
"""The policy that all calls of a project are under, where the project has it."""
_FRESH_S = 0.7


class _Known(msgspec.Struct):
    """A project's policy as it was when somebody last looked; None where it has none."""

    policy: Policy | None
    until: float
    looking: bool = False


class Policies:
    """Policies in force by project, ready in memory: at most a second behind what the catalog says."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._none: dict[str, float] = {}
        """Projects without a policy, and until when that is believed."""
        self._loading: dict[str, asyncio.Lock] = {}

    def has_none(self, project: str) -> bool:
        """Tell whether it is known of late that a project has no policy: the quick way for calls that are under none."""
        return self._clock() < self._none.get(project, 0.0)

    async def of(self, ctx: Context) -> Policy | None:
        """Return the policy that calls of the project are under; None where it has none.

        While the catalog is away what was known goes on to hold; a process that cannot read a policy it has never seen
        raises Unavailable, for it may be one that forbids the call.
        """
        project = ctx.project or "default"
        known = self._known.get(project)
        if known is None:
            lock = self._loading.setdefault(project, asyncio.Lock())
            async with lock:
                known = self._known.get(project)
                if known is None:
                    known = self._known[project] = _Known(await self._look(ctx, None), 0.0)
                    self._believe(project, known)
            self._loading.pop(project, None)
            return known.policy
        # Those who ask while one looks go by what was known.
        if not known.looking and self._clock() >= known.until:
            known.looking = True
            try:
                known.policy = await self._look(ctx, known.policy)
            except Unavailable:
                pass
            finally:
                known.looking = False
            self._believe(project, known)
        return known.policy

    def _believe(self, project: str, known: _Known) -> None:
        known.until = self._clock() + _FRESH_S
        self._none[project] = known.until if known.policy is None else 0.0

    async def _look(self, ctx: Context, before: Policy | None) -> Policy | None:
        try:
            version = await ctx.get(Assets).resolve(ctx, IN_FORCE)
        except NotFound:
            return None
        if before is not None and before.ref is not None and before.ref.digest == version.digest:
            return before
        return Policy(decode_manifest(version.manifest), version.ref)

    def forget(self) -> None:
        """Look anew the next time: this process has changed something."""
        self._none.clear()
        for known in self._known.values():
            known.until = 0.0


def as_policy(ref: Ref) -> Ref:
    """Return `ref` when it is a policy's; raise BadInput otherwise."""
    if ref.kind != "policy":
        raise BadInput(f"{ref} is not a policy.", where="ref", todo="Write it like policy:gateway@production.")
    return ref


async def load_policy(ctx: Context, ref: Ref) -> tuple[ResolvedRef, PolicyManifest]:
    """Resolve a policy and read its manifest; raise NotFound, or BadInput when `ref` is of another kind."""
    version = await ctx.get(Assets).resolve(ctx, as_policy(ref))
    return version.ref, decode_manifest(version.manifest)


async def publish(ctx: Context, body: PublishPolicy) -> PublishedPolicy:
    """Make a policy file a version; a file that says what a version already says makes none."""
    named, manifest = read_policy(body.text, body.path)
    name = body.name or named
    if not name:
        raise BadInput("The policy has no name.", where=f"{body.path}:1", todo='Begin the file with name = "gateway".')
    await asyncio.to_thread(_check, manifest)
    before = await _newest(ctx, name)
    version = await ctx.get(Assets).add_version(
        ctx, kind="policy", name=name, manifest=msgspec.to_builtins(manifest), note=body.note
    )
    number = before.number if before else 0
    state = "created" if version.number > number else "unchanged" if version.number == number else "reverted"
    if ctx.services.has(Policies):
        ctx.get(Policies).forget()
    return PublishedPolicy(ref=str(version.ref), state=state)


def _check(manifest: PolicyManifest) -> None:
    check_speeds(manifest)
    Policy(manifest)


async def _newest(ctx: Context, name: str) -> Version | None:
    try:
        return await ctx.get(Assets).resolve(ctx, Ref("policy", name))
    except NotFound:
        return None


async def try_out(ctx: Context, ref: Ref, body: TryPolicy) -> Tried:
    """Return what a policy makes of a text."""
    resolved, manifest = await load_policy(ctx, ref)
    text, blocked_by, rows = await asyncio.to_thread(_tried, Policy(manifest), body)
    return Tried(ref=str(resolved), text=text, blocked_by=blocked_by, guards=rows)


def _tried(policy: Policy, body: TryPolicy) -> tuple[str, str, list[TriedGuard]]:
    text, blocked_by = body.text, ""
    rows: list[TriedGuard] = []
    for one in policy.guards:
        guard, found = one.guard, dict[str, int]()
        looks = guard.looks_at(body.direction)
        if looks:
            if guard.max_characters is not None and len(text) > guard.max_characters:
                found[TOO_LONG] = 1
            looked = one.look(text)
            text, found = looked.text, found | looked.found
            if found and guard.action == "block":
                blocked_by = blocked_by or guard.name
        rows.append(TriedGuard(name=guard.name, did="ran" if looks else "skipped", action=guard.action, found=found))
    return text, blocked_by, rows
