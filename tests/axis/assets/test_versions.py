"""Versions: the same content is the same version, numbers have no gaps, and a bad version leaves nothing behind."""

import asyncio
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from gimbal.axis.assets.content import MAX_MANIFEST, digest
from gimbal.axis.assets.model import FileEntry, Version, VersionAdded
from gimbal.axis.assets.service import Assets
from gimbal.axis.assets.store import assets as assets_table
from gimbal.axis.assets.store import versions as versions_table
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.errors import BadInput, Conflict, Forbidden, GimbalError, NotFound, TooLarge
from gimbal.kernel.events import EventBus
from gimbal.kernel.operations import decode_body, find, invoke
from gimbal.kernel.refs import Ref, ResolvedRef
from gimbal.testing.clock import FrozenClock

MODEL = "flights/delay"


async def add(assets: Assets, ctx: Context, **manifest: Any) -> Version:
    return await assets.add_version(ctx, kind="note", name=MODEL, manifest=manifest)


async def count(catalog: Catalog, table: sa.Table) -> int:
    async with catalog.read() as tx:
        return int((await tx.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


async def test_the_same_content_is_the_same_version(assets: Assets, ctx: Context) -> None:
    """Whatever the order of its keys; other content is the next number; the first comes back when asked for again."""
    first = await assets.add_version(ctx, kind="note", name=MODEL, manifest={"a": 1, "b": [1, 2]})
    again = await assets.add_version(ctx, kind="note", name=MODEL, manifest={"b": [1, 2], "a": 1}, note="retry")
    second = await add(assets, ctx, a=2)
    third = await assets.add_version(ctx, kind="note", name=MODEL, manifest={"a": 1, "b": [1, 2]})

    assert first == again == third
    assert [first.number, second.number] == [1, 2]
    assert re.fullmatch("b3:[0-9a-f]{64}", first.digest)
    assert first == await assets.resolve(ctx, f"note:{MODEL}@{first.digest}")


async def test_twenty_different_at_once_are_numbered_without_gaps(assets: Assets, ctx: Context) -> None:
    """Each has its own number from 1 to 20, also when none was there before."""
    made = await asyncio.gather(*(add(assets, ctx, seed=n) for n in range(20)))

    assert list(range(1, 21)) == sorted(v.number for v in made)
    assert (await assets.versions(ctx, "note", MODEL)).total == 20


async def test_twenty_times_the_same_at_once_is_one_version(
    assets: Assets, ctx: Context, services: Services, catalog: Catalog
) -> None:
    """All get the same one, and it is told once."""
    told: list[VersionAdded] = []

    async def note(event: VersionAdded) -> None:
        told.append(event)

    services.get(EventBus).subscribe(VersionAdded, note)
    callers = [Context(services, ctx.principal, "default") for _ in range(20)]
    made = await asyncio.gather(*(add(assets, c, a=1) for c in callers))

    assert len({v.id for v in made}) == 1
    assert await count(catalog, versions_table) == 1
    assert [made[0]] == [event.version for event in told]


async def test_assets_made_at_once_are_independent(assets: Assets, ctx: Context) -> None:
    """Other names, kinds and projects number for themselves."""
    made = await asyncio.gather(
        *(assets.add_version(ctx, kind=k, name=n, manifest={}) for k in ("note", "draft") for n in ("a", "b")),
        assets.add_version(ctx.within("flights"), kind="note", name="a", manifest={}),
    )

    assert {1} == {v.number for v in made}
    assert len({v.id for v in made}) == 5


async def test_a_manifest_comes_back_as_it_was(assets: Assets, ctx: Context) -> None:
    """Large numbers, U+0000 and odd keys included; Decimals and NaN as JSON has them."""
    manifest = {"big": 1e30, "int": 2**70, "nul": "a\0b", "ü": {"": [None, True, -0.0, 1.0]}, "text": "–\u2028"}
    made = await add(assets, ctx, **manifest, price=Decimal("0.10"), loss=float("nan"))
    read = await assets.resolve(ctx, str(made.ref))

    assert manifest | {"price": "0.10", "loss": None} == read.manifest
    assert made == read
    assert made.digest == digest("note", read.manifest, read.files)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _json, max_size=5), st.randoms())
