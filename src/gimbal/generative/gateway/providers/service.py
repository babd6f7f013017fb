"""Providers in the catalog: made, changed, checked and deleted; their keys go in, are sealed, and never come out."""

import time
from typing import Any

import msgspec

from gimbal.engines.storage.catalog import Catalog
from gimbal.generative.gateway.checking import ask_one_word
from gimbal.generative.gateway.credentials.sealing import sealed_with
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.providers import store
from gimbal.generative.gateway.providers.entries import LOCAL, Entry, entry
from gimbal.generative.gateway.providers.model import (
    IDENTIFYING,
    ChangeProvider,
    CreateProvider,
    ProviderCard,
    ProviderCheck,
    Resealed,
)
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.rules import check
from gimbal.generative.gateway.providers.upstreams.base import HttpProvider
from gimbal.generative.gateway.providers.upstreams.kinds import kind_of
from gimbal.generative.gateway.providers.upstreams.sending import Setup
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, ConfigurationError, GimbalError, NameTaken, NotFound, NotReady
from gimbal.kernel.settings_gateway import ProviderSettings

_SAMPLE = 5
_PLACES = ("base_url", "token_url", "authority_host", "metadata_url")
"""Fields that say where a key goes."""
_SHOWN = ("headers", "region", "account", "api_version", "deployments", "timeout_s", *IDENTIFYING)


