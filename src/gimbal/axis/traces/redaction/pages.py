"""The console's page of redaction: the policy, and a box to try it."""

from typing import Any

import msgspec

from gimbal.axis.traces.redaction.model import CustomPattern, RedactionPolicy, SetRedaction, Tried, TryRedaction
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.engines.text.registry import DETECTORS, FAMILIES
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke

_FAMILY = {
    "contact": "Addresses and phone numbers",
    "payment": "Cards and accounts",
    "national_id": "National ids",
    "network": "IP addresses",
    "secret": "Keys, tokens and passwords",
}
_ACTIONS = [
    ("mask", "Its kind, as [EMAIL]"),
    ("hash", "A keyed digest, the same for the same value"),
    ("token", "A token that the key undoes"),
    ("drop", "Nothing: its whole text is dropped"),
]
_IDENTITIES = [("scan", "They are looked into as any text"), *_ACTIONS[1:3], ("drop", "They are dropped")]


@page("/redaction", title="Redaction", nav="Redaction", order=94, icon="key")
async def redaction_page(ctx: Context, request: PageRequest) -> View:
    """Show what is taken out before it is stored."""
    return await _shown(ctx, request)


async def _shown(
    ctx: Context, request: PageRequest, text: str = "", tried: Tried | None = None, problem: str = ""
) -> View:
    policy: RedactionPolicy = await invoke(find("redaction.show"), ctx, {"project": request.project})
    families = [
        {
            "name": name,
            "title": _FAMILY.get(name, name),
            "what": "; ".join(one.description for one in DETECTORS.values() if one.family == name),
            "chosen": name in policy.detectors,
        }
        for name in FAMILIES
    ]
    data: dict[str, Any] = {
        "policy": policy,
        "families": families,
        "single": [name for name in policy.detectors if name not in FAMILIES],
        "actions": _ACTIONS,
        "identities": _IDENTITIES,
        "may_set": request.principal.may(Permission.ADMIN, request.project),
        "may_try": request.principal.may(Permission.DEVELOP, request.project),
        "text": text,
        "tried": tried,
        "pieces": _pieces(text, tried) if tried is not None else [],
        "problem": problem,
    }
    return View("traces/redaction.html", data)


def _pieces(text: str, tried: Tried) -> list[tuple[str, str]]:
    """Return a text in pieces, each with the kind of what it is, empty for what stays."""
    pieces: list[tuple[str, str]] = []
    at = 0
    for one in tried.found:
        pieces += ((text[at : one.start], ""), (text[one.start : one.end], one.kind))
        at = one.end
    return [piece for piece in (*pieces, (text[at:], "")) if piece[0]]


@page_action("/redaction", allow=Permission.ADMIN)
async def set_redaction_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Set the policy."""
    try:
        body = _read(form)
        await invoke(find("redaction.set"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        told = " ".join(filter(None, [error.message, error.todo]))
        return Redirect(request.href("/redaction"), flash=told, tone="bad")
    told = "From now on this is taken out." if body.is_on else "From now on nothing is taken out."
    return Redirect(request.href("/redaction"), flash=told)


@page_action("/redaction/recommended", allow=Permission.ADMIN)
async def recommended_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Set the recommended policy."""
    await invoke(find("redaction.recommended"), ctx, {"project": request.project})
    return Redirect(request.href("/redaction"), flash="The recommended policy is on.")


@page_action("/redaction/try", allow=Permission.DEVELOP)
async def try_action(ctx: Context, request: PageRequest, form: Form) -> View:
    """Show what becomes of a text; it stands in no address and no log."""
    text = form.get("text", "").replace("\r\n", "\n")
    try:
        body = TryRedaction(text=text)
        tried = await invoke(find("redaction.test"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        return await _shown(ctx, request, text, problem=error.message)
    return await _shown(ctx, request, text, tried)


def _read(form: Form) -> SetRedaction:
    lines = {name: [line.strip() for line in form.get(name, "").splitlines() if line.strip()] for name in _LINES}
    patterns: list[CustomPattern] = []
    for line in lines["patterns"]:
        kind, equals, pattern = line.partition("=")
        if not equals:
            raise BadInput(f"{line[:60]!r} is no pattern.", where="patterns", todo="Write a name, =, and the pattern.")
        patterns.append(CustomPattern(kind=kind.strip(), pattern=pattern.strip()))
    actions: dict[str, str] = {}
    for line in lines["actions"]:
        name, _, action = line.partition("=")
        actions[name.strip()] = action.strip()
    given = {
        "detectors": form.many("detectors"),
        "patterns": patterns,
        "action": form.get("action", "mask"),
        "actions": actions,
        "fields": form.many("fields"),
        "users": form.get("users", "scan"),
        "sessions": form.get("sessions", "scan"),
        "allow": lines["allow"],
        "allow_keys": lines["allow_keys"],
    }
    try:
        return msgspec.convert(msgspec.to_builtins(given), SetRedaction)
    except msgspec.ValidationError as error:
        raise BadInput(
            f"That is no policy: {error}.", where="redaction", todo="Actions are mask, hash, token and drop."
        ) from None


_LINES = ("patterns", "actions", "allow", "allow_keys")
