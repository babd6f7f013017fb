"""The pages of runs in Chromium: charts that are drawn when seen, choices that stay in the address, files that never run."""

import asyncio
import io
import json
import math
import os
import struct
import sys
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page
from tests.browser import Opened
from tests.pages import looks
from tests.pages.conftest import OpenIn
from tests.pages.filled import IMAGE, SCRIPT, Places

import gimbal

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
PROJECT = "charts"
DRAWN = "document.querySelectorAll('[data-run-chart][data-drawn] canvas').length"


def png(width: int, height: int) -> bytes:
    """Make a red picture."""
    rows = b"".join(b"\0" + b"\xd0\x20\x20" * width for _ in range(height))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    made = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def sound() -> bytes:
    raw = io.BytesIO()
    with wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", int(8000 * math.sin(n / 9))) for n in range(2000)))
    return raw.getvalue()


def fill(url: str) -> list[str]:
    """Make twelve runs of two models, hostile words among what they logged; the last of them is running."""
    ids: list[str] = []
    with gimbal.Client(url=url) as client:
        client.projects.create(slug=PROJECT, title="Charts")
    with gimbal.Client(url=url, project=PROJECT) as client:
        for n in range(12):
            run = client.runs.create(
                name=f"train {n}" if n else f"train {SCRIPT}",
                experiment="delays",
                params={"lr": 10 ** -(1 + n % 4), "model": ["mlp", IMAGE][n % 2], "depth": n, "seed": n % 3, "same": 1},
                tags={"git.commit": f"{n:040x}"},
                parent_id=ids[0] if n == 11 else None,
            )
            points = [
                {"name": name, "value": f(step), "step": step}
                for step in range(40)
                for name, f in (
                    ("val/loss", lambda s, n=n: 2.0 * 0.9**s + n / 50),
                    ("train/loss", lambda s, n=n: 2.0 * 0.88**s + n / 60),
                    (f"odd {IMAGE}", lambda s: s % 7),
                    ("system/cpu", lambda s: 40 + s % 9),
                )
            ]
            client.runs.log(run.id, metrics=points)
            if n < 11:
                client.runs.finish(run.id)
            ids.append(run.id)
        files: dict[str, bytes] = {
            "plots/red.png": png(60, 40),
            "page.html": f"<html><script>window.pwned=1</script>{IMAGE}".encode(),
            "liar.png": b"<svg onload='window.pwned=1'>",
            "sound.wav": sound(),
            "rows.csv": f'n,words\n1,"{SCRIPT}"\n'.encode(),
            "config.json": json.dumps({"a": [1, SCRIPT]}).encode(),
        }
        for path, content in files.items():
            client.runs.artifact_put(ids[0], path, content)
        for one, words in zip(ids[:2], ("warmup = 1\n", "warmup = 2\n"), strict=True):
            client.runs.artifact_put(one, "code.diff", words.encode())
    return ids


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ids(places: Places) -> list[str]:
    """Give the ids of runs with charts, in a project of their own."""
    return await asyncio.to_thread(fill, places.url)


@pytest.fixture
def at(places: Places, ids: list[str]) -> Callable[[str], str]:
    """Give the address of a page of these runs; `{0}` is the first one's id, `{all}` a query of them all."""

    def address(path: str) -> str:
        every = "&".join(f"runs={one}" for one in ids)
        return f"{places.url}/p/{PROJECT}" + path.replace("{all}", every).replace("{0}", ids[0]).replace("{1}", ids[1])

    return address


async def until(page: Page, question: str, wanted: Any = True) -> None:
    """Ask the page until it answers so."""
    async with asyncio.timeout(20):
        while (found := await page.evaluate(question)) != wanted and not (wanted is True and found):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


PAGES = {
    "table": "/runs?columns=metrics.val%2Floss&columns=params.model&filter=metrics.%60val%2Floss%60%20%3C%200.2&sort=-params.depth",
    "grouped": "/runs?group=params.model&open=mlp&pin={0}",
    "run": "/runs/{0}",
    "system": "/runs/{0}?tab=system",
    "image": "/runs/{0}?tab=files&file=plots%2Fred.png",
    "table-file": "/runs/{0}?tab=files&file=rows.csv",
    "page-file": "/runs/{0}?tab=files&file=page.html",
    "sound": "/runs/{0}?tab=files&file=sound.wav",
    "charts": "/runs/compare?{all}&smooth=0.8",
    "bands": "/runs/compare?{all}&band=params.seed&log=y&x=relative",
    "parallel": "/runs/compare?{all}&tab=parallel",
    "scatter": "/runs/compare?{all}&tab=scatter",
    "contour": "/runs/compare?{all}&tab=contour&across=params.depth&up=params.lr",
    "params": "/runs/compare?{all}&tab=params",
    "code": "/runs/compare?runs={0}&runs={1}&tab=code",
    "nothing": "/runs/compare",
    "filtered": "/runs/compare?filter=metrics.%60val%2Floss%60%20%3C%200.2&experiment=delays",
    "filtered-more": "/runs/compare?experiment=delays&most=5&sort=-params.depth",
    "filter-wrong": "/runs/compare?filter=metrics.loss%20is%20low",
}


