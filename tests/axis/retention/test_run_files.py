"""The collector and runs: files stay with their run, and nothing else that runs logged keeps a blob alive."""

from collections.abc import AsyncIterator

from tests.axis.retention.conftest import Place

import gimbal.axis.runs.candidates.store  # noqa: F401 - has tables that are named here
from gimbal.axis.retention.collecting import NOTED, Collecting
from gimbal.axis.runs.artifacts.service import Artifacts, Owner
from gimbal.axis.runs.store import experiments, run_params, run_tags, runs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, metadata
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.http import Upload
from gimbal.kernel.ids import new_id

FOR_EVER = 2**62


def upload(content: bytes) -> Upload:
    async def stream() -> AsyncIterator[bytes]:
        yield content

    return Upload(stream(), limit=1 << 20)


async def test_the_files_of_a_run_outlive_a_collection(place: Place) -> None:
    ctx = await place()
    catalog, blobs = ctx.get(Catalog), ctx.get(Blobs)
    artifacts, owner = Artifacts(catalog, blobs), Owner("run", new_id())
    collecting = Collecting(catalog, ctx.get(Columns), blobs)
    kept = await artifacts.put(ctx, owner, "kept", upload(new_id().encode()))
    replaced = await artifacts.put(ctx, owner, "replaced", upload(new_id().encode()))
    newer = await artifacts.put(ctx, owner, "replaced", upload(new_id().encode()))
    deleted = await artifacts.put(ctx, owner, "deleted", upload(new_id().encode()))
    await artifacts.delete(ctx, owner, "deleted")

    await collecting.collect(FOR_EVER)

    assert [await blobs.exists(one.digest) for one in (kept, newer, replaced, deleted)] == [True, True, False, False]


async def test_a_parameter_that_looks_like_a_digest_keeps_nothing(place: Place) -> None:
    ctx = await place()
    catalog, blobs = ctx.get(Catalog), ctx.get(Blobs)
    digest = (await blobs.put(new_id().encode())).digest
    now, project = ctx.now(), ctx.project
    async with catalog.write() as tx:
        made = {"project": project, "stage": "active", "updated_at": now}
        shown = await tx.execute(experiments.insert().values(**made, name=digest, artifact_location="", created_at=now))
        (experiment,) = shown.inserted_primary_key or ()
        run = await tx.execute(
            runs.insert().values(
                **made, id=new_id(), experiment_key=experiment, name=digest, status="running", user="", started_at=now,
                group="", created_by="", error=digest, note=digest,
            )
        )  # fmt: skip
        (key,) = run.inserted_primary_key or ()
        await tx.execute(run_params.insert().values(run_key=key, name="data", value=f'"{digest}"'))
        await tx.execute(run_tags.insert().values(run_key=key, name=digest, value=digest))

    await Collecting(catalog, ctx.get(Columns), blobs).collect(FOR_EVER)

    assert not await blobs.exists(digest)


def test_the_columns_that_count_are_there() -> None:
    """A name that is not one any more would give every file to the collector."""
    for table, columns in NOTED.items():
        assert table in metadata.tables, table
        assert set(columns) <= set(metadata.tables[table].c.keys()), table
