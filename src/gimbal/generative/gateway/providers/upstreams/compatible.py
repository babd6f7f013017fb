"""Servers that speak OpenAI's wire: vLLM, SGLang, llama.cpp, Ollama, Mistral, Groq … and any other by its address.

They differ in what they know of it, which `kinds.toml` says. A model's name may have slashes here; it goes on as it is.
"""

from gimbal.generative.gateway.providers.upstreams.base import HttpProvider


class CompatibleProvider(HttpProvider):
    """One server that speaks OpenAI's wire."""


PROVIDER = CompatibleProvider
