"""The registry on SQLite and on PostgreSQL: names beside assets, stages, searches, what was taken out."""

import asyncio
from typing import Any

import msgspec
import pytest

import gimbal.generative.prompts.model
import gimbal.predictive.flavors.model  # noqa: F401 - the kinds that are registered under names
from gimbal.axis.assets.registry.model import Asked, Kind, NewVersion, slug_of
from gimbal.axis.assets.registry.service import Registry
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NameTaken, NotFound
from gimbal.kernel.filters import Clause, Ordering


@pytest.fixture
def registry(catalog: Catalog, assets: Assets) -> Registry:
    """Give the registry of an installation."""
    return Registry(catalog, assets)


async def add(registry: Registry, ctx: Context, name: str, nth: int, **more: Any) -> None:
    """Add a version that is another one than all others."""
    manifest = {"format": "mlflow", "registration": f"{name}{nth}", "source": f"s3://{nth}", "files_at": ""}
    await registry.add(ctx, name, NewVersion(manifest=manifest, source=f"s3://{nth}", **more))


async def found(registry: Registry, ctx: Context, *clauses: Clause, kind: Kind = "model", **more: Any) -> list[str]:
    """Return the names that a search finds."""
    asked = Asked(kind=kind, clauses=list(clauses), **more)
    return [one.name for one in (await registry.search_names(ctx, asked)).items]


def test_the_asset_name_is_the_nearest() -> None:
    """Also where nothing of a name can be in one."""
    assert slug_of("Delay model", "model") == "delay-model"
    assert slug_of("../../etc", "model") == "etc"
    assert slug_of("模型", "prompt") == "prompt"
    assert slug_of("A" * 300, "model") == "a" * 60


async def test_names_that_are_near_are_assets_of_their_own(registry: Registry, ctx: Context) -> None:
    """Of one nearest name the second gets a number; the same name is taken, whatever its kind."""
    first = await registry.create(ctx, "model", "Delay model", tags={})
    second = await registry.create(ctx, "model", "delay MODEL", tags={})
    assert (first.asset, second.asset) == ("delay-model", "delay-model-2")
    with pytest.raises(NameTaken):
        await registry.create(ctx, "prompt", "Delay model", tags={})


async def test_what_is_made_without_the_registry_is_in_it(registry: Registry, assets: Assets, ctx: Context) -> None:
    """Under its own name; a prompt that is named like a model is not, and neither are other kinds."""
    manifest = {"messages": [{"role": "user", "content": "hello"}], "model": "local/extractive"}
    plain = {"format": "mlflow", "registration": "1", "source": "here", "files_at": ""}
    await assets.add_version(ctx, kind="model", name="flights/delay", manifest=plain, note="by hand")
    await assets.add_version(ctx, kind="prompt", name="flights/delay", manifest=manifest)
    await assets.add_version(ctx, kind="prompt", name="help/answer", manifest=manifest)
    await assets.add_version(ctx, kind="note", name="todo", manifest={})

    assert await found(registry, ctx) == ["flights/delay"]
    assert await found(registry, ctx, kind="prompt") == ["help/answer"]
    version = await registry.version(ctx, "flights/delay", 1)
    assert (version.description, version.stage, version.tags) == ("by hand", "None", {})
    await registry.tag_version(ctx, "flights/delay", 1, "a", "b")
    await registry.change(ctx, "flights/delay", 1, description="other")
    version = await registry.version(ctx, "flights/delay", 1)
    assert (version.description, version.tags, version.manifest) == ("other", {"a": "b"}, plain)


async def test_what_was_taken_out_stays_as_a_version(registry: Registry, assets: Assets, ctx: Context) -> None:
    """Its reference goes on to mean it, and no number is given twice."""
    await registry.create(ctx, "model", "Delay", tags={"a": "b"}, description="old")
    await add(registry, ctx, "Delay", 1)
    await add(registry, ctx, "Delay", 2)
    await registry.set_alias(ctx, "Delay", "champion", 2)
    await registry.remove(ctx, "Delay", 2)
    with pytest.raises(NotFound):
        await registry.version(ctx, "Delay", 2)
    with pytest.raises(NotFound):
        await registry.set_alias(ctx, "Delay", "champion", 2)
    assert (await registry.named(ctx, "Delay")).aliases == {}
    assert (await assets.resolve(ctx, "model:delay@v2")).number == 2

    await registry.retire(ctx, "Delay")
    with pytest.raises(NotFound):
        await registry.named(ctx, "Delay")
    again = await registry.create(ctx, "model", "Delay", tags={})
    assert (again.asset, again.tags, again.description) == ("delay", {}, "")
    await add(registry, ctx, "Delay", 3)
    versions = (await registry.search_versions(ctx, Asked(kind="model"))).items
    assert [one.number for one in versions] == [3]
    assert (await assets.resolve(ctx, "model:delay@v1")).number == 1


