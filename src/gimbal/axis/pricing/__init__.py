"""Prices of model calls: a dated price book, token classes, and the arithmetic of cost.

`traces` prices spans with it and the gateway settles calls; an unknown price stays unknown.
"""

from gimbal.axis.pricing.model import Cost, Price, Usage

__all__ = ["Cost", "Price", "Usage"]
