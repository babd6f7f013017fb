"""The few routes that are neither operations, dialects nor pages: health, metrics, OpenAPI, reference, sign-in.

These, and static files, are the whole list of what needs no credential.
"""

from importlib.metadata import version
from typing import Any

import msgspec

from gimbal.engines.console import assets as console_assets
from gimbal.engines.console.console import Console, page_request
from gimbal.engines.console.pages import View, all_actions, all_pages, parse_form
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server import openapi, reference
from gimbal.faces.server.access import COOKIE
from gimbal.faces.server.app import App, Route, plain_error
from gimbal.faces.server.exchange import Exchange
from gimbal.faces.server.metrics import Sample, render_samples
from gimbal.kernel.context import Context, Permission, Services
from gimbal.kernel.errors import GimbalError, Unavailable
from gimbal.kernel.events import EventBus
from gimbal.kernel.http import HttpReply

OPEN_ROUTES = ("/healthz", "/readyz", "/openapi.json", "/docs/api", "/sign-in", "/static/{version}/{name*}", "/")
_FORM_LIMIT = 1 << 20


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One part that must answer."""

    part: str
    ok: bool
    message: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What /healthz and /readyz answer."""

    status: str
    """`ok` or `failing`."""
    version: str
    checks: list[Check] = []


async def readiness(services: Services) -> Health:
    """Ask each store whether it answers."""
    checks: list[Check] = []
    for part, kind in (("catalog", Catalog), ("columns", Columns), ("blobs", Blobs)):
        try:
            await services.get(kind).ping()
        except GimbalError as error:
            checks.append(Check(part=part, ok=False, message=str(error)))
        else:
            checks.append(Check(part=part, ok=True))
    status = "ok" if all(c.ok for c in checks) else "failing"
    return Health(status=status, version=version("gimbal-ops"), checks=checks)


def writer_samples(services: Services) -> list[Sample]:
    """Return the writer's and the event bus's counters."""
    state = services.get(Writer).state()
    rows = [
        ("gimbal_writer_queue_rows", state.queued_rows, "Rows that wait to be committed.", "gauge"),
        ("gimbal_writer_queue_bytes", state.queued_bytes, "Bytes that wait to be committed.", "gauge"),
        ("gimbal_writer_committed_rows_total", state.committed_rows, "Rows on disk.", "counter"),
        ("gimbal_writer_commits_total", state.committed_groups, "Group commits.", "counter"),
        ("gimbal_writer_failed_rows_total", state.failed_rows, "Rows whose senders were told they failed.", "counter"),
        ("gimbal_writer_refused_rows_total", state.refused_rows, "Rows refused with 429.", "counter"),
        ("gimbal_writer_lag_seconds", state.oldest_wait_ms / 1000, "Age of the oldest waiting batch.", "gauge"),
        ("gimbal_event_failures_total", services.get(EventBus).failures, "Event handlers that failed.", "counter"),
    ]
    return [Sample(name=n, value=float(v), help=h, kind=k) for n, v, h, k in rows]


def install(app: App, console: Console) -> None:
    """Put the built-in routes and the console into the router."""
    _install_health(app)
    _install_console(app, console)
    document: list[bytes] = []

    async def describe(_exchange: Exchange, _ctx: Context) -> HttpReply:
        if not document:
            document.append(msgspec.json.encode(openapi.document(version("gimbal-ops")), enc_hook=str))
        return HttpReply(body=document[0])

    async def reference_page(exchange: Exchange, ctx: Context) -> HttpReply:
        asked = page_request(exchange.request(_FORM_LIMIT), ctx, "/docs/api")
        html = console.render(View("server/reference.html", reference.data()), asked, title="API reference")
        return HttpReply(body=html.encode(), media_type="text/html; charset=utf-8")

    app.add("GET", "/docs/api", Route(label="reference", allow=Permission.OPEN, answer=reference_page))
    app.add("GET", "/openapi.json", Route(label="openapi", allow=Permission.OPEN, answer=describe))


def _install_health(app: App) -> None:
    services = app.services

    async def healthz(_exchange: Exchange, _ctx: Context) -> HttpReply:
        return HttpReply(body=msgspec.json.encode(Health(status="ok", version=version("gimbal-ops"))))

    async def readyz(_exchange: Exchange, _ctx: Context) -> HttpReply:
        health = await readiness(services)
        return HttpReply(body=msgspec.json.encode(health), status=200 if health.status == "ok" else Unavailable.status)

    async def metrics(_exchange: Exchange, _ctx: Context) -> HttpReply:
        text = app.meter.render() + render_samples(writer_samples(services))
        return HttpReply(body=text.encode(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add("GET", "/healthz", Route(label="healthz", allow=Permission.OPEN, answer=healthz))
    app.add("GET", "/readyz", Route(label="readyz", allow=Permission.OPEN, answer=readyz))
    app.add("GET", "/metrics", Route(label="metrics", allow=Permission.VIEW, answer=metrics))


def _install_console(app: App, console: Console) -> None:
    def page_error(error: GimbalError, exchange: Exchange) -> HttpReply:
        return console.error(error, exchange.request(_FORM_LIMIT))

    def unmatched(error: GimbalError, exchange: Exchange) -> HttpReply:
        wants_page = "text/html" in exchange.headers.get("accept", "")
        return page_error(error, exchange) if wants_page else plain_error(error, exchange)

    app.unmatched = unmatched

    for row in all_pages():

        async def show(exchange: Exchange, ctx: Context, row: Any = row) -> HttpReply:
            return await console.page(row, exchange.request(_FORM_LIMIT), ctx)

        app.add("GET", row.mount, Route(label=f"page {row.path}", allow=row.allow, answer=show, on_error=page_error))
    for action in all_actions():

        async def act(exchange: Exchange, ctx: Context, row: Any = action) -> HttpReply:
            return await console.action(row, exchange.request(_FORM_LIMIT), ctx)

        label = f"action {action.path}"
        app.add("POST", action.mount, Route(label=label, allow=action.allow, answer=act, on_error=page_error))

    async def static(exchange: Exchange, _ctx: Context) -> HttpReply:
        return await console.static(exchange.request(_FORM_LIMIT))

    async def home(exchange: Exchange, ctx: Context) -> HttpReply:
        return HttpReply(status=303, headers={"location": f"/p/{ctx.project or app.settings.project}"})

    async def sign_in(exchange: Exchange, ctx: Context) -> HttpReply:
        form = parse_form(await exchange.upload(_FORM_LIMIT).read())
        back = form.get("next", "/")
        # Only a path of our own: an address from elsewhere must not send people away.
        target = back if back.startswith("/") and not back.startswith("//") else "/"
        secure = "; Secure" if exchange.scheme == "https" else ""
        cookie = f"{COOKIE}={form.need('key')}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return HttpReply(status=303, headers={"location": target, "set-cookie": cookie})

    opened = Permission.OPEN
    app.add("GET", console_assets.MOUNT, Route(label="static", allow=opened, answer=static, on_error=plain_error))
    app.add("GET", "/", Route(label="root", allow=opened, answer=home, on_error=page_error))
    app.add("POST", "/sign-in", Route(label="sign-in", allow=opened, answer=sign_in, on_error=page_error))
