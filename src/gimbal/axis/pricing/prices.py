"""The verbs of prices: set and remove one's own, take a newer book, list, find; and who is told what it costs."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Protocol

import msgspec
import sqlalchemy as sa

from gimbal.axis.pricing import overrides, store
from gimbal.axis.pricing.finding import FindPrice, FoundPrice, found_price
from gimbal.axis.pricing.layers import Layers
from gimbal.axis.pricing.listing import Layer, PriceEntry, entries, entry_of, fits
from gimbal.axis.pricing.lookup import Lookup
from gimbal.axis.pricing.model import Price
from gimbal.axis.pricing.overrides import Override, SetPrice
from gimbal.axis.pricing.records import BookVersion, PriceChange
from gimbal.axis.pricing.service import Pricer
from gimbal.axis.pricing.snapshot import Snapshot
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, DeadlineExceeded, NotFound, NotReady, Unavailable
from gimbal.kernel.operations import nearest
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor

_MOST_OVERRIDES = 2000


class StoredCalls(Protocol):
    """How many stored calls a change of prices is about; whoever keeps the calls implements it."""

    async def of_model(
        self, project: str | None, provider: str, names: Sequence[str], since: date, until: date | None
    ) -> int:
        """Count calls of models, by name or pattern; None is every project."""
        ...

    async def priced_by(self, project: str | None, mark: str) -> int:
        """Count calls whose price names an override."""
        ...


class Prices:
    """What every project pays."""

    def __init__(self, catalog: Catalog, clock: Clock, calls: StoredCalls | None = None) -> None:
        self._catalog = catalog
        self._calls = calls
        self.snapshot = Snapshot(catalog, clock)

    async def of(self, project: str) -> Pricer:
        """Return the prices of a project as they are now, from memory when that is at most a second old."""
        return await self.snapshot.of(project)

    async def at(self, project: str, version: str) -> Pricer:
        """Return the very prices that a span of a project names by `price_book`; raise NotFound."""
        return await self.snapshot.at(project, version)

    async def set(self, ctx: Context, body: SetPrice) -> PriceChange:
        """Set a price of the project, or of the installation; raise BadInput or Conflict when it cannot be meant."""
        draft, notes = await self._checked(ctx, body)
        scope = draft.scope
        async with self._catalog.write(ctx) as tx:
            state = await store.locked(tx)
            others = await store.of_scopes(tx, [scope])
            live = [other for other in others if other.removed_at is None]
            overrides.check_free(draft, live)
            if len(live) >= _MOST_OVERRIDES:
                raise NotReady(
                    f"There are {_MOST_OVERRIDES} prices already.", kept=overrides.KEPT, todo="Use patterns, or a book."
                )
            number = max((other.number for other in others), default=0) + 1
            found = msgspec.structs.replace(draft, number=number)
            await store.insert(tx, found, state.revision)
        self.snapshot.forget()
        return await self._set(ctx, found, notes)

    async def try_out(self, ctx: Context, body: SetPrice, asked: FindPrice) -> FoundPrice:
        """Return what a call would cost with a price that is not set; raise BadInput when it cannot be meant."""
        draft, notes = await self._checked(ctx, body)
        known = await self.snapshot.layers(draft.scope)
        found = found_price(Layers([Lookup([draft]), *known.overrides], known.books), asked, _moment(asked.at, ctx))
        # It has no number yet.
        why = [line.replace(f"{draft.mark} of", "the new price of", 1) for line in found.why]
        return msgspec.structs.replace(found, why=[*notes, *why], version="", entries=[])

    async def _checked(self, ctx: Context, body: SetPrice) -> tuple[Override, list[str]]:
        scope = ctx.project or ""
        draft = overrides.to_override(body, scope=scope, number=0, at=ctx.now(), by=ctx.principal.name)
        self.snapshot.forget()
        below = await self.snapshot.below(scope)
        overrides.check_currency(draft, {c for book in below.books for c in book.currencies()})
        notes = [] if body.unusual else overrides.check_usual(draft, _usual(below, draft))
        return draft, [*notes, *_unknown(below, draft)]

    async def _set(self, ctx: Context, found: Override, notes: list[str]) -> PriceChange:
        today = ctx.now().astimezone(UTC).date()
        planned = found.valid_from > today
        ended = found.valid_until is not None and found.valid_until <= today
        stored: int | None = 0
        if not planned:
            names = (found.model, *found.aliases)
            stored = await self._count(ctx.project, found.provider, names, found.valid_from, found.valid_until)
        if planned:
            effect = f"planned: calls from {found.valid_from} on"
        elif ended:
            effect = f"calls from {found.valid_from} to before {found.valid_until}, all of them in the past"
        else:
            effect = "calls from now on, at most a second later in every process"
        entry = entry_of(found, "planned" if planned else "ended" if ended else "in force")
        todo = "" if stored == 0 else _rerate(ctx, found)
        return PriceChange(price=entry, effect=effect, stored_calls=stored, todo=todo, notes=notes)

    async def _count(
        self, project: str | None, provider: str, names: Sequence[str], since: date, until: date | None
    ) -> int | None:
        if self._calls is None:
            return None
        try:
            return await self._calls.of_model(project, provider, names, since, until)
        except (Unavailable, DeadlineExceeded):
            return None

    async def remove(self, ctx: Context, mark: str) -> PriceChange:
        """Let a price count no more; what was counted with it goes on to name it. Raise NotFound, NotReady."""
        scope, now = ctx.project or "", ctx.now()
        wanted = mark.strip().lower()
        number = int(wanted[1:]) if wanted[1:].isascii() and wanted[1:].isdigit() and len(wanted) < 10 else 0
        async with self._catalog.write(ctx) as tx:
            state = await store.locked(tx)
            own = wanted[:1] == ("p" if scope else "i")
            found = await store.numbered(tx, scope, number) if own else None
            if found is None:
                raise NotFound(
                    f"There is no price {mark!r:.40} {'of this project' if scope else 'of the installation'}.",
                    where="name",
                    kept=overrides.KEPT,
                    todo="`gimbal prices list` names them: p3 is of a project, i3 of the installation.",
                )
            if found.removed_at is not None:
                raise NotReady(f"{found.mark} is removed already.", where="name", kept=overrides.KEPT)
            await store.remove(tx, found, state.revision, now, ctx.principal.name)
        self.snapshot.forget()
        gone = msgspec.structs.replace(found, removed_at=now, removed_by=ctx.principal.name)
        try:
            stored = await self._calls.priced_by(ctx.project, found.mark) if self._calls is not None else None
        except (Unavailable, DeadlineExceeded):
            stored = None
        return PriceChange(
            price=entry_of(gone, "removed"),
            effect="calls from now on are counted without it, at most a second later in every process",
            stored_calls=stored,
            todo="" if stored == 0 else _rerate(ctx, found),
        )

    async def page(
        self,
        ctx: Context,
        *,
        provider: str | None = None,
        model: str | None = None,
        tier: str | None = None,
        layer: Layer | None = None,
        at: datetime | None = None,
        removed: bool = False,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[PriceEntry]:
        """Return prices by provider and model; with `at` those alone that count at a moment."""
        check_limit(limit)
        after = cursor_text(cursor, "after") if cursor else ""
        layers = await self.snapshot.layers(ctx.project or "")
        rows = list(entries(layers, _moment(at, ctx)))
        if removed:
            rows += await self._removed(ctx)
        rows = [row for row in rows if fits(row, provider, model)]
        rows = [row for row in rows if (not tier or row.tier in {tier, None}) and (not layer or row.layer == layer)]
        if at is not None:
            rows = [row for row in rows if row.state == "in force"]
        total = len(rows)
        rows = sorted((row for row in rows if row.place > after), key=lambda row: row.place)
        more = encode_cursor({"after": rows[limit - 1].place}) if len(rows) > limit else None
        return Page(items=rows[:limit], next=more, total=total)

    async def _removed(self, ctx: Context) -> list[PriceEntry]:
        async with self._catalog.read() as tx:
            found = await store.of_scopes(tx, {"", ctx.project or ""})
        return [entry_of(each, "removed") for each in found if each.removed_at is not None]

    async def find(self, ctx: Context, asked: FindPrice) -> FoundPrice:
        """Return what a call would cost, by the prices in force or those that a span names."""
        at = _moment(asked.at, ctx)
        project = ctx.project or ""
        if asked.version is not None:
            return found_price(await self.snapshot.at(project, asked.version), asked, at)
        return found_price(await self.snapshot.layers(project), asked, at)

    async def versions(self, *, cursor: str | None = None, limit: int = 50) -> Page[BookVersion]:
        """Return the books that were in force some time, the newest taken first."""
        check_limit(limit)
        layers = await self.snapshot.layers("")
        books = store.price_books
        query = sa.select(*(c for c in books.c if c.name != "text"))
        if cursor:
            query = query.where(books.c.version < cursor_text(cursor, "version"))
        async with self._catalog.read() as tx:
            rows = (await tx.execute(query.order_by(books.c.version.desc()).limit(limit + 1))).mappings().all()
        now = {book.version for book in layers.books}
        found = [BookVersion(**{str(k): v for k, v in row.items()}, in_force=row["version"] in now) for row in rows]
        more = encode_cursor({"version": found[limit - 1].version}) if len(found) > limit else None
        return Page(items=found[:limit], next=more)


def _rerate(ctx: Context, found: Override) -> str:
    """Return the command that counts stored calls anew; of the whole installation it is run for each project."""
    where = {"default": "", None: " --project …"}.get(ctx.project, f" --project {ctx.project}")
    return f'gimbal pricing rerate --from {found.valid_from}{where} --reason "price {found.mark}"'


def _moment(at: datetime | None, ctx: Context) -> datetime:
    if at is not None and at.tzinfo is None:
        raise BadInput("The time has no zone.", where="at", todo="End it with Z or an offset.")
    return at or ctx.now()


def _usual(below: Layers, draft: Override) -> Price | None:
    if draft.price is None or "*" in draft.model:
        return None
    noon = datetime.combine(draft.valid_from, time(12), UTC)
    for tier in (draft.price.tier, "standard"):
        if (found := below.resolve(draft.provider, draft.model, noon, tier)) is not None:
            return found.price if found.price.currency == draft.price.currency else None
    return None


def _unknown(below: Layers, draft: Override) -> list[str]:
    """Return what may be a misspelt name: prices of what nobody knows are allowed, and count as soon as it is called."""
    known = {name for lookup in (*below.overrides, *below.books) for name in lookup.providers()}
    if draft.provider not in known:
        return [f"No price of a provider {draft.provider!r} was known. {nearest(draft.provider, known)}".strip()]
    if draft.factor is not None:
        listed = {p.model for book in below.books for p in book.all() if p.provider == draft.provider}
        noon = datetime.combine(draft.valid_from, time(12), UTC)
        if "*" not in draft.model and below.resolve(draft.provider, draft.model, noon) is None:
            return [f"Nothing below has a price of {draft.model!r} to multiply. {nearest(draft.model, listed)}".strip()]
    return []
