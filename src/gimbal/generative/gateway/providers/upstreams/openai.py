"""OpenAI. What its wire and its models have of their own stands in `kinds.toml`."""

from gimbal.generative.gateway.providers.upstreams.base import HttpProvider


class OpenAIProvider(HttpProvider):
    """OpenAI's API at its own address, or behind another one that is the same."""


PROVIDER = OpenAIProvider