def test_the_digest_is_that_of_the_content(manifest: dict[str, Any], random: Any) -> None:
    """It survives JSON and any order of keys and files, and tells kinds and files apart."""
    files = [FileEntry(path=p, digest="b3:" + "0" * 64, size=1) for p in ("a", "b", "c")]
    again = msgspec.json.decode(msgspec.json.encode(manifest))
    shuffled = dict(random.sample(list(again.items()), len(again)))
    other = random.sample(files, 3)

    assert digest("note", manifest, files) == digest("note", shuffled, other)
    assert digest("note", manifest, files) != digest("draft", manifest, files)
    assert digest("note", manifest, files) != digest("note", manifest, files[1:])


@pytest.mark.parametrize(
    ("kind", "name", "manifest", "error", "word"),
    [
        ("modle", MODEL, {}, BadInput, "Kinds are: "),
        ("", MODEL, {}, BadInput, "Kinds are"),
        ("note", "Flights", {}, BadInput, "is not a name"),
        ("note", "a//b", {}, BadInput, "is not a name"),
        ("note", "a@v1", {}, BadInput, "is not a name"),
        ("note", MODEL, {"secret": 1}, BadInput, "no secret"),
        ("note", MODEL, {"x": "y" * MAX_MANIFEST}, TooLarge, "bytes"),
        ("note", MODEL, {"x": "\ud800"}, BadInput, "JSON"),
    ],
)
async def test_a_version_that_does_not_fit_leaves_nothing(
    assets: Assets, ctx: Context, catalog: Catalog, kind: str, name: str, manifest: Any, error: type, word: str
) -> None:
    """The message says what is wrong, and there is no half-made asset."""
    with pytest.raises(error) as caught:
        await assets.add_version(ctx, kind=kind, name=name, manifest=manifest)

    assert word in str(caught.value)
    assert await count(catalog, assets_table) == 0


