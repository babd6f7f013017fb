"""Lineage: both ways, through runs, bounded in depth and size, and only of the project."""

import pytest

from gimbal.axis.assets.model import Lineage, Version
from gimbal.axis.assets.service import Assets
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref, ResolvedRef
from gimbal.testing.clock import FrozenClock


async def add(
    assets: Assets, ctx: Context, name: str, *inputs: ResolvedRef, run_id: str | None = None, n: int = 0
) -> Version:
    return await assets.add_version(
        ctx, kind="note", name=name, manifest={"name": name, "n": n}, inputs=inputs, run_id=run_id
    )


async def graph(ctx: Context, ref: str, depth: int = 3) -> Lineage:
    return await invoke(find("assets.lineage"), ctx, {"project": "default", "ref": Ref.parse(ref), "depth": depth})


def arrows(found: Lineage) -> set[str]:
    return {f"{e.source} {e.relation} {e.target}" for e in found.edges}


async def test_lineage_goes_both_ways(assets: Assets, ctx: Context) -> None:
    """From the middle of a chain one sees what it came from and what came of it."""
    data = await add(assets, ctx, "data")
    model = await add(assets, ctx, "model", data.ref)
    await add(assets, ctx, "report", model.ref)
    await add(assets, ctx, "other")

    for start in ("note:data", "note:model", "note:report"):
        found = await graph(ctx, start)
        assert arrows(found) == {"note:data@v1 input note:model@v1", "note:model@v1 input note:report@v1"}
        assert {n.id for n in found.nodes} == {"note:data@v1", "note:model@v1", "note:report@v1"}
        assert found.root == f"{start}@v1"
        assert not found.truncated
    assert {n.id for n in (await graph(ctx, "note:data", 1)).nodes} == {"note:data@v1", "note:model@v1"}
    assert [n.kind for n in (await graph(ctx, "note:other")).nodes] == ["note"]


async def test_a_run_joins_what_it_used_and_what_it_made(assets: Assets, ctx: Context) -> None:
    """A dataset that a run used leads to the model that the run made, and back."""
    data = await add(assets, ctx, "data")
    await assets.record_use(ctx, "run", "r1", [data.ref])
    model = await add(assets, ctx, "model", run_id="r1")
    await assets.record_use(ctx, "decision", "d1", [model.ref], relation="judged")
    await assets.record_use(ctx, "endpoint", "delay", [model.ref])
    expected = {
        "note:data@v1 used run:r1",
        "run:r1 made note:model@v1",
        "note:model@v1 judged decision:d1",
        "note:model@v1 used endpoint:delay",
    }

    assert arrows(await graph(ctx, "note:data")) == expected
    assert arrows(await graph(ctx, "note:model")) == expected
    kinds = {n.id: n.kind for n in (await graph(ctx, "note:data")).nodes}
    assert kinds["run:r1"] == "run"
    assert kinds["endpoint:delay"] == "endpoint"


async def test_a_use_is_noted_once(assets: Assets, ctx: Context) -> None:
    """A retry adds nothing; another relation does not take the first one's place."""
    data = await add(assets, ctx, "data")
    for _ in range(3):
        await assets.record_use(ctx, "run", "r1", [data.ref, data.ref])

    assert arrows(await graph(ctx, "note:data")) == {"note:data@v1 used run:r1"}


async def test_the_same_content_from_two_origins_has_both(assets: Assets, ctx: Context) -> None:
    """A second run that makes the same version is not lost, though the version is the first one's."""
    one, two = await add(assets, ctx, "one"), await add(assets, ctx, "two")
    first = await add(assets, ctx, "model", one.ref, run_id="r1")
    again = await add(assets, ctx, "model", two.ref, run_id="r2")

    assert first == again
    assert arrows(await graph(ctx, "note:model", 1)) == {
        "note:one@v1 input note:model@v1",
        "note:two@v1 input note:model@v1",
        "run:r1 made note:model@v1",
        "run:r2 made note:model@v1",
    }


async def test_a_circle_ends(assets: Assets, ctx: Context) -> None:
    """A run that used what it made does not go round for ever."""
    model = await add(assets, ctx, "model", run_id="r1")
    await assets.record_use(ctx, "run", "r1", [model.ref])

    found = await graph(ctx, "note:model", 6)

    assert {n.id for n in found.nodes} == {"note:model@v1", "run:r1"}


async def test_what_was_used_very_often_is_cut_and_says_so(assets: Assets, ctx: Context, clock: FrozenClock) -> None:
    """The newest runs are shown, and other kinds of users beside them."""
    data = await add(assets, ctx, "data")
    await assets.record_use(ctx, "endpoint", "delay", [data.ref])
    for n in range(30):
        clock.advance(seconds=1)
        await assets.record_use(ctx, "run", f"r{n}", [data.ref])

    found = await graph(ctx, "note:data")

    assert found.truncated
    assert {n.id for n in found.nodes} == {"note:data@v1", "endpoint:delay", *(f"run:r{n}" for n in range(10, 30))}


async def test_a_large_graph_is_cut_and_every_edge_has_its_ends(assets: Assets, ctx: Context) -> None:
    """At 200 nodes."""
    data = await add(assets, ctx, "data")
    for n in range(15):
        middle = await add(assets, ctx, f"m{n}", data.ref)
        for k in range(15):
            await add(assets, ctx, f"m{n}/{k}", middle.ref)

    found = await graph(ctx, "note:data", 6)

    ids = {n.id for n in found.nodes}
    assert found.truncated
    assert len(ids) <= 200
    assert all(e.source in ids and e.target in ids for e in found.edges)


async def test_projects_do_not_see_each_other(assets: Assets, ctx: Context) -> None:
    """Assets of the same name have lineages of their own."""
    await add(assets, ctx, "data", run_id="r1")
    await add(assets, ctx.within("flights"), "data", run_id="r2")

    assert {n.id for n in (await graph(ctx, "note:data")).nodes} == {"note:data@v1", "run:r1"}


@pytest.mark.parametrize("depth", [0, -1, 7])
async def test_the_depth_is_bounded(assets: Assets, ctx: Context, depth: int) -> None:
    """1 to 6 steps; a version that is not there is not found."""
    await add(assets, ctx, "data")
    with pytest.raises(BadInput):
        await graph(ctx, "note:data", depth)
    with pytest.raises(NotFound):
        await graph(ctx, "note:nothing")


@pytest.mark.parametrize(("kind", "id_"), [("", "x"), ("version", "x"), ("run", ""), ("run", "a@b"), ("a:b", "x")])
async def test_what_cannot_be_a_user_is_refused(assets: Assets, ctx: Context, kind: str, id_: str) -> None:
    """So that nodes of the graph are never mistaken for each other."""
    data = await add(assets, ctx, "data")
    with pytest.raises(BadInput):
        await assets.record_use(ctx, kind, id_, [data.ref])
