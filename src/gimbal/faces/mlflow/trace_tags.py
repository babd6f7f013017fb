"""MLflow's calls on tags of traces, under both of its interfaces, and what tags and metadata may be."""

from collections.abc import Mapping

import msgspec

from gimbal.axis.traces.facts.model import FIXED, MAX_NAME, METADATA, NAME, SESSION, SOURCE_RUN, TAG, USER, Fact
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.faces.mlflow.names import MAX_KEY, MAX_TAG, invalid, value
from gimbal.faces.mlflow.table import call
from gimbal.faces.mlflow.trace_reading import trace_of
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.settings import Settings

_TAGS = "/mlflow/traces/{trace_id}/tags"
_MOST = 1000
_LONGEST_METADATA = 100_000


class TraceTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of a trace."""

    trace_id: str = ""
    key: str = ""
    value: str = ""


@call("PATCH", _TAGS, TraceTag, allow=Permission.DEVELOP)
@call("PATCH", _TAGS, TraceTag, allow=Permission.DEVELOP, version=3)
async def set_tag(ctx: Context, asked: TraceTag) -> None:
    """Set a tag of a trace."""
    checked = checked_tags(ctx, {asked.key: asked.value})
    row = await trace_of(ctx, asked.trace_id)
    facts = [Fact(kind=TAG, name=name, value=text) for name, text in checked.items()]
    await ctx.get(TraceFacts).put(ctx, {row.trace_id: facts})


@call("DELETE", _TAGS, TraceTag, allow=Permission.DEVELOP)
@call("DELETE", _TAGS, TraceTag, allow=Permission.DEVELOP, version=3)
async def delete_tag(ctx: Context, asked: TraceTag) -> None:
    """Take a tag of a trace away."""
    row = await trace_of(ctx, asked.trace_id)
    facts = (await ctx.get(TraceFacts).of(ctx, [row.trace_id])).get(row.trace_id, {})
    if asked.key not in facts.get(TAG, {}):
        raise NotFound(f"No trace tag with key '{asked.key[:200]}' for trace with ID '{asked.trace_id}'", where="key")
    await ctx.get(TraceFacts).put(ctx, {row.trace_id: [Fact(kind=TAG, name=asked.key, gone=True)]})


def checked_tags(ctx: Context, given: Mapping[str, str]) -> dict[str, str]:
    """Return tags that can be kept; raise BadInput for others."""
    if len(given) > _MOST:
        raise BadInput(f"A trace has at most {_MOST} tags.", where="tags", kept="nothing")
    cut = ctx.get(Settings).mlflow.truncate_long_values
    return {
        _key(name, "key"): value(text, MAX_KEY if name == NAME else MAX_TAG, "value", truncate=cut)
        for name, text in given.items()
        if name not in FIXED
    }


def metadata_facts(given: Mapping[str, str]) -> list[Fact]:
    """Return the metadata of a trace as facts; raise BadInput for what is too long or too many."""
    if len(given) > _MOST:
        raise BadInput(f"A trace has at most {_MOST} metadata.", where="trace_metadata", kept="nothing")
    short = {SESSION, USER, SOURCE_RUN}
    return [
        Fact(
            kind=METADATA,
            name=_key(name, "trace_metadata"),
            value=value(
                text, MAX_KEY if name in short else _LONGEST_METADATA, f"trace_metadata.{name}", truncate=False
            ),
        )
        for name, text in given.items()
    ]


def _key(text: str, where: str) -> str:
    """Return a key; raise BadInput. What stands in it is free, as in MLflow's own store: no file is named by it."""
    if not 1 <= len(text) <= MAX_NAME or "\0" in text:
        raise invalid(where, text, f"a key has 1 to {MAX_NAME} characters, and no NUL.")
    return text