async def test_like_minds_case_and_ilike_does_not(registry: Registry, ctx: Context) -> None:
    """On both engines alike; marks of the one engine are letters, and a tag that is not there is not unequal."""
    for name in ("Alpha", "alpine", "a*c", "a[b", "100%"):
        await registry.create(ctx, "model", name, tags={"team": name.lower()} if name[0] in "Aa" else {})

    async def named(op: Any, value: Any) -> set[str]:
        return set(await found(registry, ctx, Clause(key="name", op=op, value=value)))

    assert await named("LIKE", "al%") == {"alpine"}
    assert await named("LIKE", "Al_ha") == {"Alpha"}
    assert await named("ILIKE", "AL%") == {"Alpha", "alpine"}
    assert await named("LIKE", "a*%") == {"a*c"}
    assert await named("LIKE", "a[b") == {"a[b"}
    assert await named("IN", ("Alpha", "100%")) == {"Alpha", "100%"}
    assert await named("!=", "Alpha") == {"alpine", "a*c", "a[b", "100%"}
    tag = [Clause(entity="tag", key="team", op=op, value="alpha") for op in ("=", "!=")]
    assert await found(registry, ctx, tag[0]) == ["Alpha"]
    assert set(await found(registry, ctx, tag[1])) == {"alpine", "a*c", "a[b"}
    assert await found(registry, ctx, *tag) == []
    order = [Ordering(key="creation_timestamp", ascending=False)]
    assert sorted(await found(registry, ctx, order=order)) == sorted(["100%", "a[b", "a*c", "alpine", "Alpha"])


async def test_pages_of_versions_are_the_whole_list(registry: Registry, ctx: Context) -> None:
    """Each once, in order, with their tags; also while others are made and taken out, which no offset would stand."""
    await registry.create(ctx, "model", "Delay", tags={})
    for nth in range(1, 8):
        await add(registry, ctx, "Delay", nth, tags={"nth": str(nth)}, run_id="r" if nth % 2 else "")
    clauses = [Clause(key="version_number", op=">", value=1)]
    newest = [Ordering(key="version_number", ascending=False)]
    seen: list[tuple[int, dict[str, str]]] = []
    asked = Asked(kind="model", clauses=clauses, order=newest, limit=2)
    for nth in range(8, 20):
        page = await registry.search_versions(ctx, asked)
        seen += [(one.number, one.tags) for one in page.items]
        if page.next is None:
            break
        asked = msgspec.structs.replace(asked, cursor=page.next)
        # In front of the page that comes next: one more, and then one less.
        await add(registry, ctx, "Delay", nth)
        await registry.remove(ctx, "Delay", seen[0][0] - (nth - 8))
    assert seen == [(nth, {"nth": str(nth)}) for nth in range(7, 1, -1)]
    with pytest.raises(BadInput):
        await registry.search_versions(ctx, msgspec.structs.replace(asked, clauses=[]))
    runs = [Clause(key="run_id", op="IN", value=("r",))]
    kept = await registry.search_versions(
        ctx, Asked(kind="model", clauses=runs, order=[Ordering(key="version_number")])
    )
    assert [one.number for one in kept.items] == [1, 3, 5]


@pytest.mark.parametrize("key", ["name", "creation_timestamp", "last_updated_timestamp"])
@pytest.mark.parametrize("ascending", [True, False])
async def test_pages_of_names_are_the_whole_list(
    registry: Registry, ctx: Context, key: str, *, ascending: bool
) -> None:
    """Each once, whatever they are sorted by, also where the times of all are the same."""
    names = ["Zug", "alpha", "Alpha", "zeta", "Äpfel", "ß", "10", "9"]
    for name in names:
        await registry.create(ctx, "model", name, tags={})
    asked = Asked(kind="model", order=[Ordering(key=key, ascending=ascending)], limit=3)
    whole = await found(registry, ctx, order=asked.order)
    assert sorted(whole) == sorted(names)
    if key == "name":
        assert whole == sorted(names, reverse=not ascending)
    seen: list[str] = []
    while True:
        page = await registry.search_names(ctx, asked)
        seen += [one.name for one in page.items]
        if page.next is None:
            break
        asked = msgspec.structs.replace(asked, cursor=page.next)
    assert seen == whole


async def test_a_stage_has_its_newest_version_and_others_are_archived(registry: Registry, ctx: Context) -> None:
    """The alias of the stage's name follows, and goes where the stage is left."""
    await registry.create(ctx, "model", "Delay", tags={})
    for nth in (1, 2, 3):
        await add(registry, ctx, "Delay", nth)
    await registry.to_stage(ctx, "Delay", 1, "production")
    await registry.to_stage(ctx, "Delay", 2, "PRODUCTION", archive_others=True)
    named = await registry.named(ctx, "Delay")
    assert named.aliases == {"production": 2}
    newest = (await registry.latest(ctx, [named]))[named.asset_id]
    assert {one.stage: one.number for one in newest} == {"Archived": 1, "Production": 2, "None": 3}
    await registry.to_stage(ctx, "Delay", 2, "None")
    assert (await registry.named(ctx, "Delay")).aliases == {}
    assert (await registry.latest(ctx, [named], ["Production"])) == {}


async def test_one_of_several_gets_a_name(registry: Registry, ctx: Context) -> None:
    """Made or renamed at once: the others are told, and nothing of theirs is left."""
    made = await asyncio.gather(
        *(registry.create(ctx, "model", "Delay", tags={}) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(one, NameTaken) for one in made) == 4
    for at in range(4):
        await registry.create(ctx, "model", f"other {at}", tags={})
    moved = await asyncio.gather(
        *(registry.rename(ctx, f"other {at}", "wanted") for at in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, NameTaken) for one in moved) == 3
    assert len(await found(registry, ctx)) == 5


async def test_projects_have_names_of_their_own(registry: Registry, ctx: Context) -> None:
    """One project's names are not found in another, and are free there."""
    await registry.create(ctx, "model", "Delay", tags={})
    there = ctx.within("flights")
    with pytest.raises(NotFound):
        await registry.named(there, "Delay")
    await registry.create(there, "model", "Delay", tags={})
    assert await found(registry, there) == ["Delay"]
