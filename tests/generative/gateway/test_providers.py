"""Which provider answers for a name: the settings first, then what the environment offers, and always `local`."""

import pytest
from tests.upstreams import WORDS

from gimbal.generative.gateway.providers.catalog import Providers
from gimbal.kernel.errors import ConfigurationError, NotFound
from gimbal.kernel.settings import ProviderSettings
from gimbal.testing.providers import check_provider

KEYS = {"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GIMBAL_DEMO_LLM_URL": "http://127.0.0.1:9/v1"}


async def test_the_environment_is_enough():
    providers = Providers((), KEYS)

    assert providers.names == ["openai", "anthropic", "demo", "local"]
    assert Providers((), {}).names == ["local"]
    for asked, provider, model in [
        ("gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("claude-sonnet-4", "anthropic", "claude-sonnet-4"),
        ("demo/org/model-7b", "demo", "org/model-7b"),
        ("local/extractive", "local", "extractive"),
    ]:
        found, name = providers.route(asked)
        assert (found.name, name) == (provider, model)
    await providers.aclose()


async def test_settings_win_and_listed_models_need_no_prefix():
    mine = ProviderSettings(name="openai", kind="openai", base_url="http://127.0.0.1:9/v1", models=("llama", "gpt-4o"))
    providers = Providers((mine,), KEYS)

    found, model = providers.route("llama")
    assert (found.name, model) == ("openai", "llama")
    assert await found.models() == ["llama", "gpt-4o"]
    assert found is providers.get("openai")
    await providers.aclose()


@pytest.mark.parametrize("model", ["gpt-4o", "nobody/x", "local/", "/x", "extractive"])
def test_a_name_that_nobody_serves_is_not_found(model):
    with pytest.raises(NotFound) as caught:
        Providers((), {}).route(model)

    assert caught.value.where == "model"
    assert "local" in caught.value.todo


async def test_two_of_one_name_and_a_missing_key_are_named():
    one = ProviderSettings(name="a", kind="openai", base_url="http://x/v1", api_key_env="NOT_SET")
    with pytest.raises(ConfigurationError, match="Two providers"):
        Providers((one, one), {})
    with pytest.raises(ConfigurationError, match="not set") as caught:
        Providers((one,), {}).route("a/m")

    assert caught.value.where == "NOT_SET"
    assert [card.id for card in await Providers((one,), {}).models()] == ["local/extractive"]


@pytest.mark.parametrize("name", ["up", "claude"])
async def test_providers_conform(name, providers):
    """Either wire keeps what the pipeline relies on."""
    assert await check_provider(providers.get(name), "tiny") == "".join(WORDS)


async def test_the_provider_of_this_process_conforms(providers):
    """It answers from the context in the question."""
    question = "Context:\n[a.md]\nGimbal keeps both rings level.\n\nQuestion: What keeps both rings level?"

    assert "Gimbal keeps both rings level" in await check_provider(providers.get("local"), "extractive", question)
