"""The `Target` of evaluations for models: one row in, a number or the probabilities of classes out."""

import time
from collections.abc import Sequence
from decimal import Decimal

import pyarrow as pa

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.kernel.context import Context
from gimbal.kernel.errors import DeadlineExceeded, GimbalError
from gimbal.predictive.flavors.model import ModelManifest, manifest_of
from gimbal.predictive.flavors.rows import example_rows
from gimbal.predictive.serving.pool import ModelPool


class ModelTarget:
    """Puts examples through versions of models, in the processes that serve them."""

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        """Tell that a prediction costs no money, and that the same model says the same of the same row."""
        return Foreseen(identity=version.digest, cost=Decimal(0), most=Decimal(0))

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Predict one row; `value` is a number, or an object of probabilities by class, whose likeliest is `text`."""
        begun = time.perf_counter()
        try:
            manifest = manifest_of(version.manifest)
            predictions = await ctx.get(ModelPool).infer(version, _rows(manifest, example))
        except GimbalError as problem:
            late = isinstance(problem, DeadlineExceeded)
            return TargetOutput(error=str(problem), failure="timed_out" if late else "error")
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as problem:
            return TargetOutput(error=f"The input does not fit the model's signature: {problem}"[:500])
        said = predictions["predict"][0].as_py()
        value = {name: predictions[f"probability.{name}"][0].as_py() for name in manifest.classes} or said
        return TargetOutput(
            text=str(said),
            value=value,
            cost=Decimal(0),
            latency_ms=(time.perf_counter() - begun) * 1000,
        )


def _rows(manifest: ModelManifest, example: Example) -> pa.Table:
    """Return the example's input as one row of the signature; what it does not name is missing."""
    return pa.Table.from_pylist([example.input], schema=example_rows(manifest).schema)


MODELS = ModelTarget()
