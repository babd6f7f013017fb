"""The page of a trace of 20,000 spans in Chromium: usable within a second, and little of it held.

Against it stands what the browser can do at all: the same rows that are in sight as a page of their own, with the same styles.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator

import httpx
from playwright.async_api import Browser, async_playwright
from tests.browser import ARGUMENTS, chromium

from bench.bar import Figure, gimbal_up
from bench.columns import server_columns
from gimbal.axis.pricing.model import Usage
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows

SPANS, TRACE, RUNS = 20_000, f"{7:032x}", 7
_MOST_NODES, _MOST_HEAP_MB = 4_000, 64
# The rows in sight, chosen or not, without the rest of the page: what any page that shows them has to do.
_ALONE = """() => "<!doctype html><html><head>" + [...document.querySelectorAll("link[rel=stylesheet]")].map((e) => e.outerHTML).join("")
  + "</head><body>" + document.querySelector("[data-tv]").outerHTML + "</body></html>" """
_USABLE = """() => {
  const row = document.querySelectorAll("[data-tv-room] [role=treeitem]")[3];
  row.click();
  return { usable: performance.getEntriesByName("gimbal:trace-usable")[0].startTime, chosen: row.getAttribute("aria-selected"),
    nodes: document.querySelectorAll("*").length, heap: performance.memory.usedJSHeapSize, bytes:
    performance.getEntriesByType("navigation")[0].transferSize };
}"""


def trace(spans: int = SPANS, trace_id: str = TRACE) -> list[Span]:
    """Return a trace of agents that each think, search and call tools, deep enough to fold and wide enough to scroll."""
    began = int(time.time() * 1e6) - 60_000_000
    found: list[Span] = []
    for place in range(spans):
        turn, step = divmod(place, 10)
        kind = "agent" if step == 0 else ("llm", "tool", "retriever")[step % 3]
        parent = "" if place == 0 else f"{1:016x}" if step == 0 else f"{turn * 10 + (1 if step < 7 else 7):016x}"
        start = began + place * 1000
        found.append(
            Span(
                trace_id=trace_id,
                span_id=f"{place + 1:016x}",
                parent_id=parent,
                name="root" if place == 0 else f"{kind} {place % 23}",
                kind=kind,
                start_us=start,
                end_us=start + (spans * 1000 if place == 0 else 10_000 - step * 900),
                status="error" if place % 997 == 5 else "ok",
                provider="openai" if kind == "llm" else "",
                model="gpt-4o" if kind == "llm" else "",
                usage=Usage(input=900, output=120) if kind == "llm" else None,
                unpriced="bench" if kind == "llm" else "",
                input='[{"role":"user","content":"' + "why? " * 100 + '"}]',
                output='"because"',
                attributes={"step": place},
            )
        )
    return found


async def fill(url: str) -> None:
    """Store the trace through the server's own columns."""
    columns = await server_columns(url)
    await columns.insert("spans", to_rows("default", trace()).table())
    await columns.close()


async def _open(browser: Browser, url: str) -> tuple[dict[str, float], str]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.goto(url, wait_until="load")
    await page.wait_for_selector("[data-tv-room] [role=treeitem]")
    alone = await page.evaluate(_ALONE)
    told = await page.evaluate(_USABLE)
    assert told["chosen"] == "true", "the row did not react"
    await context.close()
    return told, alone


async def _static(browser: Browser, url: str, alone: str) -> float:
    """Return how long the rows alone take, from an answer that is there already to the end of its loading."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.route("**/rows-alone", lambda route: route.fulfill(body=alone, content_type="text/html"))
    await page.goto(f"{url}/rows-alone", wait_until="load")
    took = await page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    await context.close()
    return float(took)


async def _measure(url: str) -> Iterator[Figure]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        await _open(browser, f"{url}/p/default/traces/{TRACE}")
        runs = [await _open(browser, f"{url}/p/default/traces/{TRACE}") for _ in range(RUNS)]
        alone = [await _static(browser, url, runs[-1][1]) for _ in range(RUNS)]
        await browser.close()
    told = {name: statistics.median(run[name] for run, _ in runs) for name in ("usable", "nodes", "heap", "bytes")}
    what = f"page of a trace of {SPANS:,} spans"
    return iter(
        [
            Figure(f"{what}, usable", told["usable"], "ms", 1000, "1 s"),
            Figure(
                f"{what}, to its rows alone",
                told["usable"],
                "ms",
                statistics.median(alone),
                "same rows, static",
                physical=True,
            ),
            Figure(f"{what}, elements", told["nodes"], "", _MOST_NODES, f"{_MOST_NODES:,}"),
            Figure(f"{what}, heap of its scripts", told["heap"] / 2**20, "MiB", _MOST_HEAP_MB, f"{_MOST_HEAP_MB} MiB"),
            Figure(f"{what}, sent", told["bytes"] / 2**20, "MiB", 4, "4 MiB"),
        ]
    )


def figures() -> Iterator[Figure]:
    """Fill a server, ask for the skeleton, and open the page."""
    with gimbal_up() as running:
        asyncio.run(fill(running.url))
        with httpx.Client(base_url=running.url, timeout=60) as client:
            times: list[float] = []
            for _ in range(RUNS + 1):
                started = time.perf_counter()
                client.get(f"/api/v1/projects/default/traces/{TRACE}/skeleton").raise_for_status()
                times.append(time.perf_counter() - started)
            yield Figure(f"skeleton of {SPANS:,} spans", statistics.median(times[1:]) * 1000, "ms", 300, "300 ms")
        yield from asyncio.run(_measure(running.url))
