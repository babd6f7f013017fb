"""What a search over runs asks, and what runs can be searched by."""

from typing import Annotated, Literal

import msgspec

from gimbal.kernel.filters import ALIASES, MAX_FILTER, Spec

View = Literal["active", "deleted", "all"]
RUNS = Spec(
    entities={
        "metric": "number",
        "parameter": "label",
        "tag": "label",
        "attribute": {
            "run_id": "listed",
            "run_name": "text",
            "status": "text",
            "user_id": "text",
            "artifact_uri": "text",
            "start_time": "number",
            "end_time": "number",
        },
        "dataset": {"name": "listed", "digest": "listed", "context": "listed"},
    },
    aliases={**ALIASES, "run": "attribute", "datasets": "dataset"},
    keys={
        "created": "start_time",
        "Created": "start_time",
        "run name": "run_name",
        "Run name": "run_name",
        "Run Name": "run_name",
    },
)


class RunQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs, in which order, and which page of them."""

    experiments: list[int] | None = None
    """Numbers of experiments of the project; null for all of them, an empty list for none."""
    filter: Annotated[str, msgspec.Meta(max_length=MAX_FILTER)] = ""
    """Comparisons joined by AND: `metrics.auc > 0.8 AND params.depth = '3' AND tags.team LIKE 'op%'`."""
    order: list[str] = []
    """`metrics.auc DESC`, `attributes.start_time ASC`; newest first where nothing is said, and where all else is equal."""
    view: View = "active"
    """Runs that are not deleted, deleted ones, or both."""
    cursor: str | None = None
    """`next` of the page before, with the same filter and order."""
    limit: int = 50
    """How many on a page; 1,000 at most."""
