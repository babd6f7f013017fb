"""Endpoints under evaluation: what is tested is the version that one serves when the evaluation begins."""

import pytest
from tests.axis.endpoints.conftest import AddModel
from tests.axis.evaluating import answers, evaluations, examples, store_suite

from gimbal.axis.assets.service import Assets
from gimbal.axis.endpoints.model import SetEndpoint, Target
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.endpoints.subject import served
from gimbal.axis.evals.model import StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import NAMED, TARGETS
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.predictive.serving.target import MODELS

__all__ = ["answers", "evaluations"]

NAMED.add("endpoint", served)
TARGETS.add("model", MODELS)


async def set_to(ctx: Context, ref: str) -> None:
    await ctx.get(Endpoints).set(ctx, SetEndpoint(slug="delay", targets=[Target(ref=ref)]))


async def test_an_evaluation_of_an_endpoint_is_one_of_the_version_that_it_serves(
    evaluations: Evaluations, endpoints: Endpoints, ctx: Context, add_model: AddModel
) -> None:
    """Named by the suite or by the caller; moved later, the evidence stays with what was tested."""
    await add_model("a", "1")
    await add_model("a", "2")
    await store_suite(ctx, examples(2), task="endpoint:delay")
    await ctx.get(Assets).move_alias(ctx, "model", "a", "production", "v1")
    await set_to(ctx, "model:a@production")
    by_task = await evaluations.start(ctx, StartEvaluation(suite="suite:help/questions"))
    await ctx.get(Assets).move_alias(ctx, "model", "a", "production", "v2")
    planned = await evaluations.plan(
        ctx, StartEvaluation(suite="suite:help/questions", subject="endpoint:delay", concurrency=1)
    )

    assert (str(by_task.subject), str(planned.subject)) == ("model:a@v1", "model:a@v2")
    kept = await evaluations.runs.get(ctx, by_task.id)
    assert (str(kept.subject), kept.asked, planned.asked) == ("model:a@v1", "endpoint:delay", "endpoint:delay")


@pytest.mark.parametrize(
    ("subject", "error", "says"),
    [
        ("endpoint:nobody", NotFound, "There is no endpoint 'nobody'"),
        ("endpoint:delay", NotFound, "serves nothing now: model:a@production means no version"),
        ("endpoint:delay@v1", BadInput, "an endpoint has none of its own"),
        ("endpoint:", BadInput, "is not a name"),
        ("planet:mars", NotFound, "no 'planet' among the targets.*endpoint.*model"),
    ],
)
async def test_an_endpoint_that_serves_nothing_is_told(
    evaluations: Evaluations,
    endpoints: Endpoints,
    ctx: Context,
    add_model: AddModel,
    subject: str,
    error: type[Exception],
    says: str,
) -> None:
    await add_model("a")
    await store_suite(ctx, examples(1))
    await ctx.get(Assets).move_alias(ctx, "model", "a", "production", "v1")
    await set_to(ctx, "model:a@production")
    await ctx.get(Assets).move_alias(ctx, "model", "a", "production", None)
    with pytest.raises(error, match=says):
        await evaluations.start(ctx, StartEvaluation(suite="suite:help/questions", subject=subject))
