"""The newest evaluation of each version and suite stands beside that of the version before it."""

from pathlib import Path

import httpx
import pytest
from tests.served import serve

import gimbal.generative.prompts.pages  # noqa: F401 - importing it fills the table
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import CreateSuite, EvaluationRun, Example, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.target import TARGETS
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.generative.gateway.target import PROMPTS
from gimbal.generative.prompts.evaluated import results_of
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context, Services

TEXT = '+++\nmodel = "up/tiny"\n+++\n## user\n{{question}}\n'


@pytest.fixture
async def evaluations(gateway: Services, ctx: Context) -> Evaluations:
    """Give evaluations, a suite of four examples, and three versions of a prompt and one of another."""
    if "prompt" not in TARGETS:
        TARGETS.add("prompt", PROMPTS)
    assets = gateway.get(Assets)
    suites = Suites(assets, gateway.get(Blobs))
    gateway.register(Suites, suites)
    found = Evaluations(gateway.get(Catalog), gateway.get(Columns), gateway.get(Writer), assets, suites)
    gateway.register(Evaluations, found)
    rows = [Example(id=f"q{n}", input={"question": f"{n}?"}, expected={"answer": "x"}) for n in range(4)]
    await suites.create(ctx, CreateSuite(name="help/asked", examples=rows, scorers=["token_f1"]))
    for number in range(3):
        await sync_files(ctx, [PromptFile(path="help/answer.md", text=f"{TEXT}{number}\n")])
    await sync_files(ctx, [PromptFile(path="help/answers.md", text=TEXT)])
    return found


async def run(ctx: Context, subject: str) -> EvaluationRun:
    """Put a version through the suite, here and now."""
    evaluations = ctx.get(Evaluations)
    begun = await evaluations.start(ctx, StartEvaluation(suite="suite:help/asked", subject=subject, cache=False))
    return await evaluations.run(ctx, begun.id)


async def test_each_version_has_its_newest_run_and_the_one_before_it(evaluations: Evaluations, ctx: Context) -> None:
    first = await run(ctx, "prompt:help/answer@v1")
    await run(ctx, "prompt:help/answer@v3")
    newest = await run(ctx, "prompt:help/answer@v3")
    await run(ctx, "prompt:help/answers@v1")
    await evaluations.start(ctx, StartEvaluation(suite="suite:help/asked", subject="prompt:help/answer@v3"))

    found = await results_of(ctx, "help/answer")

    assert [(row.run.subject.number, row.run.id, row.runs) for row in found.rows] == [
        (3, newest.id, 3),
        (1, first.id, 1),
    ]
    assert found.rows[0].before is not None
    assert found.rows[0].before.id == first.id
    assert found.rows[0].comparison is not None
    assert found.rows[0].comparison.scorers[0].paired == 4
    assert (found.rows[1].before, found.more) == (None, False)


async def test_the_page_shows_marks_and_leads_to_the_reports(
    evaluations: Evaluations, gateway: Services, ctx: Context, tmp_path: Path
) -> None:
    one, three = await run(ctx, "prompt:help/answer@v1"), await run(ctx, "prompt:help/answer@v3")
    async with serve(gateway, tmp_path / "cache") as url, httpx.AsyncClient(base_url=url) as http:
        shown = (await http.get("/p/default/prompts/prompt:help%2Fanswer")).text

    assert f"/evaluations/{three.id}" in shown
    assert f"/evaluations/compare?before={one.id}&amp;after={three.id}" in shown
    assert "Compare with v1" in shown
    assert "token_f1" in shown
    assert evaluations
