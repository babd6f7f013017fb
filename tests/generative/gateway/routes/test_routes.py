"""Routes as assets: published from files, shown and tried over HTTP and the command line, and ready in memory."""

import asyncio

import pytest
from cyclopts import App

from gimbal.axis.assets.service import Assets
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.attempt import attempt
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.model import only
from gimbal.generative.gateway.routes import commands, service
from gimbal.generative.gateway.routes.choosing import choose
from gimbal.generative.gateway.routes.service import Routes
from gimbal.generative.gateway.routes.views import ChooseByRoute, PublishRoute
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.errors import BadInput, NotFound, Unavailable, Upstream
from gimbal.kernel.refs import Ref

TEXT = """name = "support"
targets = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]
"""
PROMPT = '+++\nmodel = "openai/gpt-4o-mini"\n+++\n## user\n{{question}}\n'


async def publish(ctx, text=TEXT, **more):
    return await service.publish(ctx, PublishRoute(text=text, **more))


async def release(ctx, ref, to, alias="production"):
    found = Ref.parse(ref)
    await ctx.get(Assets).move_alias(ctx, found.kind, found.name, alias, to)


def models(route):
    plan = choose(route, ChooseByRoute(), Health())
    return [f"{choice.provider}/{choice.model}" for choice in plan.choices]


async def test_publishing_twice_makes_one_version_and_a_change_another(ctx):
    first, again = await publish(ctx), await publish(ctx)
    changed = await publish(ctx, TEXT + 'strategy = "cheapest"\n')
    undone = await publish(ctx)

    assert [(row.ref, row.state) for row in (first, again, changed, undone)] == [
        ("route:support@v1", "created"),
        ("route:support@v1", "unchanged"),
        ("route:support@v2", "created"),
        ("route:support@v1", "reverted"),
    ]


async def test_a_bad_file_leaves_nothing_behind(ctx):
    for text, where in ((TEXT + "stategy = 1", "r.toml:3"), ('targets = ["a/b"]', "r.toml:1")):
        with pytest.raises(BadInput) as caught:
            await publish(ctx, text, path="r.toml")
        assert caught.value.where == where
    with pytest.raises(NotFound):
        await ctx.get(Assets).resolve(ctx, "route:support")


async def test_the_generic_way_to_a_version_checks_the_manifest_too(ctx):
    with pytest.raises(BadInput, match="not a model"):
        await ctx.get(Assets).add_version(ctx, kind="route", name="x", manifest={"targets": ["nonsense"]})


async def test_the_operations_over_http(http):
    made = await http.post("/api/v1/projects/default/routes", json={"text": TEXT, "name": "other/name"})
    place = "/api/v1/projects/default/routes/route%3Aother%2Fname"
    shown, listed = await http.get(place), await http.get("/api/v1/projects/default/routes")
    chosen = await http.post(f"{place}%40v1/choose", json={"user": "u-1", "tools": True})
    wrong = await http.post("/api/v1/projects/default/routes/model%3Ax/choose", json={})
    unknown = await http.post(f"{place}/choose", json={"usr": "x"})

    assert made.json() == {"ref": "route:other/name@v1", "state": "created", "notes": []}
    assert shown.json()["manifest"]["targets"][0] == "openai/gpt-4o-mini"
    assert [row["name"] for row in listed.json()["items"]] == ["other/name"]
    assert [row["model"] for row in chosen.json()["targets"]] == ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]
    assert chosen.json()["resilience"] == {}
    assert (wrong.status_code, unknown.status_code) == (400, 400)


async def test_trying_a_route_goes_by_the_price_book(ctx):
    await publish(
        ctx, 'name = "r"\nstrategy = "cheapest"\ntargets = ["anthropic/claude-haiku-4-5", "openai/gpt-4o-mini"]'
    )
    chosen = await service.try_out(ctx, Ref.parse("route:r"), ChooseByRoute(input_tokens=1_000_000, answer_tokens=0))

    assert [target.model for target in chosen.targets] == ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]
    assert "$0.15, anthropic/claude-haiku-4-5 $1" in chosen.reasons[-1]


async def test_a_route_shows_how_its_models_fare_and_no_others(ctx):
    async def fails(choice, deadlines):
        raise Upstream("It said something about a customer.")

    await publish(ctx)
    for model in ("gpt-4o-mini", "gpt-5"):
        for _ in range(10):
            with pytest.raises((Upstream, Unavailable)):
                await attempt(only(Choice(provider="openai", model=model)), fails, ctx.get(Health))
    shown = await service.view(ctx, Ref.parse("route:support"))
    chosen = await service.try_out(ctx, Ref.parse("route:support"), ChooseByRoute())

    assert [(row.model, row.state, row.failing, row.last_error) for row in shown.health] == [
        ("openai/gpt-4o-mini", "open", 1.0, "bad_answer")
    ]
    assert [target.usable for target in chosen.targets] == [False, True]


async def test_a_prompt_among_the_targets_is_resolved_and_noted_as_what_the_route_was_made_from(ctx):
    text = 'name = "r"\ntargets = ["prompt:help/answer@production", "anthropic/claude-haiku-4-5"]'
    with pytest.raises(NotFound):
        await publish(ctx, text)
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=PROMPT)])
    await release(ctx, "prompt:help/answer", "v1")
    await publish(ctx, text)
    version = await ctx.get(Assets).resolve(ctx, "route:r")
    chosen = await service.try_out(ctx, Ref.parse("route:r"), ChooseByRoute())

    assert [str(ref) for ref in version.inputs] == ["prompt:help/answer@v1"]
    assert (chosen.targets[0].model, chosen.targets[0].prompt) == ("openai/gpt-4o-mini", "prompt:help/answer@v1")


