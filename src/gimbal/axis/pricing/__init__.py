"""Prices of model calls: dated price books, prices of one's own, token classes, and the arithmetic of cost.

`traces` prices spans with it and the gateway settles calls; an unknown price stays unknown. What a project pays is
found in layers: its own prices, those of the installation, the book that was refreshed, the book that is shipped.
"""

from gimbal.axis.pricing.model import Cost, Price, Usage

__all__ = ["Cost", "Price", "Usage"]
