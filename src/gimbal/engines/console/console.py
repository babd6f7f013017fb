"""The console as the server mounts it: pages, actions, static files and errors, each as an HTTP answer.

`faces/server` puts the rows of `pages.all_pages()` and `pages.all_actions()` into its router, hands each request to
`page` or `action`, static files to `static`, and errors that happen outside a page to `error`.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from gimbal.engines.console import charts, vega
from gimbal.engines.console.assets import Assets
from gimbal.engines.console.pages import (
    NAV_GROUPS,
    ActionRow,
    Flash,
    PageRequest,
    PageRow,
    Redirect,
    View,
    all_pages,
    parse_form,
)
from gimbal.engines.console.templates import make_environment, template_folders
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Forbidden, GimbalError, NotAuthenticated, WrongMediaType
from gimbal.kernel.http import HttpReply, HttpRequest

THEME_COOKIE = "gimbal_theme"
FLASH_COOKIE = "gimbal_flash"
_HTML = "text/html; charset=utf-8"
# Pages show live and private state: a browser may go back to them, but nobody may keep them.
_PAGE_HEADERS = {"cache-control": "no-store"}


class ProjectLink(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the project switcher."""

    slug: str
    name: str


ProjectList = Callable[[Context], Awaitable[Sequence[ProjectLink]]]


