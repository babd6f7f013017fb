"""The retention page and its forms: what a person sees, counts, confirms and gets."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.axis.retention.stored import canary, chat, count, erase
from tests.served import serve

import gimbal.axis.retention.pages  # noqa: F401 - declares the pages
from gimbal.axis.projects.service import Projects
from gimbal.axis.retention.service import Retaining
from gimbal.kernel.context import Context
from gimbal.kernel.operations import ProjectGuard


@pytest.fixture
async def site(here: Context, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the console, below the project of the test."""
    here.services.register(ProjectGuard, here.get(Projects))
    async with (
        serve(here.services, tmp_path / "cache") as url,
        httpx.AsyncClient(base_url=f"{url}/p/{here.project}", timeout=30, headers={"origin": url}) as client,
    ):
        yield client


async def test_the_page_shows_classes_erasures_and_proofs(here: Context, site: httpx.AsyncClient) -> None:
    await chat(here, canary(), user="ann")
    proof = await erase(here, "ann")
    page = await site.get("/retention")
    assert page.status_code == 200
    assert "Cost changes" in page.text
    assert f"/retention/proofs/{proof.id}" in page.text
    shown = await site.get(f"/retention/proofs/{proof.id}", params={"check": 1})
    assert shown.status_code == 200
    assert proof.hash[:16] in shown.text
    # Parts that are still to leave the disk are no failure; a row that is back is.
    assert "It does not hold" not in shown.text
    await chat(here, canary(), user="ann")
    again = await site.get(f"/retention/proofs/{proof.id}", params={"check": 1})
    assert "It does not hold" in again.text


async def test_an_erasure_is_counted_then_confirmed_by_typing_the_id(here: Context, site: httpx.AsyncClient) -> None:
    await chat(here, canary(), user="ann <b>")
    form = {"user": "ann <b>", "reason": "a request", "keep_costs": "true"}
    counted = await site.post("/retention/erase", data=form)
    assert counted.status_code == 200
    assert "Traces, whole" in counted.text
    assert 'value="ann &lt;b&gt;"' in counted.text
    wrong = await site.post("/retention/erase", data=form | {"again": "ann"})
    assert wrong.status_code == 303
    assert not (await here.get(Retaining).erasures(here)).items
    assert await count(here, "spans") == 2
    right = await site.post("/retention/erase", data=form | {"again": "ann <b>"})
    assert right.status_code == 303
    assert "ann" not in right.headers["location"] + right.headers.get("set-cookie", "")
    assert [one.status for one in (await here.get(Retaining).erasures(here)).items] == ["queued"]


async def test_terms_and_hold_are_set_on_the_page(here: Context, site: httpx.AsyncClient) -> None:
    form = {"days-content": "30", "days-traces": "", "hold": "true", "hold_reason": "case 12"}
    assert (await site.post("/retention/terms", data=form)).status_code == 303
    page = (await site.get("/retention")).text
    assert "A legal hold is on" in page
    assert re.search(r'name="days-content"[^>]*value="30"', page)
    refused = await site.post("/retention/terms", data={"days-content": "soon"})
    assert refused.status_code == 303
    state = await here.get(Retaining).get(here)
    assert {one.name: one.keep_days for one in state.classes}["content"] == 30
