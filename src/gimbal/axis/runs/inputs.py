"""Datasets that runs read, as their senders described them: by name and digest, whatever they are stored in.

What Gimbal itself keeps is known by references (`Run.inputs`); these are only told of.
"""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.store import input_datasets, run_datasets
from gimbal.engines.storage.among import Among
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context

CONTEXT_TAG = "mlflow.data.context"
_MOST_SUMMARIES = 1000
_DESCRIBED = [column for column in input_datasets.c if column.name not in {"key", "experiment_key"}]
# Made once: to put a statement together takes longer than SQLite needs for its answer.
_READ = (
    sa.select(run_datasets.c.run_key, run_datasets.c.tags.label("use"), *_DESCRIBED)
    .join(input_datasets, input_datasets.c.key == run_datasets.c.dataset_key)
    .where(Among(run_datasets.c.run_key))
    .order_by(input_datasets.c.name, input_datasets.c.key)
)


class InputDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset as a sender described it."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that a run read, and what for."""

    dataset: InputDataset
    tags: dict[str, str] = {}


class DatasetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that some run of an experiment read."""

    experiment_key: int
    name: str
    digest: str
    context: str


async def put_inputs(catalog: Catalog, ctx: Context, row: RunRow, inputs: Sequence[DatasetInput]) -> None:
    """Keep that a run read these; the same name and digest in one experiment is one dataset, described once."""
    if inputs:
        async with catalog.write(ctx) as tx:
            await put_inputs_within(tx, row, inputs)


async def put_inputs_within(tx: AsyncConnection, row: RunRow, inputs: Sequence[DatasetInput]) -> None:
    """Keep them within an open transaction."""
    named = {(one.dataset.name, one.dataset.digest): one for one in inputs}
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    # In one order, so that two who tell of the same datasets wait for each other.
    told = [msgspec.structs.asdict(named[key].dataset) for key in sorted(named)]
    rows = [{"experiment_key": row.experiment_key, **one} for one in told]
    await tx.execute(insert(input_datasets).on_conflict_do_nothing(), rows)
    mine = input_datasets.c.experiment_key == row.experiment_key
    asked = sa.select(input_datasets.c.key, input_datasets.c.name, input_datasets.c.digest).where(
        mine, input_datasets.c.name.in_({name for name, _ in named})
    )
    found = [(key, name, digest) for key, name, digest in await tx.execute(asked) if (name, digest) in named]
    statement = insert(run_datasets)
    # Clients tell of a dataset again, without tags, when they log a metric of it.
    untold = sa.type_coerce(statement.excluded.tags, sa.Text) == "{}"
    statement = statement.on_conflict_do_update(
        index_elements=[run_datasets.c.run_key, run_datasets.c.dataset_key],
        set_={"tags": sa.case((untold, run_datasets.c.tags), else_=statement.excluded.tags)},
    )
    uses = [{"run_key": row.key, "dataset_key": key, "tags": named[name, digest].tags} for key, name, digest in found]
    await tx.execute(statement, uses)


async def inputs_of(tx: AsyncConnection, run_keys: Sequence[int]) -> Mapping[int, list[DatasetInput]]:
    """Return by run the datasets that it read, by name."""
    found: dict[int, list[DatasetInput]] = {}
    for row in (await tx.execute(_READ, {"keys": run_keys})).mappings():
        dataset = InputDataset(**{column.name: row[column.name] for column in _DESCRIBED})
        found.setdefault(row["run_key"], []).append(DatasetInput(dataset=dataset, tags=row["use"]))
    return found


async def summaries(catalog: Catalog, experiment_keys: Sequence[int]) -> list[DatasetSummary]:
    """Return the newest datasets of experiments, at most 1,000, with each context in which they were read."""
    query = (
        sa.select(input_datasets, run_datasets.c.tags.label("use"))
        .join(run_datasets, run_datasets.c.dataset_key == input_datasets.c.key)
        .where(input_datasets.c.experiment_key.in_(experiment_keys))
        .order_by(input_datasets.c.key.desc(), run_datasets.c.run_key.desc())
    )
    found: dict[tuple[int, str], DatasetSummary] = {}
    async with catalog.read() as tx:
        async for row in await tx.stream(query):
            context = row.use.get(CONTEXT_TAG, "")
            if (row.key, context) not in found:
                if len(found) == _MOST_SUMMARIES:
                    break
                found[row.key, context] = DatasetSummary(
                    experiment_key=row.experiment_key, name=row.name, digest=row.digest, context=context
                )
    return list(found.values())