class _NavItem(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    href: str
    icon: str
    current: bool


async def _only_here(ctx: Context) -> Sequence[ProjectLink]:
    return [ProjectLink(slug=ctx.project, name=ctx.project)] if ctx.project else []


class Console:
    """Makes pages.

    `projects` lists what the switcher offers, `pages` what the sidebar does; `cache` is a folder for the chart library, which is put together once
    per installation; `folders` are template folders beside those of the package.
    """

    def __init__(
        self,
        *,
        version: str,
        cache: Path,
        projects: ProjectList = _only_here,
        pages: Callable[[], Sequence[PageRow]] = all_pages,
        clock: Clock | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        self.assets = Assets()
        self.assets.add("chart-themes.json", msgspec.json.encode(charts.theme_configs()))
        self._library = vega.Library(cache)
        self._projects = projects
        self._pages = pages
        self._environment = make_environment(
            [*template_folders(), *folders],
            clock or SystemClock(),
            {"static": self.assets.url, "gimbal_version": version},
        )

    async def page(self, row: PageRow, request: HttpRequest, ctx: Context) -> HttpReply:
        """Answer a GET: run the handler, render its view; a GimbalError becomes an error page in the same layout."""
        asked = page_request(request, ctx, row.path)
        try:
            ctx.require(row.allow)
            result = await row.handler(ctx, asked)
        except NotAuthenticated as error:
            return self.error(error, request)
        except GimbalError as error:
            return await self._error_within(error, asked, ctx)
        return await self._answer(result, asked, ctx, row.title)

    async def action(self, row: ActionRow, request: HttpRequest, ctx: Context) -> HttpReply:
        """Answer a POST of a form from our own pages; the handler usually redirects."""
        asked = page_request(request, ctx, row.path)
        ctx.origin = "console"
        try:
            check_same_origin(request.headers)
            ctx.require(row.allow)
            if request.body.media_type != "application/x-www-form-urlencoded":
                raise WrongMediaType(
                    f"A form of the console is not sent as {request.body.media_type or 'nothing'}.",
                    where="Content-Type",
                    todo="Programs use the API under /api/v1 instead.",
                )
            result = await row.handler(ctx, asked, parse_form(await request.body.read()))
        except GimbalError as error:
            return await self._error_within(error, asked, ctx)
        return await self._answer(result, asked, ctx, "")

    async def static(self, request: HttpRequest) -> HttpReply:
        """Answer `/static/{version}/{name*}`; the chart library is put together on its first request."""
        name = request.parameters["name"]
        if name == vega.NAME and not self.assets.has(name):
            self.assets.add(name, await self._library.read())
        return self.assets.reply(request.parameters["version"], name, request.headers.get("accept-encoding", ""))

    def error(self, error: GimbalError, request: HttpRequest | None = None) -> HttpReply:
        """Answer with an error page of its own, without the layout: for what happens before there is a page."""
        template = "console/sign_in.html" if isinstance(error, NotAuthenticated) else "console/error_alone.html"
        back = request.path if request else "/"
        html = self._environment.get_template(template).render(
            error=error.body(), status=error.status, theme=_theme(request), back=back
        )
        headers = dict(_PAGE_HEADERS)
        if error.retry_after:
            headers["retry-after"] = str(max(1, round(error.retry_after)))
        return HttpReply(status=error.status, body=html.encode(), media_type=_HTML, headers=headers)

    def render(self, view: View, request: PageRequest, projects: Sequence[ProjectLink] = (), title: str = "") -> str:
        """Return the HTML of a view."""
        return self._environment.get_template(view.template).render(
            {
                "page_title": title,
                "request": request,
                "href": request.href,
                "nav": navigation(self._pages(), request),
                "beside": beside(self._pages(), request),
                "projects": projects,
                **view.data,
            }
        )

    async def _answer(self, result: View | Redirect, asked: PageRequest, ctx: Context, title: str) -> HttpReply:
        headers = dict(_PAGE_HEADERS)
        if isinstance(result, Redirect):
            headers["location"] = result.url
            if result.flash:
                headers["set-cookie"] = _flash_cookie(Flash(text=result.flash, tone=result.tone))
            return HttpReply(status=303, headers=headers)
        html = self.render(result, asked, await self._projects(ctx), title)
        if asked.flash:
            headers["set-cookie"] = f"{FLASH_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        return HttpReply(status=result.status, body=html.encode(), media_type=_HTML, headers=headers)

    async def _error_within(self, error: GimbalError, asked: PageRequest, ctx: Context) -> HttpReply:
        view = View("console/error.html", {"error": error.body(), "status": error.status}, error.status)
        return await self._answer(view, asked, ctx, "Error")


def page_request(request: HttpRequest, ctx: Context, template: str) -> PageRequest:
    """Return what handlers and templates get of an HTTP request."""
    parameters = dict(request.parameters)
    project = parameters.pop("project", None) or ctx.project or "default"
    # The path of an HttpRequest is decoded; a slash within a value must be written as %2F again.
    current = PageRequest(project=project).href(template, **parameters)
    return PageRequest(
        project=project,
        path=parameters,
        query=request.query,
        several=request.several,
        current=current,
        principal=ctx.principal,
        theme=_theme(request),
        flash=_read_flash(_cookies(request).get(FLASH_COOKIE, "")),
    )


def navigation(pages: Sequence[PageRow], request: PageRequest) -> list[tuple[str, list[_NavItem]]]:
    """Return the groups of the sidebar for who asks, the item of the present page marked."""
    rows = _allowed(pages, request)
    nearest = _nearest(rows, request)
    marked = (nearest.within or nearest.path) if nearest else None
    groups: list[tuple[str, list[_NavItem]]] = []
    for _, name in NAV_GROUPS:
        items = [
            _NavItem(label=row.nav, href=request.href(row.path), icon=row.icon, current=row.path == marked)
            for row in rows
            if row.nav and row.group == name
        ]
        if items:
            groups.append((name, items))
    return groups


def beside(pages: Sequence[PageRow], request: PageRequest) -> list[_NavItem]:
    """Return the pages that stand side by side with the present one under one word of the sidebar; empty without any."""
    rows = _allowed(pages, request)
    nearest = _nearest(rows, request)
    if nearest is None or not nearest.tab:
        return []
    first = nearest.within or nearest.path
    return [
        _NavItem(label=row.tab, href=request.href(row.path), icon=row.icon, current=row is nearest)
        for row in rows
        if row.tab and first in {row.path, row.within}
    ]


def _allowed(pages: Sequence[PageRow], request: PageRequest) -> list[PageRow]:
    return [row for row in pages if (row.nav or row.tab) and request.principal.may(row.allow, request.project)]


def _nearest(rows: Sequence[PageRow], request: PageRequest) -> PageRow | None:
    # Everything is below Home; it is marked on its own page alone.
    here = [row for row in rows if _is_under(request.current, request.href(row.path)) and row.path != "/"]
    here += [row for row in rows if request.current == request.href(row.path)]
    return max(here, key=lambda row: len(row.path), default=None)


def _is_under(current: str, base: str) -> bool:
    return current == base or current.startswith(base + "/")


def check_same_origin(headers: Mapping[str, str]) -> None:
    """Raise Forbidden unless a form post comes from our own pages, as every current browser tells."""
    site = headers.get("sec-fetch-site", "same-origin")
    origin = headers.get("origin")
    if site not in {"same-origin", "none"} or (origin and urlsplit(origin).netloc != headers.get("host", "")):
        raise Forbidden(
            "A page from another site may not act here.", where="Origin", todo="Use the console's own buttons."
        )


def _cookies(request: HttpRequest | None) -> dict[str, str]:
    try:
        jar = SimpleCookie(request.headers.get("cookie", "") if request else "")
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def _theme(request: HttpRequest | None) -> str:
    theme = _cookies(request).get(THEME_COOKIE, "")
    return theme if theme in {"light", "dark"} else "auto"


def _flash_cookie(flash: Flash) -> str:
    text = base64.urlsafe_b64encode(msgspec.json.encode(flash)).decode().rstrip("=")
    return f"{FLASH_COOKIE}={text}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"


def _read_flash(text: str) -> Flash | None:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Flash)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