async def test_a_manifest_nested_without_end_is_refused(assets: Assets, ctx: Context) -> None:
    """Not with a crash of the parser."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(BadInput, match="nested"):
        await add(assets, ctx, deep=deep)


async def test_files_are_named_by_their_blobs(assets: Assets, ctx: Context, blobs: Blobs) -> None:
    """They come back by path; other bytes are another version."""
    one, two = await blobs.put(b"one"), await blobs.put(b"two")
    entries = [
        FileEntry(path="b.txt", digest=two.digest, size=3, media_type="text/plain; charset=utf-8"),
        FileEntry(path="a/a.bin", digest=one.digest, size=3),
    ]
    made = await assets.add_version(ctx, kind="note", name=MODEL, manifest={}, files=entries)
    swapped = [msgspec.structs.replace(entries[0], digest=one.digest), entries[1]]

    assert entries[::-1] == made.files
    assert (
        made.number == (await assets.add_version(ctx, kind="note", name=MODEL, manifest={}, files=entries[::-1])).number
    )
    assert (await assets.add_version(ctx, kind="note", name=MODEL, manifest={}, files=swapped)).number == 2


@pytest.mark.parametrize(
    ("paths", "changes"),
    [
        (["../a"], {}),
        (["/a"], {}),
        (["a//b"], {}),
        (["./a"], {}),
        (["a/"], {}),
        ([""], {}),
        (["a\\b"], {}),
        (["a\nb"], {}),
        (["a\0b"], {}),
        (["a" * 501], {}),
        (["a", "a"], {}),
        (["a", "a/b"], {}),
        (["a"], {"size": 4}),
        (["a"], {"size": -1}),
        (["a"], {"digest": "b3:" + "0" * 64}),
        (["a"], {"digest": "b3:../../x"}),
        (["a"], {"digest": "sha256:" + "0" * 64}),
        (["a"], {"media_type": "text/html\r\nx-evil: 1"}),
        (["a"], {"media_type": "html"}),
    ],
)
async def test_a_file_that_is_not_sound_is_refused(
    assets: Assets, ctx: Context, blobs: Blobs, catalog: Catalog, paths: list[str], changes: dict[str, Any]
) -> None:
    """Paths that leave the version, doubles, bytes that are not there or of another size, headers in disguise."""
    stored = await blobs.put(b"one")
    entry = FileEntry(path="a", digest=stored.digest, size=3)
    files = [msgspec.structs.replace(entry, path=path, **changes) for path in paths]

    with pytest.raises(BadInput):
        await assets.add_version(ctx, kind="note", name=MODEL, manifest={}, files=files)
    assert await count(catalog, assets_table) == 0


async def test_a_version_never_changes(assets: Assets, ctx: Context, catalog: Catalog) -> None:
    """The engine refuses an UPDATE by whatever program."""
    await add(assets, ctx, a=1)

    with pytest.raises(IntegrityError, match="append-only"):
        async with catalog.write() as tx:
            await tx.exec_driver_sql("UPDATE versions SET note = 'better'")


async def test_references_mean_one_version(assets: Assets, ctx: Context) -> None:
    """By number, digest prefix, alias and latest; anything else is not found, and says what there is."""
    first, second = await add(assets, ctx, a=1), await add(assets, ctx, a=2)
    await assets.move_alias(ctx, "note", MODEL, "production", "v1")

    for selector, version in [
        ("", second), ("@latest", second), ("@v1", first), ("@v2", second), ("@production", first),
        (f"@{first.digest[:11]}", first), (f"@{second.digest}", second),
    ]:  # fmt: skip
        assert version == await assets.resolve(ctx, f"note:{MODEL}{selector}")
    for missing in ("@v3", "@staging", "@b3:00000000", "@production~2020-01-01T00:00Z"):
        with pytest.raises(NotFound):
            await assets.resolve(ctx, f"note:{MODEL}{missing}")
    for missing in (f"draft:{MODEL}", "note:flights"):
        with pytest.raises(NotFound):
            await assets.resolve(ctx, missing)
    with pytest.raises(NotFound):
        await assets.resolve(ctx.within("flights"), f"note:{MODEL}")


async def test_a_digest_prefix_of_several_versions_names_them(assets: Assets, ctx: Context, catalog: Catalog) -> None:
    """Two digests that begin alike are told apart by more digits."""
    made = await add(assets, ctx, a=1)
    twin = made.digest[:12] + ("0" if made.digest[12] != "0" else "1") + made.digest[13:]
    row = {"id": "x", "number": 2, "digest": twin, "manifest": {}, "files": [], "inputs": [], "note": ""}
    async with catalog.write() as tx:
        asset_id = (await tx.execute(sa.select(assets_table.c.id))).scalar_one()
        stamped = {"asset_id": asset_id, "created_at": made.created_at, "created_by": "x"}
        await tx.execute(versions_table.insert().values(row | stamped))

    with pytest.raises(Conflict, match=r"v1 is .* v2 is"):
        await assets.resolve(ctx, f"note:{MODEL}@{made.digest[:12]}")
    assert made == await assets.resolve(ctx, f"note:{MODEL}@{made.digest[:13]}")


async def test_versions_are_paged_newest_first(assets: Assets, ctx: Context) -> None:
    """Each with the aliases that stand on it."""
    for n in range(5):
        await add(assets, ctx, n=n)
    await assets.move_alias(ctx, "note", MODEL, "production", "v4")
    await assets.move_alias(ctx, "note", MODEL, "candidate", "v4")
    first = await assets.versions(ctx, "note", MODEL, limit=3)
    rest = await assets.versions(ctx, "note", MODEL, limit=3, cursor=first.next)

    assert [(v.number, v.aliases) for v in first.items] == [(5, []), (4, ["candidate", "production"]), (3, [])]
    assert [v.number for v in rest.items] == [2, 1]
    assert rest.next is None


async def test_assets_are_listed_filtered_and_paged(assets: Assets, ctx: Context, clock: FrozenClock) -> None:
    """By kind and name, or those with the newest version first."""
    for kind, name in [("note", "b"), ("draft", "a"), ("note", "a/x_y"), ("note", "c")]:
        clock.advance(seconds=1)
        await assets.add_version(ctx, kind=kind, name=name, manifest={})
    clock.advance(seconds=1)
    await assets.add_version(ctx, kind="note", name="b", manifest={"n": 2})

    async def names(**given: Any) -> list[str]:
        found, cursor = [], None
        while True:
            page = await invoke(find("assets.list"), ctx, {"project": "default", "limit": 2, "cursor": cursor} | given)
            found += [f"{a.kind}:{a.name}" for a in page.items]
            cursor = page.next
            if cursor is None:
                return found

    everything = ["draft:a", "note:a/x_y", "note:b", "note:c"]
    assert everything == await names()
    assert await names(newest=True) == ["note:b", "note:c", "note:a/x_y", "draft:a"]
    assert await names(kind="draft") == ["draft:a"]
    assert await names(search="_") == ["note:a/x_y"]
    assert await names(search="A") == ["draft:a", "note:a/x_y"]
    with pytest.raises(BadInput, match="Kinds are: "):
        await names(kind="modle")
    assert (await assets.page(ctx.within("flights"))).items == []


@pytest.mark.parametrize("cursor", ["e30", "bnVsbA", "eyJraW5kIjoxfQ", "eyJudW1iZXIiOiJ4In0", "%", "eyJhdCI6IngifQ"])
async def test_forged_cursors_are_refused(assets: Assets, ctx: Context, cursor: str) -> None:
    """Whatever they decode to."""
    await add(assets, ctx, a=1)
    for asked in (
        assets.page(ctx, cursor=cursor), assets.page(ctx, cursor=cursor, newest=True), assets.moves(ctx, cursor=cursor),
        assets.versions(ctx, "note", MODEL, cursor=cursor),
    ):  # fmt: skip
        with pytest.raises(BadInput):
            await asked


async def test_a_version_is_added_through_the_operation(assets: Assets, ctx: Context, services: Services) -> None:
    """With inputs by reference; it is audited, takes a developer, and wants the asset and not a version of it."""
    source = await assets.add_version(ctx, kind="draft", name="source", manifest={})
    body = decode_body(
        b'{"manifest": {"a": 1}, "inputs": ["draft:source@latest"], "note": "first"}', find("assets.add").body.type
    )  # type: ignore[union-attr]
    given = {"project": "default", "ref": Ref("note", MODEL), "body": body}
    made = await invoke(find("assets.add"), ctx, given)

    assert ([source.ref], "first") == (made.inputs, made.note)
    record = (await services.get(AuditLog).page("default")).items[0]
    assert ("assets.add", {"ref": f"note:{MODEL}", "version": f"note:{MODEL}@v1"}) == (record.action, record.details)
    with pytest.raises(BadInput, match="as a whole"):
        await invoke(find("assets.add"), ctx, given | {"ref": Ref.parse(f"note:{MODEL}@v1")})
    viewer = Principal(kind="key", id="k", name="k", roles={"default": Role.VIEWER})
    with pytest.raises(Forbidden):
        await invoke(find("assets.add"), Context(services, viewer, "default"), given)


async def test_the_operation_shows_the_aliases(assets: Assets, ctx: Context) -> None:
    """Those that stand on the version it shows."""
    await add(assets, ctx, a=1)
    await assets.move_alias(ctx, "note", MODEL, "production", "v1")

    shown = await invoke(find("assets.show"), ctx, {"project": "default", "ref": Ref("note", MODEL)})

    assert shown.aliases == ["production"]


@pytest.mark.parametrize(
    "ref",
    [ResolvedRef(kind="note", name="a", number=1, digest=""), ResolvedRef(kind="no", name="", number=0, digest="")],
)
async def test_a_lost_input_is_shown_and_no_accident(assets: Assets, ctx: Context, ref: ResolvedRef) -> None:
    """What was recorded stays recorded, also when nothing is behind it any more."""
    made = await assets.add_version(ctx, kind="note", name=MODEL, manifest={}, inputs=[ref])

    assert [ref] == (await assets.resolve(ctx, str(made.ref))).inputs


async def test_errors_say_what_to_do(assets: Assets, ctx: Context) -> None:
    """Every refusal has a place and a next step."""
    for wrong in ("note:nothing", f"note:{MODEL}@v9"):
        with pytest.raises(GimbalError) as caught:
            await assets.resolve(ctx, wrong)
        assert caught.value.where
        assert caught.value.todo
