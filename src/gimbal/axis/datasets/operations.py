"""What can be done with datasets from outside: create by upload, show, profile, download."""

from typing import Annotated

from gimbal.axis.assets.model import Asset, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.model import DATA_FILE, MEDIA_TYPE, ColumnProfile, DatasetView
from gimbal.axis.datasets.service import Datasets
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref

describe("datasets", "Immutable snapshots of tables, with schema and profile.")

_PATH = "/projects/{project}/datasets"


@operation("POST", _PATH, name="datasets.create", allow=Permission.DEVELOP, audited=True)
async def create_dataset(
    ctx: Context,
    project: str,
    body: Upload,
    name: Annotated[str, "Name of the dataset: flights/train."],
    inputs: Annotated[list[str] | None, "References of the versions that it was made from."] = None,
    run_id: Annotated[str | None, "The run that made it."] = None,
    note: Annotated[str, "A remark for people."] = "",
) -> Version:
    """Store a Parquet file as a version of a dataset, with its schema, row count and profile.

    The same data is the same version, whoever wrote the file; the order of the rows is kept.
    """
    sources = [(await ctx.get(Assets).resolve(ctx, text)).ref for text in inputs or []]
    version = await ctx.get(Datasets).snapshot(ctx, name, body, inputs=sources, run_id=run_id, note=note)
    ctx.audit(version=str(version.ref), digest=version.digest)
    return version


@operation("GET", _PATH, name="datasets.list", allow=Permission.VIEW)
async def list_datasets(
    ctx: Context,
    project: str,
    search: Annotated[str | None, "Only names that contain this."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Asset]:
    """List datasets with their aliases."""
    return await ctx.get(Assets).page(ctx, kind="dataset", search=search, cursor=cursor, limit=limit)


@operation("GET", _PATH + "/{ref}", name="datasets.show", allow=Permission.VIEW)
async def show_dataset(ctx: Context, project: str, ref: str) -> DatasetView:
    """Show a version of a dataset: schema, rows and the profile of every column."""
    return await ctx.get(Datasets).show(ctx, ref)


@operation("GET", _PATH + "/{ref}/profile/{column}", name="datasets.profile", allow=Permission.VIEW)
async def show_profile(
    ctx: Context, project: str, ref: str, column: Annotated[str, "Name of the column."]
) -> ColumnProfile:
    """Show the profile of one column."""
    view = await ctx.get(Datasets).show(ctx, ref)
    found = view.manifest.column(column)
    if found is None:
        names = ", ".join(c.name for c in view.manifest.schema[:50])
        raise NotFound(f"{view.ref} has no column {column!r}.", where="column", todo=f"It has: {names}.")
    return found


@operation("GET", _PATH + "/{ref}/data", name="datasets.download", allow=Permission.VIEW)
async def download_dataset(ctx: Context, project: str, ref: str) -> Download:
    """Download the Parquet file of a version."""
    version = await ctx.get(Assets).resolve(ctx, Ref.parse(ref, kind="dataset"))
    entry = version.file(DATA_FILE)
    if entry is None:
        raise NotFound(f"{version.ref} has no data.", where="ref", todo="Give a dataset.")
    return Download(
        chunks=ctx.get(Blobs).stream(entry.digest),
        media_type=MEDIA_TYPE,
        filename=f"{version.name.replace('/', '-')}-v{version.number}.parquet",
        size=entry.size,
    )
