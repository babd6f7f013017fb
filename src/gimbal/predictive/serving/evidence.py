"""Evidence for gates and baselines for monitors: a model version's probabilities on a labelled data set."""

import numpy as np
import pyarrow as pa

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.gates.evidence import SOURCES, Evidence, LabelledScores
from gimbal.axis.gates.model import Rule
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref
from gimbal.predictive.flavors.model import manifest_of
from gimbal.predictive.flavors.rows import example_rows
from gimbal.predictive.serving.pool import ModelPool
from gimbal.predictive.serving.tensors import scores_of

_BATCH = 20_000


async def labelled_scores(ctx: Context, version: Version, dataset: str, label: str | None = None) -> LabelledScores:
    """Return probability and label per labelled row; rows without a label are left out.

    `label` is the column that holds the truth; without one it is the only column that the model does not take.
    Raise BadInput when the data set does not fit the model.
    """
    manifest = manifest_of(version.manifest)
    if manifest.task != "classification" or len(manifest.classes) != 2:
        raise BadInput(f"{version.ref} does not score two classes.", where="candidate", todo="Use a binary classifier.")
    table = await ctx.get(Datasets).read(ctx, dataset)
    names = [spec.name for spec in manifest.signature.inputs]
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise BadInput(
            f"{dataset} lacks the columns {', '.join(missing)}.", where="source", todo="Use another data set."
        )
    label = label or _label(table, names)
    if label not in table.column_names:
        raise BadInput(
            f"{dataset} has no column {label!r}.", where="label", todo=f"It has {', '.join(table.column_names)}."
        )
    table = table.filter(pa.array(np.isfinite(table[label].cast(pa.float64()).to_numpy())))
    rows = table.select(names).cast(example_rows(manifest).schema)
    pool = ctx.get(ModelPool)
    scores: list[float | None] = []
    for start in range(0, rows.num_rows, _BATCH):
        scores += scores_of(await pool.infer(version, rows.slice(start, _BATCH)), manifest)
    return LabelledScores(
        labels=table[label].cast(pa.float64()).to_numpy() > 0.5,
        probabilities=np.array(scores, dtype=np.float64),
    )


def _label(table: pa.Table, inputs: list[str]) -> str:
    rest = [name for name in table.column_names if name not in inputs and _numeric(table.schema.field(name).type)]
    if len(rest) != 1:
        raise BadInput(
            f"Which column is the label? Besides the inputs there are: {', '.join(rest) or 'none'}.",
            where="source",
            todo="Keep exactly one numeric column besides the inputs.",
        )
    return rest[0]


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)


async def dataset_evidence(ctx: Context, rule: Rule, version: Version) -> tuple[str, Evidence]:
    """Collect what a gate's rule on a data set needs of one version."""
    dataset = await ctx.get(Assets).resolve(ctx, Ref.parse(rule.source, kind="dataset"))
    return str(dataset.ref), await labelled_scores(ctx, version, str(dataset.ref))


SOURCES.add("dataset", dataset_evidence)
