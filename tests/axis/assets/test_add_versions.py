"""Many versions at once are what they would have been one after the other, and all of them or none."""

import asyncio
import re
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

import gimbal.generative.prompts.model  # noqa: F401 - the kind that is registered under names
from gimbal.axis.assets.model import FileEntry, Version, VersionAdded, VersionDraft
from gimbal.axis.assets.registry.store import registered_names
from gimbal.axis.assets.service import Assets
from gimbal.axis.assets.store import assets as assets_table
from gimbal.axis.assets.store import uses
from gimbal.axis.assets.store import versions as versions_table
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput, GimbalError, StaleVersion
from gimbal.kernel.events import EventBus
from gimbal.kernel.ids import new_id
from gimbal.kernel.refs import ResolvedRef

SOURCE = ResolvedRef(kind="draft", name="source", number=1, digest="b3:" + "0" * 64)


def draft(name: str, n: int, **more: Any) -> VersionDraft:
    return VersionDraft(name=name, manifest={"n": n}, **more)


def told(services: Services) -> list[VersionAdded]:
    """Return the events of new versions, as they come."""
    found: list[VersionAdded] = []

    async def note(event: VersionAdded) -> None:
        found.append(event)

    services.get(EventBus).subscribe(VersionAdded, note)
    return found


async def stored(catalog: Catalog, project: str) -> tuple[Any, ...]:
    """Return all that a project has, but for ids."""
    columns = [column for column in versions_table.c if column.name not in {"id", "asset_id"}]
    joined = versions_table.join(assets_table)
    queries = [
        sa.select(assets_table.c.name, assets_table.c.last_number, *columns).select_from(joined)
        .where(assets_table.c.project == project).order_by(assets_table.c.name, versions_table.c.number),
        sa.select(uses.c.user_kind, uses.c.user_id, uses.c.ref, uses.c.relation)
        .where(uses.c.project == project).order_by(uses.c.user_id, uses.c.ref),
        sa.select(registered_names.c.name, registered_names.c.last_name)
        .where(registered_names.c.project == project).order_by(registered_names.c.last_name),
    ]  # fmt: skip
    async with catalog.read() as tx:
        return tuple([[tuple(row) for row in await tx.execute(query)] for query in queries])


def plain(found: list[Version]) -> list[Version]:
    """Return versions without what is of one project."""
    return [msgspec.structs.replace(version, id="", project="") for version in found]


_drafts = st.lists(
    st.builds(
        draft,
        st.sampled_from(["a", "b", "c/d"]),
        st.integers(0, 3),
        note=st.sampled_from(["", "again"]),
        inputs=st.sampled_from([(), (SOURCE,)]),
        run_id=st.sampled_from([None, "r1"]),
        after=st.sampled_from([None, None, None, 0, 1, 2]),
    ),
    max_size=8,
)


@given(st.lists(_drafts, min_size=1, max_size=3))
@settings(max_examples=25)
async def test_many_at_once_are_what_they_are_one_after_the_other(
    assets: Assets, catalog: Catalog, services: Services, ctx: Context, batches: list[list[VersionDraft]]
):
    """Whatever is there twice, comes back, or has another one before it; where one is refused, all of its batch are."""
    one, many = (f"p-{new_id()}" for _ in range(2))
    for slug in (one, many):
        await services.get(Projects).create(ctx, CreateProject(slug=slug))
    events = told(services)
    for batch in batches:
        wanted, refused = await _one_by_one(assets, ctx.within(one), batch)
        if refused:
            before = await stored(catalog, many)
            with pytest.raises(StaleVersion, match=re.escape(refused)):
                await assets.add_versions(ctx.within(many), kind="note", new=batch)
            assert await stored(catalog, many) == before
            break
        found = await assets.add_versions(ctx.within(many), kind="note", new=batch)
        assert plain(found) == plain(wanted)
        assert await stored(catalog, one) == await stored(catalog, many)
    by_project = [[event.version for event in events if event.project == slug] for slug in (one, many)]
    assert plain(by_project[0])[: len(by_project[1])] == plain(by_project[1])


async def _one_by_one(assets: Assets, ctx: Context, batch: list[VersionDraft]) -> tuple[list[Version], str]:
    found: list[Version] = []
    for new in batch:
        try:
            found.append(await assets.add_version(ctx, kind="note", **msgspec.structs.asdict(new)))
        except StaleVersion as problem:
            return found, problem.message
    return found, ""


