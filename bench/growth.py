"""The growth of what questions take, from a hundred thousand spans over one million to ten million."""

from collections.abc import Iterator

from bench.bar import Figure
from bench.queries import SPANS, asked_of


def figures() -> Iterator[Figure]:
    """Ask each of three servers, each with a month of its own."""
    for spans in (SPANS // 10, SPANS, SPANS * 10):
        yield from asked_of(spans, bars=spans == SPANS)
