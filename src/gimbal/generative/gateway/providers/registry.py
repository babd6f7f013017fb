"""Which providers there are, and which one answers for a model's name: from memory, at most a second behind the catalog.

Found in this order, the first of a name stays: those of the project, of the settings, of the installation (in the catalog),
of the environment, and always `local`. A provider is loaded when it is first used. One that was changed or deleted serves
no further call, and calls in flight go on with what they began with.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from gimbal.engines.http.model import Client
from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.gateway.credentials.master import seals_of
from gimbal.generative.gateway.credentials.sealing import Seals
from gimbal.generative.gateway.provider import Provider
from gimbal.generative.gateway.providers import store
from gimbal.generative.gateway.providers.entries import (
    Entry,
    completed,
    configured,
    entry,
    key_of,
    offered,
    variable_of,
)
from gimbal.generative.gateway.providers.upstreams.kinds import kind_of
from gimbal.generative.gateway.providers.upstreams.local import LocalProvider
from gimbal.generative.gateway.providers.upstreams.sending import Setup, Wires
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import ConfigurationError, NotFound, Unavailable
from gimbal.kernel.settings_gateway import GatewaySettings

_FRESH_S = 0.9
_LOOK_S = 0.5
_MOST_REMEMBERED = 4096
_UPSTREAMS = "gimbal.generative.gateway.providers.upstreams"
_log = logging.getLogger(__name__)


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One model that can be called."""

    id: str
    """`provider/model`."""
    provider: str