NARROW = (
    "table",
    "grouped",
    "run",
    "image",
    "bands",
    "parallel",
    "params",
    "code",
    "nothing",
    "filtered",
    "filtered-more",
    "filter-wrong",
)


@pytest.mark.parametrize(
    ("name", "width", "theme"),
    [*((name, 1280, "light") for name in PAGES), *((name, 390, "dark") for name in NARROW)],
)
async def test_a_page_of_runs_can_be_shipped(
    at: Callable[[str], str],
    desktop: BrowserContext,
    phone: BrowserContext,
    opened: OpenIn,
    name: str,
    width: int,
    theme: Literal["light", "dark"],
) -> None:
    """It fits, can be read, draws its charts, names its parts, complains of nothing, and runs nothing of strangers."""
    found: Opened = await opened(desktop if width == 1280 else phone, at(PAGES[name]))
    page = found.page
    await page.emulate_media(color_scheme=theme)
    assert found.status == 200
    if await page.locator("[data-run-chart]:visible").count():
        await until(page, f"{DRAWN} > 0")
    assert await page.locator("[data-chart-problem]:visible").all_inner_texts() == []
    assert found.complaints == []
    assert await found.overflow() == []
    assert await page.evaluate(looks.FAINT) == []
    assert await page.evaluate(looks.NAMELESS) == []
    assert await page.evaluate("window.pwned ?? 0") == 0


async def test_charts_are_asked_for_when_they_are_seen(
    at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn
) -> None:
    """Folded ones are not asked for; opened, they are."""
    found = await opened(desktop, "about:blank")
    asked: list[str] = []
    found.page.on("request", lambda r: asked.append(r.post_data or "") if r.url.endswith("/runs/chart") else None)
    await found.page.goto(at("/runs/compare?{all}"))
    await until(found.page, DRAWN, 3)
    assert not any("system/cpu" in body for body in asked)

    await found.page.get_by_text("The machine").click()
    await until(found.page, DRAWN, 4)
    assert sum("system/cpu" in body for body in asked) == 1
    assert json.loads(asked[0])["named"] is False


async def test_how_it_is_drawn_stays_in_the_address(
    at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn
) -> None:
    """Each choice is a part of the address, and the address alone brings it back; the runs stay in it."""
    page = (await opened(desktop, at("/runs/compare?{all}"))).page
    await page.get_by_label("Smoothing").select_option("0.9")
    await page.wait_for_url("**smooth=0.9**")
    await page.get_by_label("Band over").select_option("params.seed")
    await page.wait_for_url("**band=params.seed**")

    assert "smooth=0.9" in page.url
    assert page.url.count("runs=") == 12
    again = (await opened(desktop, page.url)).page
    assert await again.get_by_label("Smoothing").input_value() == "0.9"
    assert await again.get_by_label("Band over").input_value() == "params.seed"


async def test_runs_are_chosen_by_a_filter_that_stays_in_the_address(
    at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn
) -> None:
    """As many as fit, how many is said, and so is where it ends; the table leads there, and one can be left out."""
    page = (await opened(desktop, at("/runs/compare"))).page
    await page.get_by_label("Filter").fill("params.depth IN_WRONG")
    await page.get_by_label("Filter").press("Enter")
    await page.get_by_text("The filter cannot be understood").wait_for()
    await page.get_by_label("Filter").fill("metrics.`val/loss` < 0.2")
    await page.get_by_label("Filter").press("Enter")
    lead = page.get_by_text("runs beside each other.")
    await lead.wait_for()
    several = int((await lead.inner_text()).split()[0])
    assert 1 < several < 12
    assert "filter=" in page.url
    assert "runs=" not in page.url
    await page.get_by_role("link", name="Parameters").click()
    await page.wait_for_url("**tab=params**")
    assert "filter=" in page.url

    first = (await opened(desktop, at("/runs/compare?experiment=delays&most=5"))).page
    await first.get_by_text("The first 5 runs that fit, beside each other; there are more.").wait_for()
    assert await first.locator(".run-chips li").count() == 5
    assert await first.get_by_label("At most").input_value() == "5"
    await first.locator(".run-chip-away").first.click()
    await first.get_by_text("4 runs beside each other.").wait_for()

    table = (await opened(desktop, at("/runs?experiment=delays&filter=params.depth%20%3D%20'3'%20"))).page
    assert await table.get_by_role("link", name="Compare all that fit").count() == 0, "it is one run"
    table = (await opened(desktop, at("/runs?experiment=delays&sort=-params.depth"))).page
    await table.get_by_role("link", name="Compare all that fit").click()
    await table.get_by_text("12 runs beside each other.").wait_for()


