"""Every kind of provider keeps what the pipeline relies on."""

import pytest
from tests.upstreams import WORDS

from gimbal.generative.gateway.providers.registry import Providers
from gimbal.testing.providers import check_provider


@pytest.mark.parametrize("name", ["up", "claude"])
async def test_providers_conform(name: str, providers: Providers) -> None:
    """Those over HTTP, by each wire that the loopback upstream speaks."""
    assert await check_provider(await providers.get("default", name), "tiny") == "".join(WORDS)


async def test_the_provider_of_this_process_conforms(providers: Providers) -> None:
    """It answers from the context in the question."""
    question = "[1] a.md — Rings\nThe gimbal keeps both rings level.\n\nQuestion: What keeps both rings level?"
    assert "gimbal" in await check_provider(await providers.get("default", "local"), "extractive", question)
