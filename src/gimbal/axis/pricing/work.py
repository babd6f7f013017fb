"""The job that looks for a newer price book, and the schedule that starts it where the settings name a source."""

import contextlib

import msgspec

from gimbal.axis.pricing.records import Refresh
from gimbal.axis.pricing.refreshing import Refreshes
from gimbal.engines.compute.jobs import JobContext, job
from gimbal.engines.compute.schedules import Schedules
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import NotFound
from gimbal.kernel.settings import PricesSettings

SCHEDULE = "prices-refresh"


class RefreshPrices(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say: the settings name the source."""


@job("prices.refresh", retries=2)
async def refresh_prices(jc: JobContext, payload: RefreshPrices) -> Refresh:
    """Look for a newer book and take it; a source that is away is tried again, and the old prices go on to hold."""
    ctx = jc.context()
    # Whoever may set a schedule in a project does not change what all of them pay.
    ctx.within(None).require(Permission.ADMIN)
    found = await jc.services.get(Refreshes).refresh(ctx)
    await ctx.settle()
    return found


async def follow_settings(ctx: Context, settings: PricesSettings) -> None:
    """Make the schedule what the settings say, in the project of `ctx`; one that is right is left as it is."""
    schedules = ctx.get(Schedules)
    known = next((each for each in await schedules.all(ctx) if each.slug == SCHEDULE), None)
    wanted = settings.refresh if settings.url or settings.file else ""
    if not wanted:
        if known is not None and known.job == "prices.refresh":
            with contextlib.suppress(NotFound):
                await schedules.remove(ctx, SCHEDULE)
    elif known is None or known.cron != wanted or known.job != "prices.refresh":
        await schedules.set(ctx, SCHEDULE, cron=wanted, job="prices.refresh", payload=RefreshPrices())