async def test_a_route_in_memory_follows_its_alias_and_those_of_its_prompts(ctx, ticks):
    routes = ctx.get(Routes)
    await sync_files(ctx, [PromptFile(path="p.md", text=PROMPT)])
    await release(ctx, "prompt:p", "v1")
    await publish(ctx, 'name = "r"\ntargets = ["prompt:p@production"]')
    await release(ctx, "route:r", "v1")
    first = await routes.of(ctx, "route:r@production")
    same = await routes.of(ctx, "route:r@production")
    ticks.now += 1
    unchanged = await routes.of(ctx, "route:r@production")
    await sync_files(ctx, [PromptFile(path="p.md", text=PROMPT.replace("openai/gpt-4o-mini", "b/c"))])
    await release(ctx, "prompt:p", "v2")
    old = await routes.of(ctx, "route:r@production")
    ticks.now += 1
    moved = await routes.of(ctx, "route:r@production")

    assert first is same is unchanged is old, "what has not changed is not made again"
    assert (models(first), models(moved)) == (["openai/gpt-4o-mini"], ["b/c"])


async def test_a_route_that_is_published_here_is_seen_at_once(ctx):
    await publish(ctx)
    before = await ctx.get(Routes).of(ctx, "route:support")
    await publish(ctx, 'name = "support"\ntargets = ["a/b"]')

    assert models(before)[0] == "openai/gpt-4o-mini"
    assert models(await ctx.get(Routes).of(ctx, "route:support")) == ["a/b"]


async def test_projects_do_not_see_each_others_routes(ctx):
    await publish(ctx)
    await ctx.get(Routes).of(ctx, "route:support")

    with pytest.raises(NotFound):
        await ctx.get(Routes).of(ctx.within("elsewhere"), "route:support")


@pytest.mark.parametrize("ref", ["route:none", "route:support@none", "prompt:support", "route:Bad", "route:"])
async def test_what_is_no_route_is_told_each_time(ctx, ref):
    await publish(ctx)
    for _ in range(2):
        with pytest.raises((NotFound, BadInput)):
            await ctx.get(Routes).of(ctx, ref)


class Away(Assets):
    """Assets whose catalog can be away."""

    away = False
    asked = 0

    async def resolve(self, ctx, ref):
        """Resolve, while the catalog is there."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("The catalog is away.")
        return await super().resolve(ctx, ref)


async def test_while_the_catalog_is_away_what_was_known_goes_on_to_hold(ctx, catalog, blobs, ticks):
    assets = Away(catalog, blobs)
    ctx.services.register(Assets, assets)
    await publish(ctx)
    known = await ctx.get(Routes).of(ctx, "route:support")
    assets.away = True
    ticks.now += 60

    assert await ctx.get(Routes).of(ctx, "route:support") is known
    with pytest.raises(Unavailable):
        await ctx.get(Routes).of(ctx, "route:support@v1")


async def test_a_thousand_calls_at_once_ask_the_catalog_once(ctx, catalog, blobs, ticks):
    assets = Away(catalog, blobs)
    ctx.services.register(Assets, assets)
    await publish(ctx)
    assets.asked = 0
    found = await asyncio.gather(*(ctx.get(Routes).of(ctx, "route:support") for _ in range(1000)))
    ticks.now += 60
    again = await asyncio.gather(*(ctx.get(Routes).of(ctx, "route:support") for _ in range(1000)))

    assert assets.asked == 2
    assert {id(route) for route in (*found, *again)} == {id(found[0])}


async def test_a_route_that_is_not_there_is_looked_for_once_until_it_may_have_come(ctx, catalog, blobs, ticks):
    assets = Away(catalog, blobs)
    ctx.services.register(Assets, assets)
    found = await asyncio.gather(
        *(ctx.get(Routes).of(ctx, "route:support") for _ in range(1000)), return_exceptions=True
    )
    asked = assets.asked
    await publish(ctx)

    assert {type(problem) for problem in found} == {NotFound}
    assert asked == 1
    assert models(await ctx.get(Routes).of(ctx, "route:support"))
    with pytest.raises(NotFound):
        await ctx.get(Routes).of(ctx, "route:later")
    await ctx.get(Assets).add_version(ctx, kind="route", name="later", manifest={"targets": ["a/b"]})
    ticks.now += 1
    assert models(await ctx.get(Routes).of(ctx, "route:later")) == ["a/b"]


async def test_the_command_publishes_files_through_the_client(base_url, ctx, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GIMBAL_URL", base_url)
    monkeypatch.setenv("GIMBAL_API_KEY", "none")
    (tmp_path / "support.toml").write_text(TEXT)
    app = App(name="routes", result_action="return_value")
    commands.add(app)

    await asyncio.to_thread(app, ["publish", str(tmp_path / "support.toml"), "--note", "first"])

    assert "created    route:support@v1" in capsys.readouterr().out
    assert (await ctx.get(Assets).resolve(ctx, "route:support")).note == "first"
    with pytest.raises(BadInput, match="cannot be read"):
        await asyncio.to_thread(app, ["publish", str(tmp_path / "none.toml")])
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="UTF-8"):
        await asyncio.to_thread(app, ["publish", str(tmp_path / "bad.toml")])
    with pytest.raises(BadInput, match="No file"):
        await asyncio.to_thread(app, ["publish"])
