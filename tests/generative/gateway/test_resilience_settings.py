"""What `gimbal.toml` says under [gateway.resilience] is what calls go by, with and without a route."""

from pathlib import Path

import httpx
import pytest
from tests.generative.gateway.test_faults import HELLO, span_of
from tests.upstreams import Upstream

from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server import wiring
from gimbal.faces.server.stores import Stores
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.model import by_settings
from gimbal.generative.gateway.routes.service import Routes, publish
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.kernel.context import Context
from gimbal.kernel.errors import CorruptSettings
from gimbal.kernel.settings import Settings, load_settings

QUICK = "[gateway.resilience.retry]\nattempts = 4\nbase_s = 0.001\n"


def load(text: str, folder: Path) -> Settings:
    file = folder / "gimbal.toml"
    file.write_text(text)
    return load_settings(file=file, environ={}).settings


def use(ctx: Context, text: str, folder: Path) -> None:
    """Let the served gateway go by a settings file, as the wiring does."""
    resilience = load(text, folder).gateway.resilience
    ctx.services.register(Health, Health(resilience.health))
    ctx.services.register(Routes, Routes(by_settings(resilience)))


async def asked(http: httpx.AsyncClient, model: str = "up/tiny") -> httpx.Response:
    return await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO})


async def test_a_failed_call_is_tried_again_as_often_as_the_settings_say(
    http: httpx.AsyncClient, ctx: Context, upstream: Upstream, tmp_path: Path
) -> None:
    """Four attempts instead of two; the fourth one answers."""
    use(ctx, QUICK, tmp_path)
    upstream.faults = [503, 503, 503]
    assert (await asked(http)).status_code == 200
    assert len(upstream.received) == 4


async def test_what_a_route_says_goes_before_the_settings_and_what_it_leaves_out_does_not(
    http: httpx.AsyncClient, ctx: Context, upstream: Upstream, tmp_path: Path
) -> None:
    """Also where it says what would be the default without any settings."""
    use(ctx, QUICK + "[gateway.resilience.deadlines]\nfirst_byte_s = 7\n", tmp_path)
    await publish(ctx, PublishRoute(text='name = "twice"\ntargets = ["up/tiny"]\n[resilience.retry]\nattempts = 2'))
    await publish(ctx, PublishRoute(text='name = "usual"\ntargets = ["up/tiny"]\n[resilience.retry]\nmost_s = 1'))

    upstream.faults = [503] * 4
    assert (await asked(http, "route:twice")).status_code == 503
    assert len(upstream.received) == 2
    upstream.faults = [503] * 3
    assert (await asked(http, "route:usual")).status_code == 200
    assert len(upstream.received) == 6
    chosen = await http.post("/api/v1/projects/default/routes/route:usual/choose", json={})
    assert chosen.json()["resilience"] == {
        "deadlines": {"first_byte_s": 7},
        "retry": {"attempts": 4, "base_s": 0.001, "most_s": 1},
    }, chosen.text


async def test_a_deadline_of_the_settings_ends_a_call(
    http: httpx.AsyncClient, ctx: Context, upstream: Upstream, tmp_path: Path
) -> None:
    """The record says which one it was."""
    use(ctx, "[gateway.resilience.deadlines]\ntotal_s = 0.2\n", tmp_path)
    upstream.faults = ["hang", "hang"]
    reply = await asked(http)
    assert reply.status_code == 504
    assert (await span_of(ctx, reply.headers["x-gimbal-trace-id"])).status == "error"


async def test_breakers_open_when_the_settings_say_so(
    http: httpx.AsyncClient, ctx: Context, upstream: Upstream, tmp_path: Path
) -> None:
    """After two failures instead of ten; the next call is not sent."""
    text = (
        "[gateway.resilience.retry]\nattempts = 1\n[gateway.resilience.health.breaker]\nleast_calls = 2\nopen_s = 600\n"
    )
    use(ctx, text, tmp_path)
    upstream.faults = [500] * 3
    for _ in range(2):
        assert (await asked(http)).status_code >= 500
    kept = await asked(http)
    assert "failed too often" in kept.json()["error"]["message"]
    assert len(upstream.received) == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[gateway.resilience.retry]\nattempts = 9", "gateway.resilience.retry.attempts"),
        ("[gateway.resilience.deadlines]\nconnect_s = 0", "gateway.resilience.deadlines.connect_s"),
        ("[gateway.resilience.deadlines]\ntotal_s = 'long'", "gateway.resilience.deadlines.total_s"),
        ("[gateway.resilience.health.breaker]\nfailure_rate = 1.5", "gateway.resilience.health.breaker.failure_rate"),
        ("[gateway.resilience.health.breaker]\nprobes = 0", "gateway.resilience.health.breaker.probes"),
        ("[gateway.resilience.health]\nretry_share = -0.1", "gateway.resilience.health.retry_share"),
        ("[gateway.resilience]\nretries = 3", "gateway.resilience.retries"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(text: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptSettings, match=f"The setting {place} does not fit"):
        load(text, tmp_path)


async def test_the_server_is_built_by_them(ctx: Context, tmp_path: Path) -> None:
    """Its health and its routes, not those of some default."""
    settings = load(f'data = "{tmp_path}"\n{QUICK}[gateway.resilience.health]\nmost_models = 3\n', tmp_path)
    stores = Stores(catalog=ctx.get(Catalog), columns=ctx.get(Columns), blobs=ctx.get(Blobs), writer=ctx.get(Writer))
    made = wiring.build_services(settings, stores)
    await made.get(Providers).aclose()
    assert made.get(Health).settings.most_models == 3
    assert made.get(Routes).resilience.retry.attempts == 4
