"""The gateway's pages, served by the real application: traffic and outages, routes, providers and their keys."""

import asyncio
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.browser import OpenPage, at_both_widths, browser_page
from tests.served import serve

import gimbal.axis.evals.operations
import gimbal.axis.traces.operations
import gimbal.axis.traces.pages
import gimbal.generative.gateway.pages
import gimbal.generative.gateway.providers.operations
import gimbal.generative.gateway.routes.operations  # noqa: F401 - importing these fills the tables
from gimbal.axis.projects.model import CreateKey, CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.rows import to_rows
from gimbal.axis.traces.service import Traces
from gimbal.engines.http.choose import ChoosingClient
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.writer import Writer
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.service import ProviderService
from gimbal.generative.gateway.resilience.vitals import ModelState
from gimbal.generative.gateway.routes import service as routes
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.generative.gateway.standing import outages, standings
from gimbal.generative.gateway.traffic import traffic
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.ids import new_id
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

__all__ = ["browser_page"]

HOSTILE = "<script>alert(1)</script>"
MASTER = "k1:" + "A" * 43 + "="
KEY = "sk-live-7f3a9c51e2"
ROUTE = f"""name = "support"
description = "For {HOSTILE}"
targets = ["gone/tiny", "up/tiny"]

[[rules]]
when = {{ feature = "search*", stream = true }}
targets = ["up/tiny"]

[resilience.retry]
attempts = 1
"""


@pytest.fixture
async def ctx(gateway: Services, owner: Principal) -> Context:
    """Give a context of the owner in a project of the test's own: the columns are those of all tests."""
    slug = f"gw-{new_id()[-8:]}"
    await gateway.get(Projects).create(Context(gateway, owner, None), CreateProject(slug=slug, title="Pages"))
    return Context(gateway, owner, slug)


@pytest.fixture
async def site(
    gateway: Services, ctx: Context, catalog: Catalog, upstream, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the application, with providers that may be changed."""
    given = (
        ProviderSettings(
            name="up", kind="openai", base_url=f"{upstream.url}/v1", api_key_env="UP_KEY", models=("tiny",)
        ),
        ProviderSettings(name="gone", kind="openai", base_url="http://127.0.0.1:9/v1", api_key_env="UP_KEY"),
    )
    settings = GatewaySettings(providers=given, key_env="MASTER")
    environ = {"UP_KEY": KEY, "MASTER": MASTER}
    found = Providers(settings, ChoosingClient(), catalog=catalog, environ=environ)
    gateway.register(Providers, found)
    gateway.register(ProviderService, ProviderService(catalog, found))
    headers = {"x-gimbal-project": ctx.project or ""}
    async with (
        serve(gateway, tmp_path / "cache") as url,
        httpx.AsyncClient(base_url=url, timeout=30, headers=headers) as client,
    ):
        yield client
    await found.aclose()


def at(site: httpx.AsyncClient, path: str) -> str:
    return f"/p/{site.headers['x-gimbal-project']}/gateway{path}"


async def page(site: httpx.AsyncClient, path: str, status: int = 200, **headers: str) -> str:
    reply = await site.get(at(site, path), headers=headers)
    assert reply.status_code == status, reply.text
    assert HOSTILE not in reply.text
    assert KEY not in reply.text
    return reply.text


def words(text: str) -> str:
    """Return what a reader of the page's main part reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.partition("<main")[2]))


async def call(site: httpx.AsyncClient, model: str, **more) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}
    return await site.post("/v1/chat/completions", json=body)