@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("Vega-Lite", b"{")])
async def test_a_chart_is_saved_from_the_page(
    at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn, kind: str, start: bytes, tmp_path: Path
) -> None:
    """As a file with the names of the runs in it, although the page shows them beside the chart."""
    found = await opened(desktop, at("/runs/compare?runs={0}&runs={1}&metric=val"))
    page = found.page
    await until(page, DRAWN, 1)
    await page.locator(".chart-menu > summary").first.click()
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name=kind).first.click()
    download = await waiting.value
    await download.save_as(tmp_path / "chart")
    content = (tmp_path / "chart").read_bytes()

    assert content.startswith(start)
    assert download.suggested_filename.startswith("val-loss.")
    if kind != "PNG":
        assert b"train 1" in content
    assert found.complaints == []


async def test_what_is_chosen_is_compared(at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn) -> None:
    """Two marks and a button lead to both of them; without marks there is nothing to press."""
    page = (await opened(desktop, at("/runs"))).page
    button = page.locator("[data-run-compare]")
    assert await button.is_disabled()
    await page.get_by_label("Choose train 3 ").check()
    await page.get_by_label("Choose train 2 ").check()
    assert await button.inner_text() == "Compare 2 chosen"
    await button.click()
    await page.wait_for_url("**/runs/compare?**")

    assert page.url.count("runs=") == 2
    assert await page.locator(".run-chips li").count() == 2


async def test_columns_and_pins_are_chosen(at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn) -> None:
    """The table shows the columns of the address; a pinned run stands first, whatever is newer."""
    page = (await opened(desktop, at("/runs?columns=params.seed&columns=metrics.val%2Floss&pin={0}"))).page
    heads = [text.replace("\n", ".") for text in await page.locator("thead th").all_inner_texts()]

    assert heads == ["Run", "Status", "params.seed", "metrics.val/loss", "Started", "Took"]
    assert SCRIPT in await page.locator("tbody tr").first.inner_text()
    assert await page.locator("tbody tr").count() == 12


async def test_a_filter_and_an_order_find_runs(
    at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn
) -> None:
    """The grammar of search works in the table, heads order it, and a filter that cannot be read says where."""
    wanted = "params.depth = '3' AND metrics.`val/loss` > 0"
    found = await opened(desktop, at("/runs"))
    page = found.page
    await page.get_by_label("Filter", exact=True).fill(wanted)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**filter=**")
    assert await page.locator("tbody tr .run-words a").all_inner_texts() == ["train 3"]

    page = (await opened(desktop, at("/runs?columns=metrics.val%2Floss"))).page
    await page.get_by_role("link", name="val/loss").click()
    await page.wait_for_url("**sort=**")
    assert (await page.locator("tbody tr .run-words a").all_inner_texts())[:2] == ["train 11", "train 10"]

    found = await opened(desktop, at("/runs?filter=metrics.auc%20%3E%3E%201"))
    assert found.status == 200
    assert await found.page.locator(".notice-bad").count() == 1


async def test_an_image_and_a_sound_are_shown_as_what_they_are(
    at: Callable[[str], str], desktop: BrowserContext, opened: OpenIn
) -> None:
    """The picture has its size, the sound its length, and what is only called a picture is text."""
    page = (await opened(desktop, at(PAGES["image"]))).page
    await until(page, "document.querySelector('.run-image').naturalWidth", 60)
    page = (await opened(desktop, at(PAGES["sound"]))).page
    await until(page, "document.querySelector('audio').duration > 0.2")
    page = (await opened(desktop, at("/runs/{0}?tab=files&file=liar.png"))).page
    assert "<svg onload=" in await page.locator(".run-file .code").inner_text()


async def test_the_command_line_draws_in_its_own_process(places: Places, ids: list[str], tmp_path: Path) -> None:
    """`gimbal runs plot` writes a picture of the runs that it is given, and names what it cannot write."""
    gimbal_cli = [sys.executable, "-m", "gimbal.faces.cli.main", "runs", "plot", "--project", PROJECT]

    async def run(*words: str) -> tuple[int, str]:
        environment = os.environ | {"GIMBAL_URL": places.url}
        done = await asyncio.create_subprocess_exec(
            *gimbal_cli, *words, env=environment, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
        )
        _, said = await done.communicate()
        return done.returncode or 0, said.decode()

    assert (await run(*ids[:2], "--metric", "val/loss", "--smooth", "0.5", "--out", "loss.svg"))[0] == 0
    assert "train 1" in (tmp_path / "loss.svg").read_text()
    code, said = await run("--metric", "val/loss", "--out", "loss.gif")
    assert code == 1
    assert "no kind of picture" in said
