"""The prices of every project in memory, at most a second behind what any process has set.

A project without prices of its own shares one object with all the others, so that it costs its spans nothing.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from blake3 import blake3

from gimbal.axis.pricing import store
from gimbal.axis.pricing.book import SHIPPED, read_book, version_key
from gimbal.axis.pricing.layers import Layers, Version
from gimbal.axis.pricing.lookup import Lookup
from gimbal.axis.pricing.overrides import Override
from gimbal.axis.pricing.service import FREE, PriceBook, Pricer
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock
from gimbal.kernel.errors import BadInput, NotFound, Unavailable

_FRESH_S = 0.7
_LOOK_S = 1.0
_MOST_BOOKS = 8
_INSTALLATION = ""
_log = logging.getLogger(__name__)


def digest_of(text: str) -> str:
    """Return the digest of a book."""
    return f"b3:{blake3(text.encode()).hexdigest()}"


class Snapshot:
    """Books and overrides as they are in force; `of` answers from memory."""

    def __init__(self, catalog: Catalog, clock: Clock, *, shipped: Path = SHIPPED) -> None:
        self._catalog = catalog
        self._clock = clock
        self._text = shipped.read_text(encoding="utf-8")
        book = read_book(self._text, shipped.name)
        self._shipped = PriceBook(book.prices, book.version, book.exchange)
        self.state = store.State()
        """What was in force when somebody last looked."""
        self._common: Pricer | None = None
        self._by_project: dict[str, Pricer] = {}
        self._overrides: dict[str, dict[int, Override]] = {}
        self._books: list[PriceBook] = []
        self._read: dict[str, PriceBook] = {}
        self._until = 0.0
        self._loading = asyncio.Lock()

    @property
    def version(self) -> str:
        """Version of the book that is asked first."""
        return self._books[0].version if self._books else self._shipped.version

    async def of(self, project: str) -> Pricer:
        """Return the prices of a project as they are now, from memory when that is at most a second old.

        While the catalog is away what was known goes on to hold; raise Unavailable where nothing was ever known.
        """
        if self._until <= time.monotonic() or self._common is None:
            await self._follow()
        common = self._common
        if common is None:
            raise Unavailable("The prices are not read yet.", todo="Try again.", retry_after=1.0)
        return self._by_project.get(project, common)

    async def layers(self, project: str) -> Layers:
        """Return the same with its layers, for whoever shows them."""
        found = await self.of(project)
        return found if isinstance(found, Layers) else Layers([], self._books)

    async def below(self, scope: str) -> Layers:
        """Return what counts where a project, or the installation (empty), has no price of its own."""
        common = await self.layers("") if scope else None
        return common or Layers([], (await self.layers("")).books)

    async def follow(self, stop: asyncio.Event) -> None:
        """Look every second until stopped, so that what /metrics shows is as new as what calls are counted with."""
        while not stop.is_set():
            with contextlib.suppress(Unavailable):
                await self.of(_INSTALLATION)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_S)

    def forget(self) -> None:
        """Look anew the next time: this process has changed something."""
        self._until = 0.0

    async def _follow(self) -> None:
        known = self._common is not None
        # Those who ask while the catalog answers go by what was known.
        self._until = time.monotonic() + _FRESH_S
        try:
            async with self._loading:
                await self._load()
        except Unavailable:
            if not known:
                raise
            _log.warning("the prices cannot be read now; those that were known go on to hold")

    async def _load(self) -> None:
        if self._common is None:
            await self._keep_shipped()
        async with self._catalog.read() as tx:
            found = await store.state(tx)
            if self._common is not None and found.revision == self.state.revision:
                return
            goes_on = self._common is not None and found.revision > self.state.revision
            rows = await store.changed(tx, self.state.revision if goes_on else -1)
        books = await self._in_force(found)
        if not goes_on:
            self._overrides.clear()
        touched = {row.scope for row in rows}
        for row in rows:
            listed = self._overrides.setdefault(row.scope, {})
            listed.pop(row.number, None)
            if row.removed_at is None:
                listed[row.number] = row
        everything = books != self._books or _INSTALLATION in touched or self._common is None
        self._books, self.state = books, found
        self._put_together(self._overrides if everything else touched)

    def _put_together(self, scopes: Iterable[str]) -> None:
        shared = self._overrides.get(_INSTALLATION)
        installation = [Lookup(shared.values())] if shared else []
        plain = not installation and len(self._books) == 1
        self._common = self._books[0] if plain else Layers(installation, self._books)
        for scope in set(scopes) - {_INSTALLATION}:
            if own := self._overrides.get(scope):
                self._by_project[scope] = Layers([Lookup(own.values()), *installation], self._books)
            else:
                self._by_project.pop(scope, None)

    async def _in_force(self, state: store.State) -> list[PriceBook]:
        """Return the books, the first one first; one that cannot be read any more is passed over and told."""
        if state.current is None or state.current == self._shipped.version:
            return [self._shipped]
        try:
            refreshed = await self.book(state.current)
        except (BadInput, NotFound) as problem:
            _log.error("the price book %s in force cannot be read: %s", state.current, problem)
            return [self._shipped]
        # An upgrade may ship a newer book than the one that was refreshed before it.
        shipped = self._shipped.version.partition("~")[0]
        if not state.forced and version_key(state.current) < version_key(shipped):
            return [self._shipped, refreshed]
        return [refreshed, self._shipped]

    async def book(self, version: str) -> PriceBook:
        """Return a book that was in force some time; raise NotFound."""
        if version == self._shipped.version:
            return self._shipped
        if version in self._read:
            return self._read[version]
        query = sa.select(store.price_books.c.text).where(store.price_books.c.version == version)
        async with self._catalog.read() as tx:
            text = (await tx.execute(query)).scalar()
        if text is None:
            raise NotFound(
                f"There is no price book {version!r}.", where="version", todo="`gimbal prices versions` lists them."
            )
        book = await asyncio.to_thread(read_book, text, version)
        if len(self._read) >= _MOST_BOOKS:
            self._read.pop(next(iter(self._read)))
        self._read[version] = found = PriceBook(book.prices, version, book.exchange)
        return found

    async def at(self, project: str, version: str) -> Layers:
        """Return the very prices that a span of a project names by `price_book`, removed ones too; raise NotFound."""
        if version == FREE:
            return Layers([], [PriceBook([], FREE)])
        named = Version.parse(version)
        if named is None:
            raise NotFound(f"{version!r:.80} is not a version of prices.", where="version", todo="See a span's page.")
        if self._common is None:
            await self.of(project)
        book = await self.book(named.book)
        layers: list[Lookup[Override]] = []
        async with self._catalog.read() as tx:
            for own, number in reversed(named.overrides):
                found = await store.numbered(tx, project if own else _INSTALLATION, number)
                if found is None:
                    mark = f"{'p' if own else 'i'}{number}"
                    raise NotFound(f"There is no price {mark} here.", where="version", todo="See `gimbal prices list`.")
                layers.append(Lookup([found]))
        return Layers(layers, [book])

    async def _keep_shipped(self) -> None:
        """Keep the shipped book, too: the next upgrade brings another, and spans name this one."""
        digest, version = digest_of(self._text), self._shipped.version.partition("~")[0]
        books = store.price_books
        for name in (version, f"{version}~{digest[3:11]}"):
            async with self._catalog.read() as tx:
                known = (await tx.execute(sa.select(books.c.digest).where(books.c.version == name))).scalar()
            if known is None:
                values = {
                    "version": name, "digest": digest, "text": self._text, "origin": "shipped",
                    "prices": len(self._shipped.all()), "taken_at": self._clock.now(), "taken_by": "gimbal",
                }  # fmt: skip
                async with self._catalog.write() as tx:
                    await insert_missing(tx, books, values)
                    known = (await tx.execute(sa.select(books.c.digest).where(books.c.version == name))).scalar()
            if known == digest:
                self._shipped.version = name
                return
            # Another text bears this version already; one version must lead to one price.
