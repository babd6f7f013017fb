"""Undoing tokens: for admins, with a reason that the audit log keeps, and only so many at a time."""

import time
from collections import deque
from collections.abc import Iterable

import msgspec

from gimbal.axis.traces.redaction.model import Reveal, Revealed
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.redaction.tokens import TOKEN
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy, NotFound, NotReady

_MOST_TOKENS = 200
_LONGEST_REASON = 500
_MOST_TEXT = 1_000_000
_CALLS, _WITHIN_S = 30, 60.0
_MOST_CALLERS = 10_000


class Pace:
    """How often each caller came lately, in this process."""

    def __init__(self, calls: int = _CALLS, within_s: float = _WITHIN_S) -> None:
        self._calls, self._within = calls, within_s
        self._came: dict[tuple[str, str], deque[float]] = {}

    def step(self, caller: tuple[str, str]) -> None:
        """Count a call; raise Busy for one too many."""
        now = time.monotonic()
        if len(self._came) > _MOST_CALLERS:
            self._came = {one: at for one, at in self._came.items() if at[-1] > now - self._within}
        came = self._came.setdefault(caller, deque())
        while came and came[0] <= now - self._within:
            came.popleft()
        if len(came) >= self._calls:
            raise Busy(
                f"Tokens are revealed {self._calls} times in {self._within:g} seconds at most.",
                todo="Give several tokens at once.",
                retry_after=came[0] + self._within - now,
            )
        came.append(now)


async def reveal(ctx: Context, body: Reveal) -> Revealed:
    """Return what stands behind tokens. Raise BadInput, Busy for too many calls, NotReady without a key, NotFound."""
    if not 1 <= len(body.reason.strip()) <= _LONGEST_REASON:
        raise BadInput(
            "Revealing needs a reason.",
            where="reason",
            todo=f"Say in up to {_LONGEST_REASON} characters what it is for.",
        )
    project = ctx.project or "default"
    ctx.get(Pace).step((project, ctx.principal.id))
    texts = list(body.tokens)
    if sum(map(len, texts)) > _MOST_TEXT:
        raise BadInput("The texts are too long.", where="tokens", todo=f"Give at most {_MOST_TEXT} characters.")
    if body.trace_id or body.span_id:
        texts.append(await _span(ctx, body.trace_id, body.span_id))
    tokens = _tokens(texts)
    ctx.audit(reason=body.reason, tokens=len(tokens), trace_id=body.trace_id, span_id=body.span_id)
    if not tokens:
        raise BadInput("There is no token in it.", where="tokens", todo="They look so: [email:tok_k1_…].")
    if len(tokens) > _MOST_TOKENS:
        raise BadInput(
            f"{len(tokens)} tokens are too many.", where="tokens", todo=f"Give at most {_MOST_TOKENS} in one call."
        )
    keys = ctx.get(Redactions).keys(project)
    if keys is None:
        raise NotReady(
            "This installation has no key of redaction, so that tokens stay what they are.",
            where="redaction.key_file",
            todo="Configure the key that they were made with, if it still is.",
        )
    values: dict[str, str] = {}
    refused: dict[str, str] = {}
    for token in tokens:
        try:
            values[token] = keys.undone(token)
        except ValueError as problem:
            refused[token] = str(problem)
    ctx.audit(revealed=len(values))
    return Revealed(values=values, refused=refused)


def _tokens(texts: Iterable[str]) -> list[str]:
    """Return the tokens in some texts, each once; a text without any is one that is none."""
    found: dict[str, None] = {}
    for text in texts:
        found.update((one[0], None) for one in TOKEN.finditer(text))
    return list(found)


async def _span(ctx: Context, trace_id: str, span_id: str) -> str:
    trace = await ctx.get(Traces).get(ctx, trace_id)
    for span in trace.spans:
        if span.span_id == span_id:
            return msgspec.json.encode(span, enc_hook=str).decode()
    raise NotFound(f"The trace has no span {span_id[:40]}.", where="span_id", todo="Give one of its spans.")
