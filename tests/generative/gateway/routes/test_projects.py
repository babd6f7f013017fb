"""Two projects with a provider of one name: apart in health, each with its own price, and told of what is not set up."""

from datetime import UTC, datetime

import pytest

from gimbal.engines.http.raw import RawClient
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.providers import store
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.routes import service
from gimbal.generative.gateway.routes.service import known_to
from gimbal.generative.gateway.routes.views import ChooseByRoute, PublishRoute
from gimbal.kernel.errors import Upstream
from gimbal.kernel.refs import Ref
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SHARED = (
    ProviderSettings(name="up", kind="vllm", base_url="http://127.0.0.1:9/v1", pricing="openai"),
    ProviderSettings(name="down", kind="vllm", base_url="http://127.0.0.1:9/v1"),
)


async def keep(catalog, scope, name, **settings):
    """Store a provider of a project, or of the installation."""
    found = ProviderSettings(name=name, kind="vllm", base_url="http://127.0.0.1:9/v1", **settings)
    async with catalog.write() as tx:
        number = await store.raised(tx)
        row = store.Row(scope=scope, settings=found, seal="", updated_at=NOW, updated_by="ada", revision=number)
        assert await store.insert(tx, row)


@pytest.fixture
async def providers(ctx, catalog):
    found = Providers(GatewaySettings(providers=SHARED), RawClient(), catalog=catalog, environ={})
    ctx.services.register(Providers, found)
    yield found
    await found.aclose()


async def test_a_projects_own_provider_is_apart_from_that_of_the_installation(ctx, catalog, providers):
    health = ctx.get(Health)
    assert await known_to(ctx) is health, "who has none of its own shares what is known"
    await keep(catalog, "default", "up")
    providers.forget()
    mine, theirs = await known_to(ctx), await known_to(ctx.within("other"))
    for _ in range(10):
        mine.broke_off(Choice(provider="up", model="m"), Upstream("It broke off."))
        mine.broke_off(Choice(provider="down", model="m"), Upstream("It broke off."))

    assert theirs is health
    assert mine is await known_to(ctx), "it is made once"
    assert {(state.scope, state.provider) for state in health.snapshot()} == {("default", "up"), ("", "down")}


async def test_prices_go_by_the_name_that_the_book_knows(ctx, providers):
    text = 'name = "r"\nstrategy = "cheapest"\ntargets = ["down/gpt-4o-mini", "up/gpt-4o-mini", "none/x"]'
    made = await service.publish(ctx, PublishRoute(text=text))
    chosen = await service.try_out(ctx, Ref.parse("route:r"), ChooseByRoute(input_tokens=1_000_000, answer_tokens=0))

    assert made.notes == ["No provider 'none' is set up here."]
    assert [target.model for target in chosen.targets] == ["up/gpt-4o-mini", "down/gpt-4o-mini", "none/x"]
    assert "up/gpt-4o-mini $0.15, down/gpt-4o-mini has no known price" in chosen.reasons[-1]


async def test_a_misspelt_provider_is_told(ctx, providers):
    made = await service.publish(ctx, PublishRoute(text='name = "r"\ntargets = ["dwn/m"]'))

    assert made.notes == ["No provider 'dwn' is set up here. Did you mean 'down'?"]
