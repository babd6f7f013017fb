"""The console's pages of sessions: the list, and one of them as a conversation."""

from urllib.parse import quote

import msgspec

from gimbal.axis.traces.blocks import Block, readable
from gimbal.axis.traces.finding_model import Conversation, Said
from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context
from gimbal.kernel.operations import PREFIX, find, invoke

_FILTERS = ("user", "feature", "model", "status", "text")
_TURNS = 20


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of a turn as the page shows it."""

    said: Said
    role: str
    """`user`, `assistant`, `system`, `tool` or another; empty for what is no message."""
    blocks: list[Block] = []
    output: list[Block] = []


@page("/sessions", title="Sessions", nav="Sessions", order=71, icon="person")
async def sessions_page(ctx: Context, request: PageRequest) -> View:
    """Show sessions, the one that spoke last first."""
    given = {name: request.query.get(name, "").strip() for name in _FILTERS}
    times = {name: parse_time(request.query[name], name) for name in ("since", "until") if request.query.get(name)}
    place = {"cursor": request.query.get("cursor") or None, "limit": request.number("limit", 50)}
    asked = {name: value for name, value in given.items() if value}
    found = await invoke(find("sessions.list"), ctx, {"project": request.project, **asked, **times, **place})
    return View("traces/sessions.html", {"found": found, "filtered": bool(asked or times)})


@page("/sessions/{id}", title="Session", icon="person")
async def session_page(ctx: Context, request: PageRequest) -> View:
    """Show one session as a conversation."""
    arguments = {
        "project": request.project,
        "id": request.path["id"],
        "cursor": request.query.get("cursor") or None,
        "limit": request.number("limit", _TURNS),
    }
    found: Conversation = await invoke(find("sessions.show"), ctx, arguments)
    lines = [(turn, [_line(request, turn.trace.trace_id, one) for one in turn.said]) for turn in found.turns.items]
    return View("traces/session.html", {"session": found.session, "turns": found.turns, "lines": lines})


def _line(request: PageRequest, trace_id: str, said: Said) -> Line:
    base = f"{PREFIX}/projects/{request.project}/traces/{trace_id}/payloads/"

    def address(digest: str) -> str:
        return base + quote(digest, safe=":")

    if said.message is not None:
        role = str(said.message.get("role", ""))
        return Line(said=said, role=role, blocks=readable(msgspec.json.encode([said.message]).decode(), address))
    return Line(said=said, role="", blocks=readable(said.input, address), output=readable(said.output, address))
