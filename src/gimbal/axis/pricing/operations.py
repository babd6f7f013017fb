"""The operation on prices."""

from gimbal.axis.pricing.model import Price
from gimbal.axis.pricing.service import PriceBook
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation

describe("prices", "The price book of model calls.")


@operation("GET", "/prices", name="prices.list", allow=Permission.VIEW)
async def list_prices(ctx: Context) -> list[Price]:
    """List the price book: dollars per million tokens, each from a day on."""
    return ctx.get(PriceBook).all()
