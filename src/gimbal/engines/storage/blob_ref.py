"""How a blob is told of: apart from the store, which clients do without."""

import msgspec


class BlobRef(msgspec.Struct, frozen=True, kw_only=True):
    """What a put answers."""

    digest: str
    """`b3:` and 64 hex digits."""
    size: int
    """Bytes."""
