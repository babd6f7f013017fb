"""What the page of traces tells of taking them in: counters of this process, and which traces are kept."""

import msgspec

from gimbal.axis.traces.ingest import LAG
from gimbal.axis.traces.sampling import SetSampling
from gimbal.engines.console.pages import Form, PageRequest, Redirect, page_action
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke


class Ingest(msgspec.Struct, frozen=True, kw_only=True):
    """What came in by OTLP since this process started, of all projects."""

    received: int
    stored: dict[str, int]
    """By dialect."""
    sampled: dict[str, int]
    """Spans left out by sampling, by reason: `head` before they were stored, `tail` and `late` afterwards."""
    rejected: dict[str, int]
    """Spans rejected one by one, by reason."""
    refused: dict[str, int]
    """Spans refused with their request, by reason; senders come again with most of them."""
    truncated: int
    misdated: int
    lag_s: float | None
    """Seconds from a request to its spans being durable: half of the requests took less."""
    longest_s: float
    """The most seconds that it took."""
    waits_s: float
    """Seconds for which the oldest of what is not durable yet has waited now."""
    waiting: int
    """Rows that are not durable yet."""


def intake(ctx: Context) -> Ingest | None:
    """Return the counters of this process; None before the first span, and for who sees only some of the projects."""
    if ctx.principal.everywhere is None or not ctx.services.has(Counters):
        return None
    counts: dict[str, dict[str, float]] = {}
    for sample in ctx.get(Counters).samples():
        name = sample.name.removeprefix("gimbal_ingest_").removesuffix("_total")
        if name != sample.name:
            counts.setdefault(name, {})[next(iter(sample.labels.values()), "")] = sample.value

    def whole(name: str) -> int:
        return round(counts.get(name, {}).get("", 0))

    def parts(name: str) -> dict[str, int]:
        return {label: round(value) for label, value in sorted(counts.get(name, {}).items())}

    if not whole("spans_received"):
        return None
    lag, writer = ctx.get(Counters).timing(LAG), ctx.get(Writer).state()
    return Ingest(
        received=whole("spans_received"),
        stored=parts("spans_stored"),
        sampled=parts("spans_sampled"),
        rejected=parts("spans_rejected"),
        refused=parts("spans_refused"),
        truncated=whole("spans_truncated"),
        misdated=whole("spans_misdated"),
        lag_s=lag.quantile(0.5),
        longest_s=lag.longest,
        waits_s=writer.oldest_wait_ms / 1000,
        waiting=writer.queued_rows,
    )


@page_action("/traces/sampling", allow=Permission.ADMIN)
async def set_sampling_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Set which traces are kept."""
    # An empty field is null, or what the policy has without it.
    given = {name: value for name in SetSampling.__struct_fields__ if (value := form.get(name, "").strip())}
    try:
        body = _read_policy(given)
        await invoke(find("sampling.set"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        told = " ".join(filter(None, [error.message, error.todo]))
        return Redirect(request.href("/traces"), flash=told, tone="bad")
    told = "Everything is kept." if body.keeps_all else "From now on only a part of the traces is kept."
    return Redirect(request.href("/traces"), flash=told)


def _read_policy(given: dict[str, str]) -> SetSampling:
    try:
        return msgspec.convert(given, SetSampling, strict=False)
    except msgspec.ValidationError as problem:
        raise BadInput(f"That is no policy: {problem}.", where="sampling", todo="Give numbers.") from None
