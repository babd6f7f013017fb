"""By which name a version was asked: kept with its evaluation, whatever the name means later."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.axis.evals.test_recording import recorder, registered
from tests.axis.evaluating import SUBJECT, SUITE, examples, store_subject, store_suite
from tests.served import serve

import gimbal.axis.evals.pages
import gimbal.axis.evals.start_pages  # noqa: F401 - registers pages
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.answers import OpenEvaluation
from gimbal.axis.evals.model import EvaluationRun, StartEvaluation
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput

__all__ = ["recorder"]
ALIAS = f"{SUBJECT}@production"


async def two_versions(ctx: Context) -> None:
    """Store a suite and two versions, the first of which is in production."""
    await store_suite(ctx, examples(1))
    await store_subject(ctx, 1)
    await store_subject(ctx, 2)
    await ctx.get(Assets).move_alias(ctx, "answerer", "help/answer", "production", "v1")


async def start(ctx: Context, subject: str, **more: Any) -> EvaluationRun:
    return await ctx.get(Evaluations).start(ctx, StartEvaluation(suite=SUITE, subject=subject, **more))


async def test_an_alias_that_was_asked_stays_with_the_run(evaluations: Evaluations, ctx: Context) -> None:
    """It stands on another version the next day; the run says what was asked and what answered."""
    await two_versions(ctx)
    planned = await evaluations.plan(ctx, StartEvaluation(suite=SUITE, subject=ALIAS))
    run = await start(ctx, ALIAS)
    await ctx.get(Assets).move_alias(ctx, "answerer", "help/answer", "production", "v2")
    done = await evaluations.run(ctx, run.id)

    assert (str(planned.subject), planned.asked) == (f"{SUBJECT}@v1", ALIAS)
    assert (str(done.subject), done.asked) == (f"{SUBJECT}@v1", ALIAS)


@pytest.mark.parametrize("named", [f"{SUBJECT}@v2", SUBJECT, f"{SUBJECT}@latest"])
async def test_what_is_named_itself_was_asked_by_no_other_name(
    evaluations: Evaluations, ctx: Context, named: str
) -> None:
    await two_versions(ctx)
    run = await start(ctx, named)

    assert (str(run.subject), run.asked) == (f"{SUBJECT}@v2", "")


async def test_whoever_has_looked_the_version_up_says_by_which_name(evaluations: Evaluations, ctx: Context) -> None:
    """Between a plan and the start that somebody agreed to an alias may move: the version is that of the plan."""
    await two_versions(ctx)
    run = await start(ctx, f"{SUBJECT}@v2", asked=ALIAS)

    assert (str(run.subject), run.asked) == (f"{SUBJECT}@v2", ALIAS)
    with pytest.raises(BadInput):
        await start(ctx, f"{SUBJECT}@v2", asked="<script>")


async def test_answers_from_outside_are_of_what_was_asked_as_well(recorder: AnswerRecorder, ctx: Context) -> None:
    await store_suite(ctx, examples(1))
    version = await registered(ctx)
    await ctx.get(Assets).move_alias(ctx, "function", "help/mine", "nightly", "v1")
    by_alias = await recorder.open(
        ctx, OpenEvaluation(suite=SUITE, subject="function:help/mine@nightly", client="a test")
    )
    by_version = await recorder.open(ctx, OpenEvaluation(suite=SUITE, subject=version, client="a test"))

    assert [by_alias.asked, by_version.asked] == ["function:help/mine@nightly", ""]
    assert by_alias.subject == by_version.subject


async def test_the_pages_say_what_was_asked(
    evaluations: Evaluations, services: Services, ctx: Context, tmp_path: Path
) -> None:
    """Only where it was another name than that of the version."""
    await two_versions(ctx)
    by_alias, by_version = await start(ctx, ALIAS), await start(ctx, f"{SUBJECT}@v2")
    async with serve(services, tmp_path / "cache") as url, httpx.AsyncClient(base_url=f"{url}/p/default") as client:
        listed = (await client.get("/evaluations")).text
        shown = (await client.get(f"/evaluations/{by_alias.id}")).text
        other = (await client.get(f"/evaluations/{by_version.id}")).text
        planned = (await client.get("/evaluations/new", params={"suite": SUITE, "subject": ALIAS})).text

    said = f"asked as {ALIAS}"
    assert [listed.count(said), shown.count(said), planned.count(said)] == [1, 1, 1]
    assert "asked as" not in other
