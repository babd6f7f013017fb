"""Annotations as Arize Phoenix takes them: its clients' calls, stored as scores of spans, traces and sessions.

`POST /v1/span_annotations`, `/v1/trace_annotations` and `/v1/session_annotations` with a batch. The same name, target and
`identifier` correct an annotation. With `sync=true` the answer has the ids, and an unknown target refuses the batch;
otherwise Phoenix lets annotations wait for what they judge, and so do we. Stored they are in both cases before the answer.
Source: the OpenAPI document of Phoenix 15, and its clients 3 (Python) and 6 (TypeScript).
"""

from typing import Any, Literal

import msgspec

from gimbal.axis.scores.service import Scores
from gimbal.axis.traces import judgements
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.http import HttpReply, HttpRequest, dialect
from gimbal.kernel.operations import decode_body

Kind = Literal["span", "trace", "session"]
_KINDS: tuple[Kind, ...] = ("span", "trace", "session")
_MOST = 10_000
# Of the server that first had all three; its client asks before it annotates a session.
_VERSION = "12.0.0"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an annotation says."""

    label: str | None = None
    score: float | None = None
    explanation: str | None = None


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """One annotation, of whichever of the three ids is there."""

    name: str
    annotator_kind: Literal["LLM", "CODE", "HUMAN"]
    result: Result | None = None
    metadata: dict[str, Any] | None = None
    identifier: str = ""
    span_id: str = ""
    trace_id: str = ""
    session_id: str = ""


class Annotations(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a call."""

    data: list[Annotation]


def problem(error: GimbalError) -> HttpReply:
    """Write an error as Phoenix does, with ours beside it."""
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after else {}
    body = msgspec.json.encode({"detail": error.message, "error": error.body()})
    return HttpReply(status=error.status, body=body, headers=headers)


@dialect("GET", "/arize_phoenix_version", dialect="phoenix", allow=Permission.VIEW, on_error=problem)
async def version(ctx: Context, request: HttpRequest) -> HttpReply:
    """Tell which Phoenix the annotations are those of."""
    return HttpReply(body=_VERSION.encode(), media_type="text/plain")


@dialect("POST", "/v1/span_annotations", dialect="phoenix", allow=Permission.DEVELOP, on_error=problem)
async def annotate_spans(ctx: Context, request: HttpRequest) -> HttpReply:
    """Store annotations of spans."""
    return await _annotate(ctx, request, "span")


@dialect("POST", "/v1/trace_annotations", dialect="phoenix", allow=Permission.DEVELOP, on_error=problem)
async def annotate_traces(ctx: Context, request: HttpRequest) -> HttpReply:
    """Store annotations of traces."""
    return await _annotate(ctx, request, "trace")


@dialect("POST", "/v1/session_annotations", dialect="phoenix", allow=Permission.DEVELOP, on_error=problem)
async def annotate_sessions(ctx: Context, request: HttpRequest) -> HttpReply:
    """Store annotations of sessions."""
    return await _annotate(ctx, request, "session")


async def _annotate(ctx: Context, request: HttpRequest, kind: Kind) -> HttpReply:
    given = decode_body(await request.body.read(), Annotations).data
    if len(given) > _MOST:
        raise BadInput(f"{len(given)} annotations in one request.", where="data", todo=f"Send at most {_MOST}.")
    targets = [getattr(one, f"{kind}_id").strip() for one in given]
    at_once = request.query.get("sync", "").lower() in {"true", "1"}
    known = await ctx.get(Traces).known(ctx, kind, sorted(set(targets))) if at_once or kind == "span" else {}
    missing = sorted(set(targets) - set(known)) if at_once else []
    if missing:
        raise NotFound(
            f"{kind.title()}s with IDs {', '.join(missing)} do not exist.",
            where="data",
            kept="nothing of this request",
            todo="Send it again when they are stored, or without sync=true.",
        )
    found: dict[str, judgements.Judgement] = {}
    for index, (one, target) in enumerate(zip(given, targets, strict=True)):
        result = one.result or Result()
        fields = {
            "name": one.name,
            "score": result.score,
            "label": result.label,
            "explanation": result.explanation,
            "annotator_kind": one.annotator_kind,
            "identifier": one.identifier,
            "metadata": one.metadata,
        }
        project, trace = ctx.project or "default", known.get(target, "")
        judgement = judgements.annotation(project, (kind, target), trace, to_us(ctx.now()), fields)
        if judgement is None:
            raise BadInput(
                f"An annotation needs a name and a {kind}_id of 1 to 200 characters.",
                where=f"data[{index}]",
                kept="nothing of this request",
                todo="Mend it.",
            )
        found[judgement.id] = judgement
    if found:
        await ctx.get(Scores).keep(ctx, list(found.values()))
        await ctx.settle()
    told = [{"id": own} for own in found] if at_once else []
    return HttpReply(body=msgspec.json.encode({"data": told}))
