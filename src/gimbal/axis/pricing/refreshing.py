"""Takes a newer price book: read whole, checked whole, kept for ever, and put in force at once; or nothing is changed."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa

from gimbal.axis.pricing import store
from gimbal.axis.pricing.book import Book, read_book, version_key
from gimbal.axis.pricing.fetching import fetch
from gimbal.axis.pricing.model import Price
from gimbal.axis.pricing.overrides import KEPT
from gimbal.axis.pricing.records import OUTCOMES, Outcome, Refresh
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.pricing.snapshot import Snapshot, digest_of
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context
from gimbal.kernel.counters import Sample
from gimbal.kernel.errors import Conflict, GimbalError, StaleVersion, TooLarge, Upstream
from gimbal.kernel.settings import PricesSettings, mask_password

_LONGEST_MESSAGE = 1000


class Refreshes:
    """Refreshing on the catalog."""

    def __init__(self, catalog: Catalog, clock: Clock, snapshot: Snapshot, settings: PricesSettings) -> None:
        self._catalog = catalog
        self._clock = clock
        self._snapshot = snapshot
        self._settings = settings

    async def refresh(self, ctx: Context, *, force: bool = False) -> Refresh:
        """Read the book of the settings and take it. Raise Upstream, BadInput or Conflict; then the old one stays."""
        await self._snapshot.of("")
        known = self._snapshot.state.refresh
        source = self._settings.file or mask_password(self._settings.url)
        try:
            # What was refused or is not in force must be looked at again, also when the source says it is as before.
            usable = self._snapshot.state.current is not None and not force
            found = await fetch(self._settings, known.etag if usable else "")
            source = found.source
            if found.text is None:
                await self._note("unchanged", source=source, etag=found.etag)
                version = await self._version()
                return Refresh(outcome="unchanged", version=version, before=version, source=source)
            return await self.take(ctx, found.text, source=source, etag=found.etag, force=force)
        except Upstream as problem:
            await self._note("unreachable", source=source, problem=problem, etag=known.etag)
            raise

    async def take(self, ctx: Context, text: str, *, source: str, etag: str = "", force: bool = False) -> Refresh:
        """Take the text of a book. Raise BadInput for one with a mistake, Conflict for an older one without `force`."""
        try:
            if len(text) > self._settings.max_bytes:
                raise TooLarge(
                    f"The price book is larger than {self._settings.max_bytes} bytes.",
                    where=source,
                    kept=KEPT,
                    todo="Raise prices.max_bytes.",
                )
            # A day on, for a server whose clock is behind that of whoever wrote the book.
            latest = self._clock.now().date() + timedelta(days=1)
            book = await asyncio.to_thread(read_book, text, source, today=latest)
            return await self._take(ctx, book, text, source=source, etag=etag, force=force)
        except GimbalError as problem:
            if problem.status < 500:
                await self._note("refused", source=source, problem=problem)
            raise

    async def _take(self, ctx: Context, book: Book, text: str, *, source: str, etag: str, force: bool) -> Refresh:
        digest, now = digest_of(text), self._clock.now()
        self._snapshot.forget()
        above = (await self._snapshot.layers("")).books[0]
        books = store.price_books
        async with self._catalog.write(ctx) as tx:
            state = await store.locked(tx)
            same = sa.select(books.c.digest).where(books.c.version == book.version)
            known = (await tx.execute(same)).scalar()
            if known is not None and known != digest:
                raise Conflict(
                    f"Another price book has the version {book.version} already.",
                    where=f"{source}: version",
                    kept=KEPT,
                    todo=f"Give it a version of its own, such as {book.version.partition('.')[0]}.2: spans name it.",
                )
            older = version_key(book.version) < version_key(above.version.partition("~")[0])
            if older and not force:
                raise StaleVersion(
                    f"The price book {book.version} is older than {above.version}, which is in force.",
                    where=f"{source}: version",
                    kept=KEPT,
                    todo="Give it a newer version, or take it with `force`.",
                )
            values = {
                "version": book.version, "digest": digest, "text": text, "origin": source,
                "prices": len(book.prices), "taken_at": now, "taken_by": ctx.principal.name,
            }  # fmt: skip
            await insert_missing(tx, books, values)
            unchanged = above.version == book.version
            outcome: Outcome = "unchanged" if unchanged else "taken"
            refresh = self._noted(state, outcome, source=source, etag=etag)
            forced = state.forced if unchanged else older
            await store.put_state(
                tx, msgspec.structs.replace(state, current=book.version, forced=forced, refresh=refresh)
            )
        self._snapshot.forget()
        differs = {} if unchanged else _difference(above, book)
        return Refresh(
            outcome=outcome,
            version=book.version,
            before=above.version,
            source=source,
            prices=len(book.prices),
            **differs,
        )

    async def _version(self) -> str:
        return (await self._snapshot.layers("")).version

    async def _note(self, outcome: Outcome, *, source: str, problem: GimbalError | None = None, etag: str = "") -> None:
        async with self._catalog.write() as tx:
            state = await store.locked(tx)
            refresh = self._noted(state, outcome, source=source, etag=etag, message=str(problem or ""))
            await store.put_state(tx, msgspec.structs.replace(state, refresh=refresh))
        self._snapshot.forget()

    def _noted(
        self, state: store.State, outcome: Outcome, *, source: str, etag: str, message: str = ""
    ) -> store.Refreshing:
        counts = state.refresh.counts
        return store.Refreshing(
            checked_at=self._clock.now(),
            outcome=outcome,
            message=message.replace("\0", "")[:_LONGEST_MESSAGE],
            source=source,
            etag=etag,
            counts={**counts, outcome: counts.get(outcome, 0) + 1},
        )


def _difference(before: PriceBook, book: Book) -> Mapping[str, int]:
    def keyed(prices: tuple[Price, ...] | list[Price]) -> dict[tuple[object, ...], Price]:
        return {(p.provider, p.model, p.tier, p.valid_from): p for p in prices}

    old, new = keyed(before.all()), keyed(book.prices)
    both = old.keys() & new.keys()
    changed = sum(old[key] != new[key] for key in both)
    return {"added": len(new) - len(both), "changed": changed, "gone": len(old) - len(both)}


def samples(snapshot: Snapshot, clock: Clock) -> list[Sample]:
    """Return what /metrics shows of the book: of all processes, as of when this one last looked."""
    version = snapshot.version.partition(".")[0].partition("~")[0]
    age = clock.now().timestamp() - _midnight(version)
    help_ = "Books that were looked for at the source, by how that went."
    counts = snapshot.state.refresh.counts
    return [
        Sample(name="gimbal_prices_book_age_seconds", value=age, help="Time since the day of the first price book."),
        *(
            Sample(
                name="gimbal_prices_refresh_total",
                value=float(counts.get(outcome, 0)),
                help=help_,
                kind="counter",
                labels={"outcome": outcome},
            )
            for outcome in OUTCOMES
        ),
    ]


def _midnight(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
