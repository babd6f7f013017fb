"""What scorers ask a served model: how likely texts belong to a class. Implements `Classify` of the scores."""

from collections.abc import Sequence

import pyarrow as pa

from gimbal.axis.assets.service import Assets
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.refs import Ref
from gimbal.predictive.flavors.model import ModelManifest, manifest_of
from gimbal.predictive.serving.pool import ModelPool


async def classified(ctx: Context, classifier: str, label: str, texts: Sequence[str]) -> list[float]:
    """Return the probability of a class per text; without a label of the positive class, the last of two.

    Raise NotFound, BadInput for a model that is no classifier of one text or has no such class, and what `infer` raises.
    """
    version = await ctx.get(Assets).resolve(ctx, Ref.parse(classifier, kind="model"))
    manifest = manifest_of(version.manifest)
    column, chosen = _column(manifest, classifier), _class(manifest, classifier, label)
    predictions = await ctx.get(ModelPool).infer(version, pa.table({column: pa.array(list(texts), pa.string())}))
    return [float(value.as_py()) for value in predictions[f"probability.{chosen}"]]


def _column(manifest: ModelManifest, classifier: str) -> str:
    inputs = manifest.signature.inputs
    if len(inputs) != 1 or inputs[0].datatype != "BYTES":
        named = ", ".join(f"{one.name} ({one.datatype})" for one in inputs)
        raise BadInput(
            f"{classifier} takes {named}, not one text.",
            where="classifier",
            todo="Name a model with one column of text.",
        )
    return inputs[0].name


def _class(manifest: ModelManifest, classifier: str, label: str) -> str:
    classes = manifest.classes
    chosen = label or (classes[-1] if len(classes) == 2 else "")
    if chosen not in classes:
        what = f"has no class {label!r}" if label else "does not tell two classes"
        raise BadInput(
            f"{classifier} {what}; its classes: {', '.join(classes) or 'none'}.",
            where="label",
            todo="Name one of them.",
        )
    return chosen