class ProviderService:
    """The verbs of providers in the catalog; `ctx.project` is the scope, none means the installation."""

    def __init__(self, catalog: Catalog, providers: Providers) -> None:
        self._catalog = catalog
        self._providers = providers

    async def list(self, ctx: Context) -> list[ProviderCard]:
        """Return the providers that count for a project (or, without one, for all), in their order."""
        entries = await self._entries(ctx)
        rows = await self._rows()
        return [self._card(one, rows) for one in entries.values()]

    async def show(self, ctx: Context, name: str) -> ProviderCard:
        """Return the one of this name that counts; raise NotFound."""
        entries = await self._entries(ctx)
        if name not in entries:
            raise _nobody(name)
        return self._card(entries[name], await self._rows())

    async def create(self, ctx: Context, body: CreateProvider) -> ProviderCard:
        """Keep a provider; raise NameTaken, BadInput or Forbidden."""
        given = msgspec.structs.asdict(body)
        key, given["api_key_env"] = Secret(given.pop("key")), given.pop("key_env")
        settings = ProviderSettings(**given)
        scope = ctx.project or ""
        self._check(ctx, settings, key)
        if settings.name == LOCAL or (not scope and self._providers.is_given(settings.name)):
            raise NameTaken(
                f"The settings have a provider {settings.name!r}.", where="name", todo="Choose another name."
            )
        row = self._with_key(ctx, store.Row(
            scope=scope, settings=settings, updated_at=ctx.now(), updated_by=ctx.principal.name
        ), key)  # fmt: skip
        self._try(row)
        async with self._catalog.write(ctx) as tx:
            row = msgspec.structs.replace(row, revision=await store.raised(tx))
            if not await store.insert(tx, row):
                raise NameTaken(
                    f"There is a provider {settings.name!r}.", where="name", todo="Change it, or choose another name."
                )
        return self._changed(row)

    async def change(self, ctx: Context, name: str, body: ChangeProvider) -> ProviderCard:
        """Change a provider of the scope; raise NotFound, BadInput or Forbidden."""
        given = {field: value for field, value in msgspec.structs.asdict(body).items() if value is not None}
        key = Secret(given.pop("key")) if "key" in given else None
        if "key_env" in given:
            given["api_key_env"] = given.pop("key_env")
        async with self._catalog.write(ctx) as tx:
            found = await store.one(tx, ctx.project or "", name)
            if found is None:
                raise _nobody(name)
            settings = msgspec.structs.replace(found.settings, **given)
            moved = [field for field in _PLACES if field in given and _differs(found, settings, field)]
            if moved and found.seal and key is None:
                raise BadInput(
                    "Another address needs the key again.", where="key", todo="Give the key that is meant for it."
                )
            self._check(ctx, settings, key if key is not None else Secret(found.seal))
            row = msgspec.structs.replace(
                found,
                settings=settings,
                revision=await store.raised(tx),
                updated_at=ctx.now(),
                updated_by=ctx.principal.name,
            )
            if key is not None:
                row = self._with_key(ctx, row, key)
            self._try(row)
            await store.put(tx, row)
        return self._changed(row)

    async def delete(self, ctx: Context, name: str) -> None:
        """Delete a provider of the scope with its key; raise NotFound."""
        async with self._catalog.write(ctx) as tx:
            await store.raised(tx)
            if not await store.remove(tx, ctx.project or "", name):
                raise _nobody(name)
        self._providers.forget()

    async def reseal(self, ctx: Context) -> Resealed:
        """Seal every key of the installation and its projects anew, under the newest master key."""
        seals = self._providers.seals
        if not seals.ids:
            raise NotReady(
                self._providers.problem or "There is no master key.",
                where="gateway.key_file",
                todo="Set `gateway.key_file` or `gateway.key_env` and start again.",
            )
        done, already, closed = 0, 0, list[str]()
        async with self._catalog.write(ctx) as tx:
            revision = await store.raised(tx)
            for row in await store.everything(tx):
                if not row.seal:
                    continue
                if seals.is_newest(row.seal):
                    already += 1
                    continue
                try:
                    key = seals.open(row.seal, row.scope, row.name)
                except ConfigurationError:
                    closed.append(f"{row.scope}/{row.name}" if row.scope else row.name)
                    continue
                seal = seals.seal(key, row.scope, row.name)
                await store.put(tx, msgspec.structs.replace(row, seal=seal, revision=revision))
                done += 1
        self._providers.forget()
        ctx.audit(sealed=done, closed=closed)
        return Resealed(sealed=done, already=already, closed=tuple(closed), master_key=seals.ids[0])

    async def check(self, ctx: Context, name: str, model: str) -> ProviderCheck:
        """Ask a provider for its models, or a model for one word, and tell what is wrong."""
        entries = await self._entries(ctx)
        if name not in entries:
            raise _nobody(name)
        asked, began = model or "models", time.monotonic()
        listed: list[str] = []
        try:
            provider = await self._providers.get(ctx.project or "", name)
            if model:
                await ask_one_word(ctx, provider, model)
            elif isinstance(provider, HttpProvider):
                listed = await provider.ask_models()
            else:
                listed = await provider.models()
        except GimbalError as problem:
            return ProviderCheck(
                ok=False,
                asked=asked,
                took_ms=_since(began),
                problem=problem.message,
                code=problem.code,
                todo=problem.todo,
            )
        sample = tuple(listed[:_SAMPLE])
        return ProviderCheck(ok=True, asked=asked, took_ms=_since(began), models=len(listed), sample=sample)

    async def _entries(self, ctx: Context) -> Any:
        self._providers.forget()
        return await self._providers.entries(ctx.project or "")

    async def _rows(self) -> dict[tuple[str, str], store.Row]:
        async with self._catalog.read() as tx:
            return {(row.scope, row.name): row for row in await store.everything(tx)}

    def _check(self, ctx: Context, settings: ProviderSettings, key: Secret) -> None:
        everywhere = ctx.principal.may(Permission.ADMIN, None)
        kind = check(settings, scope=ctx.project or "", everywhere=everywhere)
        if key and settings.api_key_env:
            raise BadInput("The key is given twice.", where="key_env", todo="Give the key, or its variable.")
        own = not settings.base_url or kind.owns(settings.base_url)
        if ctx.project and kind.needs_key and own and not key:
            raise BadInput(f"A provider of the kind {kind.name} needs a key.", where="key", todo="Give it.")

    def _with_key(self, ctx: Context, row: store.Row, key: Secret) -> store.Row:
        if not key:
            return msgspec.structs.replace(row, seal="", key_set_at=None, key_set_by="")
        seal = self._providers.seals.seal(key, row.scope, row.name)
        return msgspec.structs.replace(row, seal=seal, key_set_at=ctx.now(), key_set_by=ctx.principal.name)

    def _try(self, row: store.Row) -> None:
        """Load one with a key for a moment, so that what it cannot be is told now; raise BadInput."""
        if not (row.seal or row.settings.identity):
            return
        try:
            self._providers.made(_entry(row))
        except ConfigurationError as problem:
            raise BadInput(problem.message, where=problem.where, todo=problem.todo) from None

    def _changed(self, row: store.Row) -> ProviderCard:
        self._providers.forget()
        return self._card(_entry(row), {(row.scope, row.name): row})

    def _card(self, found: Entry, rows: dict[tuple[str, str], store.Row]) -> ProviderCard:
        settings, kind = found.settings, kind_of(found.settings.kind)
        in_catalog = found.source in {"project", "installation"}
        row = rows.get((found.scope, found.name)) if in_catalog else None
        problem, variable = "", settings.api_key_env
        try:
            variable = self._providers.variable(found)
            self._providers.made(found)
        except ConfigurationError as error:
            problem = error.message
        return ProviderCard(
            name=found.name,
            kind=settings.kind,
            source=found.source,  # pyright: ignore[reportArgumentType]
            base_url=settings.base_url or kind.base_url,
            key="sealed" if found.seal else "variable" if variable else "none",
            key_env=variable,
            master_key=sealed_with(found.seal),
            key_set_at=row.key_set_at if row else None,
            key_set_by=row.key_set_by if row else "",
            models=settings.models,
            claims=found.claims,
            pricing=Setup(kind=kind, settings=settings).pricing,
            **{field: getattr(settings, field) for field in _SHOWN},
            updated_at=row.updated_at if row else None,
            updated_by=row.updated_by if row else "",
            problem=problem,
        )


def _entry(row: store.Row) -> Entry:
    source = "project" if row.scope else "installation"
    return entry(row.settings, source, scope=row.scope, revision=row.revision, seal=row.seal)


def _differs(found: store.Row, settings: ProviderSettings, field: str) -> bool:
    return getattr(found.settings, field) != getattr(settings, field)


def _nobody(name: str) -> NotFound:
    return NotFound(
        f"There is no provider {name[:200]!r} here.", where="name", todo="`gimbal providers list` shows them."
    )


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
