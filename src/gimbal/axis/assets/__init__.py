"""Assets: named things with immutable, content-addressed versions, aliases with their whole history, and lineage.

Kinds are registered by the rooms that own them. `gates` issues the permit that moves a gated alias; `endpoints` and
the gateway follow `AliasMoved`.
"""

from gimbal.axis.assets.model import (
    Alias,
    AliasMove,
    AliasMoved,
    Asset,
    AssetDiff,
    FileEntry,
    Lineage,
    Permit,
    Version,
    VersionAdded,
)

__all__ = [
    "Alias",
    "AliasMove",
    "AliasMoved",
    "Asset",
    "AssetDiff",
    "FileEntry",
    "Lineage",
    "Permit",
    "Version",
    "VersionAdded",
]
