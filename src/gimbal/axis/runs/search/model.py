"""What a search over runs asks."""

from typing import Annotated, Literal

import msgspec

View = Literal["active", "deleted", "all"]


class RunQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs, in which order, and which page of them."""

    experiments: list[int] | None = None
    """Numbers of experiments of the project; null for all of them, an empty list for none."""
    filter: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    """Comparisons joined by AND: `metrics.auc > 0.8 AND params.depth = '3' AND tags.team LIKE 'op%'`."""
    order: list[str] = []
    """`metrics.auc DESC`, `attributes.start_time ASC`; newest first where nothing is said, and where all else is equal."""
    view: View = "active"
    """Runs that are not deleted, deleted ones, or both."""
    cursor: str | None = None
    """`next` of the page before, with the same filter and order."""
    limit: int = 50
    """How many on a page; 1,000 at most."""
