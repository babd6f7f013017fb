"""The few routes that are neither operations, dialects nor pages: health, metrics, OpenAPI, reference, sign-in.

These, and static files, are the whole list of what needs no credential.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import msgspec

from gimbal.axis.projects.service import Projects
from gimbal.engines.console import assets as console_assets
from gimbal.engines.console.console import Console, page_request
from gimbal.engines.console.pages import View, all_actions, all_pages, parse_form
from gimbal.faces.server import health, openapi, reference
from gimbal.faces.server.access import COOKIE
from gimbal.faces.server.app import App, Route, plain_error
from gimbal.faces.server.exchange import Exchange
from gimbal.faces.server.metrics import render_samples
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import GimbalError, NotAuthenticated, Unavailable
from gimbal.kernel.http import HttpReply

OPEN_ROUTES = (
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs/api",
    "/sign-in",
    "/sign-out",
    "/static/{version}/{name*}",
    "/",
)
_FORM_LIMIT = 1 << 20


def install(app: App, console: Console) -> None:
    """Put the built-in routes and the console into the router."""
    install_health(app)
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


def install_health(app: App, *, stores: Sequence[str] = health.STORES) -> None:
    """Put health and metrics into the router; ready means that these stores answer."""
    services = app.services

    async def healthz(_exchange: Exchange, _ctx: Context) -> HttpReply:
        return HttpReply(body=msgspec.json.encode(await health.liveness(services)))

    async def readyz(_exchange: Exchange, _ctx: Context) -> HttpReply:
        found = await health.readiness(services, stores)
        return HttpReply(body=msgspec.json.encode(found), status=200 if found.status == "ok" else Unavailable.status)

    async def metrics(_exchange: Exchange, _ctx: Context) -> HttpReply:
        text = app.meter.render() + render_samples(services.get(Counters).samples())
        return HttpReply(body=text.encode(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add("GET", "/healthz", Route(label="healthz", allow=Permission.OPEN, answer=healthz))
    app.add("GET", "/readyz", Route(label="readyz", allow=Permission.OPEN, answer=readyz))
    app.add("GET", "/metrics", Route(label="metrics", allow=Permission.VIEW, answer=metrics))


def _install_console(app: App, console: Console) -> None:
    def page_error(error: GimbalError, exchange: Exchange) -> HttpReply:
        # Whoever signs in goes back to what they asked for, a %2F in it as they wrote it.
        return console.error(error, msgspec.structs.replace(exchange.request(_FORM_LIMIT), path=exchange.target))

    def sign_in_error(error: GimbalError, exchange: Exchange) -> HttpReply:
        # The form again, and after it to Home: what was asked for first was in the body that is spent.
        return console.error(error, msgspec.structs.replace(exchange.request(_FORM_LIMIT), path="/"))

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
        return HttpReply(status=303, headers={"location": f"/p/{quote(ctx.project or app.settings.project, safe='')}"})

    async def ask_key(exchange: Exchange, ctx: Context) -> HttpReply:
        wanted = NotAuthenticated("Sign in with an API key.")
        request = msgspec.structs.replace(exchange.request(_FORM_LIMIT), path=_own_path(exchange.query().get("back")))
        return msgspec.structs.replace(console.error(wanted, request), status=200)

    async def sign_in(exchange: Exchange, ctx: Context) -> HttpReply:
        form = parse_form(await exchange.upload(_FORM_LIMIT).read())
        # A key that is worth nothing is told so here, instead of on every page that follows.
        await app.services.get(Projects).authenticate(key := form.need("key"))
        location = _own_path(form.many("back"))
        return HttpReply(status=303, headers={"location": location, "set-cookie": _cookie(key, exchange)})

    async def sign_out(exchange: Exchange, ctx: Context) -> HttpReply:
        gone = _cookie("", exchange) + "; Max-Age=0"
        return HttpReply(status=303, headers={"location": "/sign-in", "set-cookie": gone})

    opened = Permission.OPEN
    app.add("GET", console_assets.MOUNT, Route(label="static", allow=opened, answer=static, on_error=plain_error))
    app.add("GET", "/", Route(label="root", allow=opened, answer=home, on_error=page_error))
    app.add("GET", "/sign-in", Route(label="sign-in", allow=opened, answer=ask_key, on_error=page_error))
    app.add("POST", "/sign-in", Route(label="sign-in", allow=opened, answer=sign_in, on_error=sign_in_error))
    app.add("POST", "/sign-out", Route(label="sign-out", allow=opened, answer=sign_out, on_error=page_error))


def _own_path(values: list[str] | None) -> str:
    """Return where to go next: only a path of our own, for an address from elsewhere must not send people away."""
    path = values[0] if values else "/"
    # Browsers read a backslash as a slash, and drop tabs and line breaks: what is odd here is not from our pages.
    odd = not path.startswith("/") or path.startswith(("//", "/sign-")) or "\\" in path or not path.isprintable()
    return "/" if odd else quote(path, safe="/?&=%:@~,+;!$*()'-._#", errors="replace")


def _cookie(key: str, exchange: Exchange) -> str:
    secure = "; Secure" if exchange.scheme == "https" else ""
    return f"{COOKIE}={key}; Path=/; HttpOnly; SameSite=Strict{secure}"
