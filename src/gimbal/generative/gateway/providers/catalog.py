"""Which providers there are, and which one answers for a model's name.

Found in this order, the first of a name stays: the settings, then `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` and
`GIMBAL_DEMO_LLM_URL` in the environment, and always `local`. A provider's module is loaded when it is first used.
"""

import asyncio
import importlib
import os
from collections.abc import Mapping
from typing import cast

import msgspec

from gimbal.generative.gateway.call import Provider
from gimbal.kernel.errors import ConfigurationError, NotFound
from gimbal.kernel.settings import ProviderSettings

_KINDS = {
    "openai": ("gimbal.generative.gateway.providers.openai", "OpenAIProvider"),
    "anthropic": ("gimbal.generative.gateway.providers.anthropic", "AnthropicProvider"),
    "local": ("gimbal.generative.gateway.providers.local", "LocalProvider"),
}
DEMO = "demo"
LOCAL = "local"


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A provider before it is loaded."""

    name: str
    settings: ProviderSettings | None
    """None for the provider of this process."""
    claims: tuple[str, ...] = ()
    """Beginnings of model names that are its own when they come without a provider's name."""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One model that can be called."""

    id: str
    """`provider/model`."""
    provider: str


class Providers:
    """The providers of this process; each is loaded once, when it is first asked."""

    def __init__(self, configured: tuple[ProviderSettings, ...] = (), environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._entries: dict[str, _Entry] = {}
        self._loaded: dict[str, Provider] = {}
        for settings in configured:
            if settings.name in self._entries or settings.name == LOCAL:
                raise ConfigurationError(
                    f"Two providers are called {settings.name!r}.", where="gateway.providers", todo="Rename one."
                )
            self._entries[settings.name] = _Entry(name=settings.name, settings=settings)
        for entry in _found(self._environ):
            self._entries.setdefault(entry.name, entry)

    @property
    def names(self) -> list[str]:
        """Names of the providers, in the order in which they were found."""
        return list(self._entries)

    def get(self, name: str) -> Provider:
        """Return a provider, loading it when it is first asked for; raise NotFound for an unknown name."""
        if name not in self._entries:
            raise NotFound(
                f"There is no provider {name!r}.", where="model", todo=f"There are: {', '.join(self._entries)}."
            )
        if name not in self._loaded:
            self._loaded[name] = self._load(self._entries[name])
        return self._loaded[name]

    def route(self, model: str) -> tuple[Provider, str]:
        """Return the provider for a model's name and the model without the provider's name; NotFound otherwise."""
        name, slash, rest = model.partition("/")
        if slash and rest and name in self._entries:
            return self.get(name), rest
        for entry in self._entries.values():
            if entry.settings is not None and model in entry.settings.models:
                return self.get(entry.name), model
        for entry in self._entries.values():
            if model.startswith(entry.claims) and entry.claims:
                return self.get(entry.name), model
        raise NotFound(
            f"No provider serves the model {model!r}.",
            where="model",
            todo=f"Name it as provider/model; the providers are: {', '.join(self._entries)}.",
        )

    async def models(self) -> list[ModelCard]:
        """Return the models of every provider that can be asked now."""
        listed = await asyncio.gather(*(self._models(name) for name in self.names))
        return [
            ModelCard(id=f"{name}/{model}", provider=name)
            for name, models in zip(self.names, listed, strict=True)
            for model in models
        ]

    async def _models(self, name: str) -> list[str]:
        try:
            return await self.get(name).models()
        except ConfigurationError:  # whoever calls one of its models is told
            return []

    async def aclose(self) -> None:
        """Close the connections of all providers."""
        loaded, self._loaded = self._loaded, {}
        for provider in loaded.values():
            await provider.aclose()

    def _load(self, entry: _Entry) -> Provider:
        settings = entry.settings
        module, name = _KINDS[settings.kind if settings else LOCAL]
        kind = getattr(importlib.import_module(module), name)
        if settings is None:
            return cast("Provider", kind())
        key = self._environ.get(settings.api_key_env, "") if settings.api_key_env else ""
        if settings.api_key_env and not key:
            raise ConfigurationError(
                f"The key of the provider {settings.name!r} is not set.",
                where=settings.api_key_env,
                todo=f"Set the environment variable {settings.api_key_env} and start again.",
            )
        made = kind(settings.name, settings.base_url, key=key, models=settings.models, timeout_s=settings.timeout_s)
        return cast("Provider", made)


def _found(environ: Mapping[str, str]) -> list[_Entry]:
    entries: list[_Entry] = []

    def add(settings: ProviderSettings, *claims: str) -> None:
        entries.append(_Entry(name=settings.name, settings=settings, claims=claims))

    if environ.get("OPENAI_API_KEY"):
        url = environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        found = ProviderSettings(name="openai", kind="openai", base_url=url, api_key_env="OPENAI_API_KEY")
        add(found, "gpt-", "chatgpt-", "o1", "o3", "o4")
    if environ.get("ANTHROPIC_API_KEY"):
        url = (environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com").rstrip("/").removesuffix("/v1") + "/v1"
        found = ProviderSettings(name="anthropic", kind="anthropic", base_url=url, api_key_env="ANTHROPIC_API_KEY")
        add(found, "claude-")
    if environ.get("GIMBAL_DEMO_LLM_URL"):
        add(ProviderSettings(name=DEMO, kind="openai", base_url=environ["GIMBAL_DEMO_LLM_URL"]))
    entries.append(_Entry(name=LOCAL, settings=None))
    return entries
