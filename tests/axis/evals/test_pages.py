"""The pages of evaluations, served by the real application; in a browser where there is one."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.axis.evaluating import SUITE, Answers, evaluate, store_subject, store_suite
from tests.browser import OpenPage, browser_page
from tests.served import serve

import gimbal.axis.evals.pages  # noqa: F401 - fills the table
from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import EvaluationRun, Example, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import TargetOutput
from gimbal.kernel.context import Context, Services
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import encode_cursor

__all__ = ["browser_page"]

HOSTILE = "<script>alert(1)</script> \"quoted\" {{ 7 * 7 }} & 'so' on"


async def _answer(version: Version, example: Example) -> TargetOutput:
    place = int(example.id[1:].partition("<")[0])
    if place == 7:
        return TargetOutput(error=f"the provider said {HOSTILE}")
    wrong = place % 9 == version.number
    return TargetOutput(
        text=f"wrong {HOSTILE}" if wrong else f"word{place}", sources=[f"page {HOSTILE}"], latency_ms=900
    )


class Site:
    """A served project with a suite of 53 examples and two runs on it."""

    def __init__(self, url: str, before: EvaluationRun, after: EvaluationRun, begun: EvaluationRun) -> None:
        self.url = f"{url}/p/default/evaluations"
        self.before, self.after, self.begun = before, after, begun
        self.paths = {
            "list": "",
            "detail": f"/{after.id}",
            "failing": f"/{after.id}?order=worst",
            "missing": f"/{after.id}?only=missing",
            "none": f"/{after.id}?only=below&scorer=source_hit",
            "begun": f"/{begun.id}",
            "compare": f"/compare?before={before.id}&after={after.id}",
            "same": f"/compare?before={after.id}&after={after.id}",
        }


@pytest.fixture
async def site(
    evaluations: Evaluations, answers: Answers, services: Services, ctx: Context, tmp_path: Path
) -> AsyncIterator[Site]:
    """Serve it."""
    answers.answer = _answer
    rows = [
        Example(
            id=f"q{i}" + ("<b>" if i == 1 else ""),
            input={"question": f"Question {i} {HOSTILE}"},
            expected={"answer": f"word{i}", "source": f"page {HOSTILE}"},
            cluster=f"page{i % 10}",
        )
        for i in range(53)
    ]
    await store_suite(ctx, rows, ["exact_match", "source_hit"])
    before, after = [await evaluate(ctx, await store_subject(ctx, n)) for n in (1, 2)]
    begun = await evaluations.start(ctx, StartEvaluation(suite=SUITE, subject="answerer:help/answer@v1"))
    async with serve(services, tmp_path / "cache") as url:
        yield Site(url, before, after, begun)


async def test_every_page_answers_and_escapes(site: Site) -> None:
    """What examples, answers and errors say is text, whatever it looks like."""
    words = {
        "list": ["answerer:help/answer@v2", "suite:help/questions@v1", "53"],
        "detail": ["exact_match", "in 10 clusters", "1 error", "worst 0.", "Question 0", "53 in all", "53 answers"],
        "failing": ["error", "the provider said", "wrong"],
        "missing": ["the provider said", "1 that fit"],
        "none": ["No answer fits"],
        "begun": ["No example is answered yet", "0 of 53"],
        "compare": ["paired by example", "What changed", "Question 1", "+1.00"],
        "same": ["No example changed"],
    }
    async with httpx.AsyncClient(base_url=site.url) as client:
        for name, path in site.paths.items():
            reply = await client.get(path)
            assert reply.status_code == 200, name
            assert [word for word in words[name] if word not in reply.text] == [], name
            assert "<script>alert" not in reply.text, name
            assert "q1<b>" not in reply.text, name
            assert ">49 " not in reply.text, name


def shown(text: str) -> list[str]:
    return re.findall(r"Question (\d+) ", text)


async def test_many_examples_come_in_pages(site: Site) -> None:
    """Twenty at a time, each once, in the order of the suite; the filter stays while paging."""
    async with httpx.AsyncClient(base_url=site.url) as client:
        seen: list[list[str]] = []
        path: str | None = site.paths["detail"]
        while path:
            text = (await client.get(path)).text
            seen.append(shown(text))
            following = re.search(r'rel="next" href="([^"]+)"', text)
            path = following[1].replace("&amp;", "&").partition("/evaluations")[2] if following else None
        below = (await client.get(f"/{site.after.id}?only=below&scorer=exact_match")).text

    assert [len(page) for page in seen] == [20, 20, 13]
    assert [number for page in seen for number in page] == [str(i) for i in range(53)]
    assert shown(below) == [str(i) for i in range(53) if i % 9 == 2 and i != 7]


async def test_failing_ones_can_come_first(site: Site) -> None:
    """First what has no value at all, then what scores lowest, then the rest as in the suite."""
    async with httpx.AsyncClient(base_url=site.url) as client:
        first = shown((await client.get(site.paths["failing"])).text)

    wrong = [str(i) for i in range(53) if i % 9 == 2]
    right = [str(i) for i in range(53) if i % 9 != 2 and i != 7]
    assert first == ["7", *wrong, *right][:20]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=" + encode_cursor({"example": "nobody"}), "cursor=" + encode_cursor({"example": 3}), "cursor=" + encode_cursor({"position": "x"})])  # fmt: skip
async def test_a_forged_cursor_is_told(site: Site, query: str) -> None:
    async with httpx.AsyncClient(base_url=site.url) as client:
        for path in (f"/{site.after.id}?{query}", f"{site.paths['compare']}&{query}"):
            reply = await client.get(path)
            assert reply.status_code == 400
            assert "not made by this list" in reply.text
        assert (await client.get(f"?{query}")).status_code in {200, 400}


async def test_what_is_not_there_is_told_as_a_page(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.url) as client:
        replies = {
            path: (await client.get(path)).status_code
            for path in (f"/{new_id()}", "/compare", f"/compare?before={site.after.id}&after={site.begun.id}")
        }

    assert list(replies.values()) == [404, 400, 409]


@pytest.mark.browser
async def test_pages_fit_their_window_and_nothing_complains(site: Site, browser_page: OpenPage) -> None:
    """At 1280 pixels in the light and 390 in the dark: no overflow, no error in the browser's console."""
    for name in ("list", "detail", "failing", "begun", "compare"):
        for width, theme in ((1280, "light"), (390, "dark")):
            opened = await browser_page(f"{site.url}{site.paths[name]}", width=width, theme=theme)
            assert opened.complaints == [], name
            assert await opened.overflow() == [], name