async def post(site: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    headers = {"origin": str(site.base_url).rstrip("/")}
    reply = await site.post(at(site, path), data=form, headers=headers, follow_redirects=True)
    assert KEY not in reply.text
    return reply


async def test_without_calls_it_says_how_to_make_one(site):
    text = await page(site, "")

    assert "No calls yet" in text
    assert "OPENAI_BASE_URL=http://" in text
    assert "No routes yet" in await page(site, "/routes")


async def test_an_outage_is_first_with_what_was_rerouted(site, ctx):
    """A provider that nobody reaches: its breaker opens, calls go on, and those that named it alone are lost."""
    await routes.publish(ctx, PublishRoute(text=ROUTE))
    for _ in range(10):
        assert (await call(site, "route:support")).status_code == 200
    assert (await call(site, "gone/tiny")).status_code >= 500
    await ctx.get(Traces).activity(ctx, ctx.now())

    shown = words(await page(site, ""))

    outage = shown.partition("Last hour")[0]
    assert re.search(r"gone tiny resting", outage)
    assert "10 calls of the last hour went on to up/tiny (10)" in outage
    assert "1 call had no answer." in outage
    assert "unreachable" in outage
    table = shown.partition("Rerouted")[2]
    assert re.search(r"gone/tiny up/tiny 10 .*unreachable", table)
    assert "other processes of a fleet each have their own" in table
    listed = words(await page(site, "/routes"))
    assert "gone/tiny resting" in listed


async def test_traffic_is_told_by_model_and_minute(site, upstream):
    """What the traces have: calls, failures, tokens and times; nobody's names are markup."""
    for _ in range(3):
        await call(site, "up/tiny")
    upstream.faults = [400]
    await call(site, "up/tiny")
    await call(site, f"up/{HOSTILE}", stream=True)
    await call(site, HOSTILE)

    shown = words(await page(site, ""))

    assert re.search(r"Calls 6 last", shown)
    assert re.search(r"up/tiny \w[\w ]* 4 1 25.0 %", shown)
    assert "Answered by nobody" in shown
    for measure in ("errors", "latency", "first", "cost", "nonsense"):
        await page(site, f"?show={measure}")


async def test_a_call_that_is_stored_again_counts_as_it_was_stored_last(ctx):
    """Twice in the same minute, by model and in all; what came first is not told any more."""
    began = to_us(ctx.now()) - 90_000_000
    first, second = (
        Span(trace_id=f"{n:032x}", span_id=f"{n:016x}", name=f"chat up/m{n}", kind="llm", dialect="gimbal", provider="up",
             start_us=began, end_us=began + n * 1000, status="ok", cost=Decimal(n))
        for n in (1, 2)
    )  # fmt: skip
    again = msgspec.structs.replace(first, status="error", cost=Decimal(5), end_us=began + 9000, start_us=began + 1)

    told = []
    for spans in ([first, second], [again]):
        await ctx.get(Writer).write("spans", to_rows(ctx.project, spans))
        seen = await traffic(ctx)
        assert sum(one.calls for one in seen.models) == sum(one.calls for one in seen.minutes) == seen.total.calls
        told.append((seen.total.calls, seen.total.errors, seen.total.cost, seen.total.p95_ms))
        assert [(one.called, one.errors) for one in seen.models] == [("up/m1", len(told) - 1), ("up/m2", 0)]

    # The second time it took nine milliseconds less the microsecond by which it began later.
    assert told == [(2, 0, Decimal(3), 2.0), (2, 1, Decimal(7), 8.999)]


async def test_a_route_says_whom_it_would_choose_and_why(site, ctx):
    await routes.publish(ctx, PublishRoute(text=ROUTE))

    plain = words(await page(site, "/routes/route:support?try=1"))
    ruled = words(await page(site, "/routes/route:support@v1?try=1&feature=search-box&stream=1"))

    assert re.search(r"gone/tiny asked first", plain)
    assert re.search(r"up/tiny asked first", ruled)
    assert "the feature is search* , and it is streamed" in plain
    assert "A target that fails is not tried again." in plain
    assert "is not a number of tokens" in await page(site, "/routes/route:support?try=1&input_tokens=many", 400)
    await page(site, "/routes/route:nobody", 404)
    await page(site, "/routes/prompt:nobody", 400)


async def test_keys_go_in_and_never_come_out(site):
    """Added, given another key, checked, deleted; a page has neither the key nor its end."""
    new = {"scope": "installation", "name": "acme", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "key": KEY}
    added = await post(site, "/providers", **new)
    assert "The provider acme is added" in added.text
    shown = words(added.text)
    assert re.search(r"acme openai all projects .*http://127.0.0.1:9/v1 sealed", shown)
    assert KEY[-4:] not in added.text

    assert "Another key" in await page(site, "/providers?change=acme")
    assert "Change up" not in await page(site, "/providers?change=up")

    source = {"source": "installation"}
    assert "has another key" in (await post(site, "/providers/acme/key", key="sk-other-1", **source)).text
    assert "none was given" in (await post(site, "/providers/acme/key", key=" ", **source)).text
    assert "acme does not work" in (await post(site, "/providers/acme/check", model="")).text
    assert "up works: it lists 1 model" in (await post(site, "/providers/up/check", model="")).text
    assert "is taken away" in (await post(site, "/providers/acme/key", take="1", **source)).text
    assert "is deleted" in (await post(site, "/providers/acme/delete", **source)).text
    assert "acme" not in words(await page(site, "/providers"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "Not A Name"}, "cannot be the name"),
        ({"kind": "abacus"}, "abacus"),
        ({"name": "up", "scope": "installation"}, "The settings have a provider"),
        ({"kind": "azure"}, "has no address of its own"),
        ({"base_url": "file:///etc/passwd"}, "address"),
    ],
)
async def test_a_form_says_what_is_wrong_and_keeps_all_but_the_key(site, given, told):
    reply = await post(site, "/providers", **{"name": "mine", "kind": "openai", "key": KEY, "models": "a b", **given})

    assert reply.status_code in {400, 403, 409}
    assert told in words(reply.text)
    assert 'value="a b"' in reply.text


