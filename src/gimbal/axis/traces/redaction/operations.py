"""The operations on redaction."""

import msgspec

from gimbal.axis.traces.redaction import revealing
from gimbal.axis.traces.redaction.model import (
    RedactionPolicy,
    Reveal,
    Revealed,
    SetRedaction,
    Tried,
    TryRedaction,
)  # fmt: skip
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.redaction.rules import RECOMMENDED
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import describe, operation

_MOST_TRIED = 100_000

describe("redaction", "What is taken out of spans, events and scores before they are stored.")


@operation("GET", "/projects/{project}/redaction", name="redaction.show", allow=Permission.VIEW)
async def show_redaction(ctx: Context, project: str) -> RedactionPolicy:
    """Show the project's policy, and which keys this installation has; never the keys themselves."""
    return await ctx.get(Redactions).get(ctx)


@operation("PUT", "/projects/{project}/redaction", name="redaction.set", allow=Permission.ADMIN, audited=True)
async def set_redaction(ctx: Context, project: str, body: SetRedaction) -> RedactionPolicy:
    """Set what is taken out of what comes in from now on; every process follows within a second.

    What is stored already stays as it is. A policy with hash or token needs a key.
    """
    ctx.audit(**msgspec.to_builtins(body))
    return await ctx.get(Redactions).set(ctx, body)


@operation(
    "POST",
    "/projects/{project}/redaction/recommended",
    name="redaction.recommended",
    allow=Permission.ADMIN,
    audited=True,
)
async def set_recommended(ctx: Context, project: str) -> RedactionPolicy:
    """Set the recommended policy: contacts, cards and accounts, national ids and secrets are masked everywhere."""
    return await ctx.get(Redactions).set(ctx, RECOMMENDED)


@operation("POST", "/projects/{project}/redaction/test", name="redaction.test", allow=Permission.DEVELOP)
async def test_redaction(ctx: Context, project: str, body: TryRedaction) -> Tried:
    """Show what a policy makes of a text; nothing of it is stored."""
    if len(body.text) > _MOST_TRIED:
        raise BadInput(
            f"The text has {len(body.text)} characters.", where="text", todo=f"Try at most {_MOST_TRIED} at a time."
        )
    redactions = ctx.get(Redactions)
    if body.policy is None:
        redactor = await redactions.redactor(project)
    else:
        redactions.check(body.policy)
        redactor = redactions.made(project, body.policy)
    if redactor is None:
        return Tried(text=body.text, found=[], counts={})
    return await redactor.tried(body.text)


@operation(
    "POST", "/projects/{project}/redaction/reveal", name="redaction.reveal", allow=Permission.ADMIN, audited=True
)
async def reveal_tokens(ctx: Context, project: str, body: Reveal) -> Revealed:
    """Undo tokens: return what stood in their places, of a span or of any text with tokens in it.

    The audit log keeps who asked, why and for how many, never a value. Tokens of other projects, altered ones and those
    whose key is gone are refused one by one.
    """
    return await revealing.reveal(ctx, body)
