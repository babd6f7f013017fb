"""Policies as assets: files, versions, projects, and what is in force within a second."""

import contextlib
import timeit
from types import SimpleNamespace

import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.generative.gateway.flight import CHAT
from gimbal.generative.gateway.stages.guard import guard_input, guard_output
from gimbal.generative.guards import service
from gimbal.generative.guards.checks import decode_manifest
from gimbal.generative.guards.files import read_policy
from gimbal.generative.guards.prepared import Policy
from gimbal.generative.guards.service import Policies
from gimbal.generative.guards.views import PublishPolicy
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Unavailable

FILE = """name = "gateway"
description = "What may be said."

[[guards]]
name = "contacts"
detectors = ["contact"]
action = "mask"

[[guards]]
name = "names"
words = ["Project Falcon"]
action = "block"
"""


class Ticks:
    """A clock that stands still until it is told to go on."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


async def test_a_file_becomes_a_version_once(http):
    path = "/api/v1/projects/default/policies"
    first = await http.post(path, json={"text": FILE})
    again = await http.post(path, json={"text": FILE})

    assert first.json() == {"ref": "policy:gateway@v1", "state": "created"}
    assert again.json() == {"ref": "policy:gateway@v1", "state": "unchanged"}
    shown = (await http.get(f"{path}/policy:gateway@v1")).json()
    assert [guard["name"] for guard in shown["manifest"]["guards"]] == ["contacts", "names"]
    assert (await http.get(path)).json()["items"][0]["name"] == "gateway"


async def test_a_text_can_be_checked_without_a_call(http):
    path = "/api/v1/projects/default/policies"
    await http.post(path, json={"text": FILE})
    tried = (
        await http.post(f"{path}/policy:gateway@v1/check", json={"text": "project falcon: bob@example.com"})
    ).json()

    assert tried["text"] == "[word]: [email]"
    assert tried["blocked_by"] == "names"
    assert [(row["name"], row["did"], row["found"]) for row in tried["guards"]] == [
        ("contacts", "ran", {"email": 1}),
        ("names", "ran", {"word": 1}),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('action = "block"', 'action = "stop"', 12),
        ('words = ["Project Falcon"]', 'worlds = ["x"]', 11),
        ('detectors = ["contact"]', 'detectors = ["contacts"]', 6),
        ('name = "names"', 'name = "contacts"', 10),
        ('words = ["Project Falcon"]', "", 9),
        ('name = "gateway"', "name = 5", 1),
        ('action = "mask"', "action = ", 7),
        ('words = ["Project Falcon"]', 'patterns = [{ kind = "x", pattern = "(?=a)" }]', 11),
    ],
)
def test_a_mistake_is_named_by_its_line(old, new, line):
    with pytest.raises(BadInput) as caught:
        read_policy(FILE.replace(old, new), "gateway.toml")
    assert caught.value.where == f"gateway.toml:{line}"


async def test_a_slow_or_huge_pattern_is_refused_when_it_is_published(ctx):
    for pattern in ("[a-c].{900}x[0-9]", "(?:[a-z]{1,900}[0-9]){40}"):
        text = f'name = "p"\n[[guards]]\nname = "a"\naction = "mask"\npatterns = [{{ kind = "x", pattern = "{pattern}" }}]\n'
        with pytest.raises(BadInput):
            await service.publish(ctx, PublishPolicy(text=text))


def test_many_long_words_are_taken():
    words = [f"{number} {'w' * 90}" for number in range(500)]
    policy = Policy(decode_manifest({"guards": [{"name": "w", "action": "mask", "words": words}]}))

    assert policy.guards[0].look(f"a 7 {'W' * 90} b").text == "a [word] b"


async def test_each_project_is_under_its_own_policy(gateway, owner, ctx, in_force):
    await ctx.get(Projects).create(ctx, CreateProject(slug="other"))
    other = Context(gateway, owner, "other")
    await in_force(ctx, FILE)
    await in_force(other, FILE.replace("mask", "flag"))
    policies = Policies()

    here, there = await policies.of(ctx), await policies.of(other)
    assert here.guards[0].guard.action == "mask"
    assert there.guards[0].guard.action == "flag"


async def test_a_policy_is_followed_within_a_second(ctx, in_force):
    """Put in force, replaced, taken away by another process: this one is told by nobody."""
    ticks = Ticks()
    policies = Policies(clock=ticks)

    assert await policies.of(ctx) is None
    assert policies.has_none("default")
    await in_force(ctx, FILE)
    assert await policies.of(ctx) is None
    ticks.now += 1.0
    assert not policies.has_none("default")
    assert (await policies.of(ctx)).ref.number == 1
    await in_force(ctx, FILE.replace("mask", "flag"))
    ticks.now += 1.0
    assert (await policies.of(ctx)).ref.number == 2
    await ctx.get(Assets).move_alias(ctx, "policy", "gateway", "production", None)
    ticks.now += 1.0
    assert await policies.of(ctx) is None


class Away(Assets):
    """Assets whose catalog can be away."""

    away = False

    async def resolve(self, ctx, ref):
        """Resolve, while the catalog is there."""
        if self.away:
            raise Unavailable("The catalog is away.")
        return await super().resolve(ctx, ref)


async def test_while_the_catalog_is_away_what_was_known_holds_and_the_unknown_is_refused(ctx, catalog, blobs, in_force):
    assets = Away(catalog, blobs)
    ctx.services.register(Assets, assets)
    await in_force(ctx, FILE)
    ticks = Ticks()
    policies, late = Policies(clock=ticks), Policies(clock=ticks)
    known = await policies.of(ctx)
    assets.away = True
    ticks.now += 1.0

    assert await policies.of(ctx) is known
    with pytest.raises(Unavailable):
        await late.of(ctx)


async def test_no_policy_costs_no_time(ctx):
    """Both stages together take less than a few microseconds on any machine; one is the aim."""
    await ctx.get(Policies).of(ctx)
    flight = SimpleNamespace(ctx=ctx, looking=None, answer=None, operation=CHAT)

    def both():
        for stage in (guard_input, guard_output):
            step = stage(flight)
            with contextlib.suppress(StopIteration):
                step.send(None)

    best = min(timeit.repeat(both, number=2000, repeat=20)) / 2000
    assert best < 5e-6