async def test_what_is_not_in_the_catalog_is_not_changed_here(site):
    assert "is not in the catalog" in (await post(site, "/providers/up/delete", source="settings")).text
    assert "There is no provider" in (await post(site, "/providers/up/delete", source="installation")).text
    assert "up" in words(await page(site, "/providers"))


async def test_viewers_look_and_change_nothing(site, ctx):
    key = await ctx.get(Projects).create_key(ctx, CreateKey(name="look", role=Role.VIEWER), ctx.project)
    theirs = {"authorization": f"Bearer {key.secret}"}

    for path in ("", "/routes", "/providers", "/playground"):
        text = await page(site, path, **theirs)
        assert "Add a provider" not in text
        assert "Run<" not in text or "disabled" in text
    for path in ("/providers", "/providers/up/key", "/providers/up/delete", "/providers/up/check"):
        reply = await site.post(at(site, path), data={"name": "x", "kind": "openai"}, headers=theirs)
        assert reply.status_code == 403


def state(ctx: Context, model: str, scope: str = "", **more) -> ModelState:
    return ModelState(provider="acme", model=model, scope=scope, since=ctx.now(), **{"state": "closed", **more})


async def test_health_tells_nothing_of_other_projects(ctx):
    """Of shared providers the models that the project called, without counts; of other projects' providers nothing."""
    states = [
        state(ctx, "theirs"),
        state(ctx, "own", scope=ctx.project, state="open"),
        state(ctx, "foreign", scope="other"),
        state(ctx, "foreign-too", scope="other", state="open"),
    ]

    some = standings((), (), states, project=ctx.project, everywhere=False, now=ctx.now())
    every = standings((), (), states, project=ctx.project, everywhere=True, now=ctx.now())

    assert [(one.called, one.word, one.counted) for one in some] == [("acme/own", "down", True)]
    assert [one.called for one in every] == ["acme/own", "acme/theirs"]
    assert [(one.provider, len(one.models)) for one in outages(some)] == [("acme", 1)]


@pytest.mark.browser
async def test_pages_fit_their_window_and_nothing_complains(site, ctx, browser_page: OpenPage):
    await routes.publish(ctx, PublishRoute(text=ROUTE))
    await asyncio.gather(*(call(site, "route:support") for _ in range(12)))

    async def look(width: int, theme: str) -> None:
        tab = None
        for path in (
            "",
            "/routes",
            "/routes/route:support?try=1",
            "/providers",
            "/playground?model=up/tiny&model=a&model=b",
        ):
            tab = await browser_page(f"{site.base_url}{at(site, path)}", width=width, theme=theme, tab=tab)
            assert tab.complaints == [], path
            assert await tab.overflow() == [], path

    await at_both_widths(look)
