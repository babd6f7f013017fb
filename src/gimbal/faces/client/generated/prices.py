"""Prices: written by gimbal.faces.client.generate, not by hand."""

from __future__ import annotations

from gimbal.axis.pricing.model import Price
from gimbal.faces.client.group import Group


class Prices(Group):
    """The price book of model calls."""

    def list(self) -> list[Price]:
        """List the price book: dollars per million tokens, each from a day on."""
        return self._transport.call("GET", "/prices", list[Price], path={})