async def test_a_conflict_in_the_middle_leaves_nothing(assets: Assets, ctx: Context, catalog: Catalog, services):
    """No version, no asset, no name, no use, and nobody hears of any."""
    await assets.add_version(ctx, kind="prompt", name="b", manifest=MANIFEST)
    before, events = await stored(catalog, "default"), told(services)
    new = [VersionDraft(name=name, manifest=MANIFEST | {"notes": "new"}, after=0) for name in "abc"]

    with pytest.raises(StaleVersion, match="The newest version of prompt:b is v1, not v0"):
        await assets.add_versions(ctx, kind="prompt", new=new)

    assert await stored(catalog, "default") == before
    assert events == []
    assert ctx.after_commit == []
    assert len(await assets.add_versions(ctx, kind="prompt", new=[new[0], new[2]])) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        VersionDraft(name="B", manifest={}),
        VersionDraft(name="b", manifest={"secret": 1}),
        VersionDraft(name="b", manifest={}, note="x" * 3000),
        VersionDraft(name="b", manifest={}, files=[FileEntry(path="a", digest="b3:" + "0" * 64, size=1)]),
    ],
)
async def test_one_that_does_not_fit_leaves_nothing(assets: Assets, ctx: Context, catalog: Catalog, wrong):
    with pytest.raises(BadInput) as caught:
        await assets.add_versions(ctx, kind="note", new=[draft("a", 1), wrong])

    assert caught.value.todo
    assert await stored(catalog, "default") == ([], [], [])


async def test_blobs_put_just_now_are_not_asked_for_again(
    assets: Assets, ctx: Context, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
):
    """Their sizes are held to all the same; others are looked up."""
    (blob,), other = await blobs.put_many([b"text"]), await blobs.put(b"other")
    asked: list[str] = []
    renew = Blobs.renew

    async def noted(self: Blobs, digest: str) -> int:
        asked.append(digest)
        return await renew(self, digest)

    monkeypatch.setattr(Blobs, "renew", noted)
    entries = [FileEntry(path="a", digest=blob.digest, size=4), FileEntry(path="b", digest=other.digest, size=5)]
    (made,) = await assets.add_versions(
        ctx, kind="note", new=[VersionDraft(name="a", manifest={}, files=entries)], stored=[blob]
    )

    assert (made.files, asked) == (entries, [other.digest])
    wrong = VersionDraft(name="a", manifest={}, files=[msgspec.structs.replace(entries[0], size=3)])
    with pytest.raises(BadInput, match="has 4 bytes, not 3"):
        await assets.add_versions(ctx, kind="note", new=[wrong], stored=[blob])


MANIFEST = {"messages": [{"role": "user", "content": "Hello"}], "model": "local/extractive"}


async def test_a_thousand_take_a_few_statements(assets: Assets, ctx: Context, catalog: Catalog):
    """However many they are; first ones, the next ones, and the first ones again."""
    counts: list[int] = []

    def count(*_: object) -> None:
        counts[-1] += 1

    sa.event.listen(Engine, "before_cursor_execute", count)
    for notes in ("one", "two", "one"):
        counts.append(0)
        new = [VersionDraft(name=f"p/{n}", manifest=MANIFEST | {"notes": notes}) for n in range(1_000)]
        found = await assets.add_versions(ctx, kind="prompt", new=new)
        assert {version.number for version in found} == {1 if notes == "one" else 2}
        assert [version.name for version in found] == [one.name for one in new]
    sa.event.remove(Engine, "before_cursor_execute", count)

    assert max(counts) < 20
    names = [one[1] for one in (await stored(catalog, "default"))[2]]
    assert len(names) == 1_000


async def test_callers_with_many_at_once_end_in_a_clean_state(assets: Assets, ctx: Context, services: Services):
    """Whatever order they name them in: numbers without gaps, one version for one content, and nobody waits for ever."""
    names = [f"n/{number}" for number in range(60)]

    async def call(seed: int) -> list[Version]:
        mine = Context(services, ctx.principal, "default")
        order = names[seed::2] + names[:seed] if seed % 2 else names[::-1]
        new = [draft(name, seed % 3) for name in order]
        return await assets.add_versions(mine, kind="note", new=new)

    async with asyncio.timeout(60):
        await asyncio.gather(*(call(seed) for seed in range(8)))

    for name in names:
        found = (await assets.versions(ctx, "note", name)).items
        assert [version.number for version in found] == list(range(len(found), 0, -1))
        assert len({version.digest for version in found}) == len(found)


async def test_of_two_that_come_after_the_same_one_is_told(assets: Assets, ctx: Context, services: Services):
    """All that it brought is there, and nothing of the other's."""

    async def call(n: int) -> list[Version] | GimbalError:
        mine = Context(services, ctx.principal, "default")
        try:
            return await assets.add_versions(mine, kind="note", new=[draft(name, n, after=0) for name in "abcd"])
        except StaleVersion as problem:
            return problem

    done = await asyncio.gather(call(1), call(2))
    won = [one for one in done if isinstance(one, list)]

    assert len(won) == 1
    for version in won[0]:
        assert (await assets.versions(ctx, "note", version.name)).items == [version]


async def test_all_are_in_the_audit(assets: Assets, ctx: Context, services: Services):
    """In the one record of the operation that adds them."""
    ctx.audit_details = {}
    await assets.add_versions(ctx, kind="note", new=[draft("a", 1), draft("b", 1), draft("a", 2)])

    assert ctx.audit_details == {"versions": ["note:a@v1", "note:b@v1", "note:a@v2"]}
    assert (await services.get(AuditLog).verify()).sound
