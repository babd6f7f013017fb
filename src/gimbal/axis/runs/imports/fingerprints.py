"""What kept runs are known by: read whole from the stores, never from what an import said."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from gimbal.axis.runs.desk import COLUMNS, WITH_EXPERIMENT, RunRow, row_of
from gimbal.axis.runs.filling import values_of
from gimbal.axis.runs.imports import digests
from gimbal.axis.runs.imports.model import (
    DIGEST_TAG,
    ORIGIN_TAG,
    OWN_TAGS,
    AskFingerprints,
    Aspect,
    Fingerprint,
    ImportedDataset,
)
from gimbal.axis.runs.inputs import DatasetInput, inputs_of
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.store import artifact_files, run_tags, runs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.ids import parse_id


async def fingerprints(ctx: Context, asked: AskFingerprints) -> list[Fingerprint]:
    """Return those of the asked runs that are here, with digests of their contents when these are asked for."""
    catalog = ctx.get(Catalog)
    ids = list(dict.fromkeys(parse_id(one, "ids") for one in asked.ids))
    mine = (runs.c.project == (ctx.project or "default"), runs.c.id.in_(ids))
    query = sa.select(*COLUMNS).select_from(WITH_EXPERIMENT).where(*mine)
    async with catalog.read() as tx:
        rows = [row_of(row) for row in (await tx.execute(query)).mappings()]
        own = (run_tags.c.run_key.in_([row.key for row in rows]), run_tags.c.name.in_(OWN_TAGS))
        marks: dict[int, dict[str, str]] = {}
        for tag in await tx.execute(sa.select(run_tags).where(*own)):
            marks.setdefault(tag.run_key, {})[tag.name] = tag.value
    aspects = await _aspects(ctx, rows) if asked.content and rows else {}
    return [
        Fingerprint(
            id=row.id,
            origin=marks.get(row.key, {}).get(ORIGIN_TAG, ""),
            digest=marks.get(row.key, {}).get(DIGEST_TAG, ""),
            stage="active" if row.stage == "active" else "deleted",
            aspects=aspects.get(row.id, {}),
        )
        for row in rows
    ]


async def _aspects(ctx: Context, rows: Sequence[RunRow]) -> dict[str, dict[str, Aspect]]:
    catalog, keys = ctx.get(Catalog), [row.key for row in rows]
    async with catalog.read() as tx:
        params, tags = await values_of(tx, keys)
        read = await inputs_of(tx, keys)
    files = await _files(catalog, [row.id for row in rows])
    points = await _points(ctx, rows)
    return {
        row.id: {
            "run": digests.of_attributes(row),
            "params": digests.of_params(params.get(row.key, {})),
            "tags": digests.of_tags(tags.get(row.key, {})),
            "points": points[row.id],
            "datasets": digests.of_datasets([_dataset(one) for one in read.get(row.key, [])]),
            "files": digests.of_files(files.get(row.id, [])),
        }
        for row in rows
    }


async def _points(ctx: Context, rows: Sequence[RunRow]) -> Mapping[str, Aspect]:
    # A million points take seconds of the processor, in which others shall be answered.
    return await asyncio.to_thread(_digested, await ctx.get(Points).whole(rows), rows)


def _digested(table: pa.Table, rows: Sequence[RunRow]) -> Mapping[str, Aspect]:
    places = {row.id: place for place, row in enumerate(rows)}
    coded = {column: table.column(column).combine_chunks().dictionary_encode() for column in ("run_id", "name")}
    of = np.array([places[run_id] for run_id in coded["run_id"].dictionary.to_pylist()], np.int64)
    found = digests.of_points(
        len(rows),
        of[coded["run_id"].indices.to_numpy()],
        coded["name"].dictionary.to_pylist(),
        coded["name"].indices.to_numpy(),
        *(table.column(column).to_numpy() for column in ("step", "at_us", "value")),
    )
    return {row.id: found[place] for place, row in enumerate(rows)}


async def _files(catalog: Catalog, ids: Sequence[str]) -> dict[str, list[tuple[str, int, str]]]:
    columns = (artifact_files.c.owner_id, artifact_files.c.path, artifact_files.c.size, artifact_files.c.digest)
    mine = (artifact_files.c.owner == "run", artifact_files.c.owner_id.in_(ids))
    found: dict[str, list[tuple[str, int, str]]] = {}
    async with catalog.read() as tx:
        for run_id, path, size, digest in await tx.execute(sa.select(*columns).where(*mine)):
            found.setdefault(run_id, []).append((path, size, digest))
    return found


def _dataset(one: DatasetInput) -> ImportedDataset:
    told = one.dataset
    return ImportedDataset(
        name=told.name,
        digest=told.digest,
        source_type=told.source_type,
        source=told.source,
        schema=told.schema,
        profile=told.profile,
        tags=one.tags,
    )
