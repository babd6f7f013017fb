"""Tags of runs as MLflow's clients set them: checked, and those that mean more than a tag."""

from collections.abc import Mapping, Sequence

from gimbal.axis.runs.model import UpdateRun
from gimbal.faces.mlflow.names import MAX_PARAM, MAX_TAG, KeyValue, key, value
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput
from gimbal.kernel.settings import Settings

RUN_NAME = "mlflow.runName"
NOTE = "mlflow.note.content"


def checked_tags(ctx: Context, given: Sequence[KeyValue]) -> dict[str, str]:
    """Return tags that can be kept, the last of several of one key; raise BadInput for others."""
    cut = ctx.get(Settings).mlflow.truncate_long_values
    return {
        key(one.key, f"tags[{at}].key"): value(one.value, MAX_TAG, f"tags[{at}].value", truncate=cut)
        for at, one in enumerate(given)
    }


def checked_params(ctx: Context, given: Sequence[KeyValue]) -> dict[str, str]:
    """Return parameters that can be kept; raise BadInput for others, and for one key that comes twice."""
    cut = ctx.get(Settings).mlflow.truncate_long_values
    found = {
        key(one.key, f"params[{at}].key"): value(one.value, MAX_PARAM, f"params[{at}].value", truncate=cut)
        for at, one in enumerate(given)
    }
    if len(found) < len(given):
        names = [one.key for one in given]
        twice = sorted({name for name in found if names.count(name) > 1})
        raise BadInput(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one param "
            "value per param key.",
            where="params",
            kept="nothing",
        )
    return found


def meant(tags: Mapping[str, str]) -> UpdateRun | None:
    """Return what tags change of the run itself: its name and its note."""
    name, note = tags.get(RUN_NAME), tags.get(NOTE)
    return UpdateRun(name=name or None, note=note) if name or note is not None else None
