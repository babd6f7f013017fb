"""The console as the server mounts it: answers to pages, actions, static files and errors."""

import re
from collections.abc import AsyncIterator

import pytest

from gimbal.engines.console.console import Console
from gimbal.engines.console.pages import ActionRow, PageRow, Redirect, View
from gimbal.kernel.context import NOBODY, Context, Permission, Principal, Role, Services
from gimbal.kernel.errors import Busy, GateRefused, NotFound
from gimbal.kernel.http import HttpRequest, Upload

OWNER = Principal(kind="owner", id="owner", name="<owner>", everywhere=Role.ADMIN)
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def console(tmp_path):
    return Console(version="9.9", cache=tmp_path)


def ask(method="GET", *, parameters=None, query=None, headers=None, body=b"", media_type=FORM):
    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async def never():
        raise AssertionError

    return HttpRequest(
        method=method,
        path="/p/default/x",
        parameters={"project": "default", **(parameters or {})},
        query=query or {},
        headers=headers or {},
        body=Upload(chunks(), limit=10_000, media_type=media_type),
        disconnected=never,
    )


def context(principal=OWNER):
    return Context(Services(), principal, "default")


def page_row(handler, path="/x", allow=Permission.VIEW):
    return PageRow(path=path, title="A <page>", nav=None, order=0, icon="dot", allow=allow, handler=handler)


def action_row(handler, allow=Permission.DEVELOP):
    return ActionRow(path="/x", allow=allow, handler=handler)


async def plain(ctx, request):
    return View("console/error.html", {"error": NotFound("<script>alert(1)</script>").body(), "status": 404})


async def test_page_is_html_that_nobody_keeps_and_everything_in_it_is_escaped(console):
    reply = await console.page(page_row(plain), ask(), context())
    text = reply.body.decode()
    assert reply.status == 200
    assert reply.media_type == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert "<script>alert" not in text
    assert "&lt;owner&gt;" in text


async def test_an_error_in_a_page_says_what_happened_what_was_kept_and_what_to_do(console):
    async def broken(ctx, request):
        raise GateRefused("AUC is too low.", where="model:a/b", kept="production stays.", todo="Train again.")

    reply = await console.page(page_row(broken), ask(), context())
    text = reply.body.decode()
    assert reply.status == 422
    for words in ("AUC is too low.", "model:a/b", "production stays.", "Train again.", "gate_refused"):
        assert words in text
    assert "<nav" in text


async def test_a_page_that_needs_more_than_the_caller_holds_is_refused(console):
    viewer = Principal(kind="key", id="k", name="k", roles={"default": Role.VIEWER})
    reply = await console.page(page_row(plain, allow=Permission.ADMIN), ask(), context(viewer))
    assert reply.status == 403


async def test_without_a_key_the_sign_in_page_is_shown(console):
    reply = await console.page(page_row(plain), ask(), context(NOBODY))
    assert reply.status == 401
    assert 'action="/sign-in"' in reply.body.decode()


async def test_an_error_outside_a_page_is_a_page_too_and_tells_when_to_come_again(console):
    reply = console.error(Busy("Too much.", retry_after=2.4))
    assert reply.status == 429
    assert reply.headers["retry-after"] == "2"
    assert b"<h1>" in reply.body


async def test_what_an_action_says_is_shown_once_on_the_next_page(console):
    async def act(ctx, request, form):
        return Redirect(request.href("/y"), flash=f"Moved to {form['to']} — “done”; ok")

    done = await console.action(action_row(act), ask("POST", body=b"to=%3Cv2%3E"), context())
    assert (done.status, done.headers["location"]) == (303, "/p/default/y")
    cookie = done.headers["set-cookie"].partition(";")[0]
    shown = await console.page(page_row(plain), ask(headers={"cookie": cookie}), context())
    assert "Moved to &lt;v2&gt; — “done”; ok" in shown.body.decode()
    assert "Max-Age=0" in shown.headers["set-cookie"]
    again = await console.page(page_row(plain), ask(), context())
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("cookie", ["gimbal_flash=!!!", "gimbal_flash=bm90IGpzb24", "gimbal_flash=e30", "; ;=;"])
async def test_a_forged_flash_is_ignored(console, cookie):
    reply = await console.page(page_row(plain), ask(headers={"cookie": cookie}), context())
    assert reply.status == 200
    assert "data-flash" not in reply.body.decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:8765", "origin": "https://evil.example"},
        {"host": "localhost:8765", "origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_a_form_from_another_site_does_nothing(console, headers):
    acted = []

    async def act(ctx, request, form):
        acted.append(form)
        return Redirect("/")

    reply = await console.action(action_row(act), ask("POST", headers=headers), context())
    assert reply.status == 403
    assert acted == []


async def test_an_action_needs_its_permission_and_a_form(console):
    async def act(ctx, request, form):
        return Redirect("/")

    viewer = Principal(kind="key", id="k", name="k", roles={"default": Role.VIEWER})
    assert (await console.action(action_row(act), ask("POST"), context(viewer))).status == 403
    json = ask("POST", media_type="application/json", body=b"{}")
    assert (await console.action(action_row(act), json, context())).status == 415


async def test_theme_comes_from_the_cookie_so_that_no_page_flashes(console):
    for cookie, expected in (("gimbal_theme=dark", ' data-theme="dark"'), ("gimbal_theme=x", ""), ("", "")):
        reply = await console.page(page_row(plain), ask(headers={"cookie": cookie}), context())
        assert f'<html lang="en"{expected}>' in reply.body.decode()


async def test_static_files_are_kept_for_ever_under_their_version_and_packed(console):
    page = (await console.page(page_row(plain), ask(), context())).body.decode()
    version = re.search(r"/static/(\w+)/console.css", page).group(1)
    request = ask(parameters={"version": version, "name": "console.css"}, headers={"accept-encoding": "br, gzip"})
    reply = await console.static(request)
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 14_000
    old = await console.static(ask(parameters={"version": "0", "name": "js/console.js"}))
    assert old.headers["cache-control"] == "no-cache"
    assert old.media_type.startswith("text/javascript")


@pytest.mark.parametrize("name", ["nope.css", "../tokens.py", "css/tokens.css"])
async def test_only_static_files_are_served(console, name):
    with pytest.raises(NotFound):
        await console.static(ask(parameters={"version": "0", "name": name}))


async def test_current_url_keeps_a_slash_within_a_value(console):
    seen = []

    async def handler(ctx, request):
        seen.append(request)
        return Redirect("/")

    row = page_row(handler, "/assets/{ref}")
    await console.page(row, ask(parameters={"ref": "model:a/b"}, query={"tab": "x"}), context())
    assert seen[0].url(q="1") == "/p/default/assets/model:a%2Fb?tab=x&q=1"
