"""The pages of gates and decisions, served by the real application; in a browser where there is one."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.axis.evaluating import (
    SUBJECT,
    SUITE,
    Answers,
    evaluate,
    examples,
    store_subject,
    store_suite,
)
from tests.browser import OpenPage, at_both_widths, browser_page
from tests.served import serve
from tests.sqlite import catalog_address

import gimbal.axis.gates.pages  # noqa: F401 - fills the table
from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.gates.model import Promote, Rule, SetGate
from gimbal.axis.gates.service import Gates
from gimbal.kernel.context import Context, Services
from gimbal.kernel.ids import new_id

__all__ = ["browser_page", "catalog_address"]

HOSTILE = "<script>alert(1)</script> {{ 7 * 7 }} & 'so' on"


async def _answer(version: Version, example: Example) -> TargetOutput:
    if version.number == 3 and example.id == "q1":
        return TargetOutput(error="timeout")
    wrong = version.number == 1 and int(example.id[1:]) % 2
    return TargetOutput(text="no idea" if wrong else example.expected["answer"])


class Site:
    """A served project with a gate and its decisions: the first version, a better one, one with a gap, an equal one."""

    def __init__(self, url: str, decisions: dict[str, str]) -> None:
        self.url = f"{url}/p/default/gates"
        self.paths = {"list": ""} | {name: f"/decisions/{id_}" for name, id_ in decisions.items()}


@pytest.fixture
async def empty(gates: Gates, services: Services, tmp_path: Path) -> AsyncIterator[str]:
    """Serve a project without gates."""
    async with serve(services, tmp_path / "cache") as url:
        yield f"{url}/p/default/gates"


@pytest.fixture
async def site(gates: Gates, answers: Answers, services: Services, ctx: Context, tmp_path: Path) -> AsyncIterator[Site]:
    """Serve it."""
    answers.answer = _answer
    await store_suite(ctx, examples(60, clusters=30))
    rules = [
        Rule(evidence="evaluation", source=SUITE, metric="exact_match", threshold=0.2),
        Rule(evidence="evaluation", source=SUITE, metric="exact_match", against="incumbent", threshold=0.2),
    ]
    await gates.set(ctx, SetGate(pattern=f"{SUBJECT}@production", rules=rules))
    made: dict[str, str] = {}
    for number, name in ((1, "first"), (2, "better"), (3, "gap"), (4, "equal")):
        await evaluate(ctx, await store_subject(ctx, number))
        body = Promote(candidate=f"{SUBJECT}@v{number}", alias="production", reason=HOSTILE)
        made[name] = (await gates.promote(ctx, body)).id
    async with serve(services, tmp_path / "cache") as url:
        yield Site(url, made)


async def test_every_page_answers_and_escapes(site: Site) -> None:
    """Why, in words and in every number; the reason that somebody gave is text."""
    words = {
        "list": [f"{SUBJECT}@production", "at least 0.2", "better than the incumbent", "promoted", "refused"],
        "first": ["Promoted", "All rules hold", "none", "at least 0.2, over its whole 95 % interval"],
        "better": ["Promoted", "difference 0.5000", "on 60 pairs", f"{SUBJECT}@v1", "Detectable with 80 % power"],
        "gap": ["Refused: the alias stays where it stood", "incomplete", "1 error", "2 of 2 rules failed"],
        "equal": ["Refused", "underpowered", "1 of 2 rules failed", f"{SUBJECT}@v4"],
    }
    async with httpx.AsyncClient(base_url=site.url) as client:
        for name, path in site.paths.items():
            reply = await client.get(path)
            assert reply.status_code == 200, name
            assert [word for word in words[name] if word not in reply.text] == [], name
            assert "<script>alert" not in reply.text, name
            assert " 49 &amp;" not in reply.text, name
            assert name == "list" or "&lt;script&gt;alert(1)" in reply.text, name


async def test_a_project_without_gates_says_what_to_do(empty: str) -> None:
    async with httpx.AsyncClient() as client:
        reply = await client.get(empty)

    assert reply.status_code == 200
    assert "No gates yet" in reply.text
    assert "gimbal gates set" in reply.text


async def test_what_is_not_there_is_told_as_a_page(empty: str) -> None:
    async with httpx.AsyncClient() as client:
        replies = [await client.get(f"{empty}{path}") for path in (f"/decisions/{new_id()}", "?cursor=x")]

    assert [reply.status_code for reply in replies] == [404, 400]
    assert "not made by this list" in replies[1].text


@pytest.mark.browser
async def test_pages_fit_their_window_and_nothing_complains(site: Site, browser_page: OpenPage) -> None:
    """At 1280 pixels in the light and 390 in the dark: no overflow, no error in the browser's console."""

    async def look(width: int, theme: str) -> None:
        tab = None
        for name in ("list", "first", "better", "gap"):
            tab = await browser_page(f"{site.url}{site.paths[name]}", width=width, theme=theme, tab=tab)
            assert tab.complaints == [], name
            assert await tab.overflow() == [], name

    await at_both_widths(look)