class _Table:
    """What one project sees."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries: dict[str, Entry] = {}
        for one in entries:
            self.entries.setdefault(one.name, one)
        self.routes: dict[str, tuple[Provider, str]] = {}

    def find(self, model: str) -> tuple[Entry, str]:
        """Return who answers for a model's name, and the model without the provider's name; raise NotFound."""
        name, slash, rest = model.partition("/")
        if slash and rest and name in self.entries:
            return self.entries[name], rest
        for one in self.entries.values():
            if model in one.settings.models:
                return one, model
        for one in self.entries.values():
            if one.claims and model.startswith(one.claims):
                return one, model
        raise NotFound(
            f"No provider serves the model {model[:200]!r}.",
            where="model",
            todo=f"Name it as provider/model; the providers are: {', '.join(self.entries)}.",
        )


class Providers:
    """The providers of this process, by project."""

    def __init__(
        self,
        settings: GatewaySettings,
        client: Client,
        *,
        catalog: Catalog | None = None,
        environ: Mapping[str, str] | None = None,
        wires: Wires = wire_named,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._client = client
        self._catalog = catalog
        self._wires = wires
        self._configured = configured(settings.providers)
        self._offered = offered(self._environ)
        self.problem = ""
        """Why keys in the catalog cannot be opened; empty when nothing is wrong."""
        self.seals = Seals({})
        try:
            self.seals = seals_of(settings, self._environ)
        except ConfigurationError as error:
            self.problem = error.message
            _log.error("providers' keys in the catalog cannot be opened: %s", error)
        self._loaded: dict[tuple[str, str], tuple[Entry, Provider]] = {}
        self._common = _Table([*self._configured, *self._offered])
        self._tables: dict[str, _Table] = {}
        self._revision = -1
        self._read_at = 0.0
        self._until = 0.0 if catalog is not None else float("inf")
        self._looking = asyncio.Lock()

    async def route(self, project: str, model: str) -> tuple[Provider, str]:
        """Return the provider for a model's name, and the model without the provider's name.

        Raise NotFound where nobody serves it, ConfigurationError where whoever does has no key.
        """
        if self._until <= time.monotonic():
            await self.look()
        table = self._tables.get(project) or self._common
        found = table.routes.get(model)
        if found is None:
            one, rest = table.find(model)
            found = self._provider(one), rest
            if len(table.routes) >= _MOST_REMEMBERED:  # names of models come from callers
                table.routes.clear()
            table.routes[model] = found
        return found

    async def get(self, project: str, name: str) -> Provider:
        """Return a provider by its name; raise NotFound, or ConfigurationError where it has no key."""
        entries = await self.entries(project)
        if name not in entries:
            raise NotFound(
                f"There is no provider {name[:200]!r}.", where="model", todo=f"There are: {', '.join(entries)}."
            )
        return self._provider(entries[name])

    async def entries(self, project: str) -> Mapping[str, Entry]:
        """Return the providers that a project may call, by name, in the order in which they are asked."""
        if self._until <= time.monotonic():
            await self.look()
        return (self._tables.get(project) or self._common).entries

    async def models(self, project: str) -> list[ModelCard]:
        """Return the models of every provider that can be asked now."""
        names = list(await self.entries(project))
        listed = await asyncio.gather(*(self._models(project, name) for name in names))
        return [
            ModelCard(id=f"{name}/{model}", provider=name)
            for name, models in zip(names, listed, strict=True)
            for model in models
        ]

    async def _models(self, project: str, name: str) -> list[str]:
        try:
            return await (await self.get(project, name)).models()
        except (ConfigurationError, NotFound):  # whoever calls one of its models is told
            return []

    def variable(self, found: Entry) -> str:
        """Return the variable of this process that holds a provider's key; empty where none does."""
        return variable_of(found, self._environ)

    def is_given(self, name: str) -> bool:
        """Tell whether the settings have a provider of this name, or it is built in."""
        given = (one.name for one in (*self._configured, *self._offered) if one.source != "environment")
        return name in set(given)

    async def look(self) -> None:
        """Read what has changed in the catalog; while it is away what was known goes on to hold.

        Raise Unavailable where it was never read: a project's own provider may come before any other.
        """
        known = self._revision >= 0
        if known:
            # Those who ask while the catalog answers go by what was known.
            self._until = time.monotonic() + _FRESH_S
        async with self._looking:
            if not known and self._revision >= 0:  # somebody else has read it for the first time
                return
            try:
                await self._read()
            except Unavailable:
                if not known:
                    raise
                _log.warning("providers in the catalog cannot be read now; those that were known go on to hold")

    async def follow(self, stop: asyncio.Event) -> None:
        """Look twice a second until stopped, so that no call waits for the catalog; read it only where it may have changed."""
        read: int | None = None
        while not stop.is_set():
            commits = None if self._catalog is None else self._catalog.commits()
            if commits is not None and commits == read:
                self._read_at = time.monotonic()
                self._until = max(self._until, self._read_at + _FRESH_S)
            else:
                before = self._read_at
                with contextlib.suppress(Unavailable):
                    await self.look()
                read = commits if self._read_at != before else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_S)

    def behind_s(self) -> float:
        """Return how long ago the catalog was read."""
        return time.monotonic() - self._read_at if self._read_at else 0.0

    def forget(self) -> None:
        """Look anew the next time: this process has changed something."""
        if self._catalog is not None:
            self._until = 0.0

    async def aclose(self) -> None:
        """Close all connections."""
        loaded, self._loaded = self._loaded, {}
        for _, provider in loaded.values():
            await provider.aclose()
        await self._client.aclose()

    async def _read(self) -> None:
        if self._catalog is None:
            return
        first, asked = self._revision < 0, time.monotonic()
        async with self._catalog.read() as tx:
            revision = await store.revision(tx)
            rows = await store.everything(tx) if revision != self._revision else []
        if revision != self._revision:
            self._take(rows, revision)
        self._read_at = asked
        if first:
            self._until = asked + _FRESH_S

    def _take(self, rows: Sequence[store.Row], revision: int) -> None:
        by_scope: dict[str, list[Entry]] = {}
        for row in rows:
            try:
                found = _entry(row)
            except ConfigurationError as problem:  # a kind that this version does not know
                _log.error("the provider %s is left out: %s", row.name, problem)
                continue
            by_scope.setdefault(row.scope, []).append(found)
        rest = [*self._configured, *by_scope.pop("", []), *self._offered]
        self._common = _Table(rest)
        self._tables = {scope: _Table([*own, *rest]) for scope, own in by_scope.items()}
        kept = {one for table in (self._common, *self._tables.values()) for one in _places(table)}
        self._loaded = {place: held for place, held in self._loaded.items() if (*place, held[0].revision) in kept}
        self._revision = revision

    def _provider(self, found: Entry) -> Provider:
        place = (found.scope, found.name)
        held = self._loaded.get(place)
        if held is None:
            held = found, self.made(found)
            self._loaded[place] = held
        return held[1]

    def made(self, found: Entry) -> Provider:
        """Load a provider; raise ConfigurationError where it cannot be as it is configured."""
        kind = kind_of(found.settings.kind)
        if kind.by == "local":
            return LocalProvider()
        module = importlib.import_module(f"{_UPSTREAMS}.{kind.by}")
        setup = Setup(
            kind=kind,
            settings=completed(found, self._environ),
            key=key_of(found, self.seals, self._environ),
            scope=found.scope,
        )
        make = cast("Callable[..., Any]", module.PROVIDER)
        return cast("Provider", make(setup, self._client, wires=self._wires))


def _entry(row: store.Row) -> Entry:
    source = "project" if row.scope else "installation"
    return entry(row.settings, source, scope=row.scope, revision=row.revision, seal=row.seal)


def _places(table: _Table) -> list[tuple[str, str, int]]:
    return [(one.scope, one.name, one.revision) for one in table.entries.values()]
