"""The console's form in which a prompt is written: the file as it is, a check of it, and the commit.

Every press of a button is a post of the whole form, so the form works without scripts, and whatever is refused is shown
with the text as it was typed.
"""

import asyncio
from typing import Any
from urllib.parse import quote_plus

from gimbal.axis.assets.model import Version
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.generative.prompts.editing import (
    Checked,
    Edit,
    check,
    commit,
    newest_of,
    opened,
    written_since,
)
from gimbal.generative.prompts.model import KIND
from gimbal.generative.prompts.service import as_prompt
from gimbal.generative.prompts.typed import notes_of, restored, shown
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError, StaleVersion, TooLarge
from gimbal.kernel.refs import Ref

_FRESH = """+++
model = "local/extractive"
description = ""
+++

## user
{{question}}
"""
_LONGEST_NUMBER = 9
# A form may have 1 MiB as it is sent; its other fields have room beside the text.
_LONGEST_FORM = 1_000_000


@page("/prompts/new", title="New prompt", icon="prompt", allow=Permission.DEVELOP)
async def new_page(ctx: Context, request: PageRequest) -> View:
    """Show the form of a prompt that is not there yet: empty, or as a copy of a version."""
    origin = request.query.get("from", "")
    if not origin:
        return _view(request, name="", text=_FRESH, origin="", base=0, kept=[])
    ref = as_prompt(Ref.parse(origin, kind=KIND.name))
    try:
        version, text = await _opened(ctx, ref)
    except (BadInput, TooLarge) as problem:
        return View("prompts/edit.html", _data(request, ref.name) | {"unfit": problem})
    return _view(
        request, name=f"{version.name}-copy", text=shown(text), origin=str(version.ref), base=0, kept=notes_of(text)
    )


@page("/prompts/{ref}/edit", title="Edit", icon="prompt")
async def edit_page(ctx: Context, request: PageRequest) -> View:
    """Show the file of a version, in a form for those who may make the next one."""
    ref = as_prompt(Ref.parse(request.path["ref"]))
    # First of all: what is written from here on is nothing that the text stands on.
    base = await newest_of(ctx, ref.name)
    try:
        version, text = await _opened(ctx, ref)
    except (BadInput, TooLarge) as problem:
        return View("prompts/edit.html", _data(request, ref.name) | {"unfit": problem})
    return _view(
        request,
        name=version.name,
        text=shown(text),
        origin=str(version.ref),
        base=base,
        kept=notes_of(text),
    )


async def _opened(ctx: Context, ref: Ref) -> tuple[Version, str]:
    """Return a version with the text of its file; raise TooLarge for one that a form cannot carry, BadInput without one."""
    version, text = await opened(ctx, ref)
    if len(quote_plus(shown(text))) > _LONGEST_FORM:
        raise TooLarge(
            f"The file of {version.ref} is too long for a form.",
            where="text",
            todo="Write it with `gimbal prompts pull`, edit the file, and sync it with `gimbal sync`.",
        )
    return version, text


@page_action("/prompts/new")
async def new_action(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Check a prompt that is not there yet, or commit it."""
    return await _posted(ctx, request, form, form.get("name", "").strip())


@page_action("/prompts/{ref}/edit")
async def edit_action(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Check what was typed, or commit it as the next version."""
    return await _posted(ctx, request, form, as_prompt(Ref.parse(request.path["ref"])).name)


async def _posted(ctx: Context, request: PageRequest, form: Form, name: str) -> Redirect | View:
    """Do what a button says; whatever goes wrong, the form is shown again with what it held."""
    do, sent = form.get("do", "check"), form.get("text", "")
    held = {"origin": form.get("origin", ""), "values": form.get("values", ""), "note": form.get("note", "")}
    base, written, checked, problem, source = 0, None, Checked(), None, ""
    try:
        base = _number(form.get("onto" if do == "onto" else "base", "0"))
        if held["origin"]:
            source = (await opened(ctx, Ref.parse(held["origin"], kind=KIND.name)))[1]
        text = await asyncio.to_thread(restored, sent, source)
        edit = Edit(name=name, text=text, base=base, note=held["note"])
        written = await written_since(ctx, name, base) if name else None
        checked = await check(ctx, edit, held["values"])
        if do == "commit" and checked.problem is None:
            made = await commit(ctx, edit)
            if made.state == "created":
                return Redirect(
                    request.href("/prompts/{ref}", ref=f"{KIND.name}:{name}", made=made.ref.rpartition("@")[2]),
                    flash=f"{made.ref} is committed. No alias has moved.",
                )
    except StaleVersion as error:
        problem = error
        written = await written_since(ctx, name, base)
    except GimbalError as error:
        problem = error
    failure = problem or (checked.problem if do == "commit" else None)
    return _view(
        request,
        status=failure.status if failure else 200,
        name=name,
        text=sent.replace("\r\n", "\n"),
        base=base,
        kept=notes_of(source),
        checked=checked,
        problem=problem,
        written=written,
        pressed=do,
        **held,
    )


def _number(text: str) -> int:
    """Return the number of a version; raise BadInput for anything else."""
    if not text.isdecimal() or len(text) > _LONGEST_NUMBER:
        raise BadInput(f"{text[:20]!r} is no version.", where="base", todo="Open the form anew, and copy your text.")
    return int(text)


def _data(request: PageRequest, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "text": "",
        "origin": "",
        "base": 0,
        "note": "",
        "values": "",
        "kept": [],
        "checked": None,
        "problem": None,
        "written": None,
        "unfit": None,
        "pressed": "",
        "fresh": "ref" not in request.path,
        "may": request.principal.may(Permission.DEVELOP, request.project),
    }


def _view(request: PageRequest, *, name: str, status: int = 200, **given: Any) -> View:
    return View("prompts/edit.html", _data(request, name) | given, status)
