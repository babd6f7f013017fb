"""How the conformance suites say that a promise was broken."""

import contextlib
from collections.abc import Iterator


def promise(kept: bool, words: str) -> None:
    """Raise AssertionError with `words` when a promise was not kept; works under `python -O` too."""
    if not kept:
        raise AssertionError(words)


@contextlib.contextmanager
def refuses(kind: type[Exception], words: str) -> Iterator[None]:
    """Expect the block to raise `kind`; raise AssertionError with `words` when it does not."""
    try:
        yield
    except kind:
        return
    raise AssertionError(words)
