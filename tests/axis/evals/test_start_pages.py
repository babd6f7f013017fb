"""Starting, stopping and going on with an evaluation from the console."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.axis.evaluating import SUITE, examples, store_subject, store_suite
from tests.served import serve

import gimbal.axis.evals.pages
import gimbal.axis.evals.work  # noqa: F401 - declares the job
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.service import Evaluations
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context, Services

SUBJECT = "answerer:help/answer@v1"
FORM = {"content-type": "application/x-www-form-urlencoded"}
"""Of a form without fields, as browsers send it."""
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
async def http(
    evaluations: Evaluations, services: Services, ctx: Context, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a browser's requests to a served project with a suite and a subject."""
    services.register(Jobs, Jobs(services.get(Catalog), SystemClock()))
    await store_suite(ctx, examples(12, clusters=4))
    await store_subject(ctx, 1)
    async with serve(services, tmp_path / "cache") as url, httpx.AsyncClient(base_url=f"{url}/p/default") as client:
        client.headers["origin"] = url
        yield client


async def test_a_plan_comes_before_the_start(http: httpx.AsyncClient, evaluations: Evaluations, ctx: Context) -> None:
    """The page starts nothing; its button does, with what was planned."""
    empty = await http.get("/evaluations/new")
    assert (empty.status_code, "Start</button>" in empty.text) == (200, False)
    assert SUITE in empty.text

    asked = {"suite": SUITE, "subject": SUBJECT, "repeats": "2", "concurrency": "", "max_cost": ""}
    planned = await http.get("/evaluations/new", params=asked)
    assert planned.status_code == 200
    assert "24, 2 of each example" in planned.text
    assert (await evaluations.runs.page(ctx)).items == []

    started = await http.post("/evaluations/new", data=asked)
    (run,) = (await evaluations.runs.page(ctx)).items
    assert (started.status_code, started.headers["location"]) == (303, f"/p/default/evaluations/{run.id}")
    assert (run.total, run.options.repeats, run.job_id is not None) == (24, 2, True)


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"suite": "suite:none"}, 404, "suite:none"),
        ({"subject": "prompt"}, 400, "prompt"),
        ({"repeats": "0"}, 400, "cannot be this"),
        ({"repeats": HOSTILE}, 400, "cannot be this"),
        ({"concurrency": "65"}, 400, "1 to 64"),
        ({"max_cost": "much"}, 400, "cannot be this"),
        ({"max_cost": "-1"}, 400, "amount from 0"),
        ({"suite": HOSTILE}, 400, "&lt;script&gt;"),
    ],
)
async def test_what_is_wrong_is_told_and_the_form_stays_filled(
    http: httpx.AsyncClient, evaluations: Evaluations, ctx: Context, wrong: dict[str, str], status: int, said: str
) -> None:
    """Whether it was planned or started; nothing is."""
    asked = {"suite": SUITE, "subject": SUBJECT} | wrong
    for answer in (await http.get("/evaluations/new", params=asked), await http.post("/evaluations/new", data=asked)):
        assert answer.status_code == status, answer.text
        assert said in answer.text
        assert SUBJECT in answer.text or "subject" in wrong
        assert "<script>alert" not in answer.text
    assert (await evaluations.runs.page(ctx)).items == []


async def test_a_run_is_stopped_and_gone_on_with(
    http: httpx.AsyncClient, evaluations: Evaluations, ctx: Context
) -> None:
    """By buttons of its page, which are there when they can do something."""
    unpriced = await http.post("/evaluations/new", data={"suite": SUITE, "subject": SUBJECT, "max_cost": "1"})
    assert "Give the model a price" in unpriced.text
    await http.post("/evaluations/new", data={"suite": SUITE, "subject": SUBJECT})
    (run,) = (await evaluations.runs.page(ctx)).items
    here = f"/evaluations/{run.id}"
    page = (await http.get(here)).text
    assert (f"{here}/cancel" in page, f"{here}/resume" in page) == (True, False)

    await http.post(f"{here}/cancel", headers=FORM)
    assert (await evaluations.runs.get(ctx, run.id)).status == "cancelled"
    page = (await http.get(here)).text
    assert (f"{here}/cancel" in page, f"{here}/resume" in page) == (False, True)

    refused = await http.post(f"{here}/resume", data={"max_cost": "lots"})
    assert refused.status_code == 303
    assert (await evaluations.runs.get(ctx, run.id)).status == "cancelled"
    await http.post(f"{here}/resume", headers=FORM)
    assert (await evaluations.runs.get(ctx, run.id)).status == "running"

    await evaluations.run(ctx, run.id)
    page = (await http.get(here)).text
    assert "/evaluations/new?suite=" in page
    late = await http.post(f"{here}/cancel", headers=FORM)
    assert late.status_code == 303
    assert (await evaluations.runs.get(ctx, run.id)).status == "done"


async def test_assets_of_all_kinds_that_can_be_called_are_offered(http: httpx.AsyncClient, ctx: Context) -> None:
    """With their aliases; nothing that cannot be called."""
    await ctx.get(Assets).move_alias(ctx, "answerer", "help/answer", "production", to="v1", reason="first")
    page = (await http.get("/evaluations/new")).text
    assert '<option value="answerer:help/answer@production">' in page
    assert '<option value="suite:' not in page.partition('id="evaluation-subjects"')[2].partition("</datalist>")[0]
