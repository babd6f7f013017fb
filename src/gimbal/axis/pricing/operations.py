"""The operations on prices."""

from datetime import datetime
from typing import Annotated

from gimbal.axis.pricing.finding import FindPrice, FoundPrice
from gimbal.axis.pricing.listing import Layer, PriceEntry
from gimbal.axis.pricing.model import Tier
from gimbal.axis.pricing.overrides import SetPrice
from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.records import BookVersion, PriceChange, Refresh
from gimbal.axis.pricing.refreshing import Refreshes
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import CorruptUpload
from gimbal.kernel.http import Upload
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import DEFAULT_LIMIT, Page

describe("prices", "What model calls cost: the price book, and prices of one's own.")

Name = Annotated[str, "Its name: `p3` is a price of a project, `i3` one of the installation."]
Force = Annotated[bool, "Take a book that is older than the one in force, to go back."]


@operation("GET", "/projects/{project}/prices", name="prices.list", allow=Permission.VIEW)
async def list_prices(
    ctx: Context,
    project: str,
    provider: Annotated[str | None, "Only of this provider."] = None,
    model: Annotated[str | None, "Only names that contain this, or fit it where it has `*`."] = None,
    tier: Annotated[Tier | None, "Only of this tier."] = None,
    layer: Annotated[Layer | None, "Only of the project, the installation, or the book."] = None,
    at: Annotated[datetime | None, "Only those that count at this moment."] = None,
    removed: Annotated[bool, "Also those that were removed."] = False,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[PriceEntry]:
    """List what the project pays, per million tokens: its own prices, those of the installation, and the book."""
    return await ctx.get(Prices).page(
        ctx,
        provider=provider,
        model=model,
        tier=tier,
        layer=layer,
        at=at,
        removed=removed,
        cursor=cursor,
        limit=limit,
    )


@operation("POST", "/projects/{project}/prices/find", name="prices.find", allow=Permission.VIEW)
async def find_price(ctx: Context, project: str, body: FindPrice) -> FoundPrice:
    """Tell what a call would cost the project, by token class, and which prices count for it and why."""
    return await ctx.get(Prices).find(ctx, body)


@operation("POST", "/projects/{project}/prices", name="prices.set", allow=Permission.ADMIN, audited=True)
async def set_price(ctx: Context, project: str, body: SetPrice) -> PriceChange:
    """Set what the project pays for a model or a pattern of models, from a day on.

    What is stored keeps the price that it was counted with, until it is rerated.
    """
    ctx.audit(provider=body.provider, model=body.model)
    return await ctx.get(Prices).set(ctx, body)


@operation("POST", "/prices", name="prices.set_everywhere", allow=Permission.ADMIN, audited=True)
async def set_price_everywhere(ctx: Context, body: SetPrice) -> PriceChange:
    """Set what every project pays that has no price of its own."""
    ctx.audit(provider=body.provider, model=body.model)
    return await ctx.get(Prices).set(ctx, body)


@operation("DELETE", "/projects/{project}/prices/{name}", name="prices.remove", allow=Permission.ADMIN, audited=True)
async def remove_price(ctx: Context, project: str, name: Name) -> PriceChange:
    """Let a price of the project count no more; it is kept for the calls that were counted with it."""
    return await ctx.get(Prices).remove(ctx, name)


@operation("DELETE", "/prices/{name}", name="prices.remove_everywhere", allow=Permission.ADMIN, audited=True)
async def remove_price_everywhere(ctx: Context, name: Name) -> PriceChange:
    """Let a price of the installation count no more; it is kept for the calls that were counted with it."""
    return await ctx.get(Prices).remove(ctx, name)


@operation("GET", "/prices/versions", name="prices.versions", allow=Permission.VIEW)
async def price_versions(ctx: Context, cursor: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[BookVersion]:
    """List the price books that were in force some time; spans name theirs, and each is kept."""
    return await ctx.get(Prices).versions(cursor=cursor, limit=limit)


@operation("POST", "/prices/refresh", name="prices.refresh", allow=Permission.ADMIN, audited=True)
async def refresh_prices(ctx: Context, force: Force = False) -> Refresh:
    """Take the newest price book from the address or file in the settings.

    It is checked whole before any of it counts. Where it cannot be had, or is not right, the one before stays.
    """
    return await ctx.get(Refreshes).refresh(ctx, force=force)


@operation("PUT", "/prices/book", name="prices.take", allow=Permission.ADMIN, audited=True)
async def take_prices(ctx: Context, body: Upload, force: Force = False) -> Refresh:
    """Take a price book from a file in TOML, where the server cannot reach one."""
    raw = await body.read()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise CorruptUpload("The price book is not UTF-8.", kept="the prices before", todo="Mend the file.") from None
    return await ctx.get(Refreshes).take(ctx, text, source="upload", force=force)
