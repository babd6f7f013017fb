"""What a run shows besides numbers: files under `media/<key>/<step>`, whose ending tells what they are."""

from typing import Any, Literal

import msgspec

from gimbal.axis.runs.model import check_path
from gimbal.kernel.errors import BadInput

FOLDER = "media"
MOST_ROWS = 10_000
MediaKind = Literal["image", "table", "histogram", "text", "caption", "audio"]
_KINDS: dict[str, MediaKind] = {
    ".table.json": "table",
    ".histogram.json": "histogram",
    ".caption.txt": "caption",
    ".txt": "text",
    ".png": "image",
    ".jpg": "image",
    ".gif": "image",
    ".webp": "image",
    ".wav": "audio",
}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of plain values."""

    columns: list[str]
    rows: list[list[Any]]
    left_out: int = 0
    """Rows that were too many to be kept."""


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """How often values were between edges: one more edge than there are counts."""

    edges: list[float]
    counts: list[int]
    missing: int = 0
    """Values that are no numbers, or infinite."""


def media_path(key: str, step: int, ending: str) -> str:
    """Return where something is kept; raise BadInput for a key that cannot be part of a path."""
    if not key:
        raise BadInput("A key has at least one character.", where="key", kept="nothing", todo="Name it.")
    return check_path(f"{FOLDER}/{key}/{step}{ending}")


def media_kind(path: str) -> MediaKind | None:
    """Return what the file of a run is; None for one that is not of this kind."""
    if not path.startswith(f"{FOLDER}/"):
        return None
    # Longer endings come first.
    return next((kind for ending, kind in _KINDS.items() if path.endswith(ending)), None)
