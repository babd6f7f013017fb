"""A new version of a prompt from a form: what was typed is checked, compared with what there is, and committed.

Whoever commits says on which version the text stands. Where another is the newest by then, nothing is written, and it is
told what the others wrote; the text that was typed is nobody's to drop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.prompts.files import SUFFIX
from gimbal.generative.prompts.model import (
    KIND,
    PlannedPrompt,
    PromptFile,
    PromptManifest,
    RenderedMessage,
    SeenPrompt,
    SyncedPrompt,
    SyncPrompts,
    SyncReport,
    declared_of,
    decode_manifest,
    format_messages,
)
from gimbal.generative.prompts.planning import plan_files, steps_of
from gimbal.generative.prompts.service import as_prompt, source
from gimbal.generative.prompts.sides import Side, sides
from gimbal.generative.prompts.stored import source_of, text_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, NotFound, StaleVersion
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import AtVersion, Latest, Ref

_MOST_WRITTEN = 10
_SAMPLES: Mapping[str, Any] = {"number": 1.5, "integer": 1, "boolean": True, "list": [], "object": {}}


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What a form holds."""

    name: str
    """Of the prompt."""
    text: str
    """What shall be stored, byte for byte."""
    base: int
    """Number of the newest version as the form was opened; 0 for a prompt that is new."""
    note: str = ""
    """Why, for the history."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a text would be."""

    plan: PlannedPrompt | None = None
    """None where it cannot be read."""
    problem: GimbalError | None = None
    """Why it cannot be read; `where` names the line."""
    lines: list[Side] | None = None
    """Against the newest version; None where they are too long to be compared."""
    messages: Sequence[RenderedMessage] = ()
    """Filled with the values that were given, or with samples."""
    unfilled: str = ""
    """Why the messages could not be filled."""
    line: int = 0
    """Line that the problem is on, from 1; 0 where it names none."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What others committed while somebody typed."""

    versions: list[Version]
    """Newest first, ten at most."""
    lines: list[Side] | None
    """From the version on which the text stands to the newest; None where they are too long."""


async def opened(ctx: Context, ref: Ref) -> tuple[Version, str]:
    """Return a version with the text of its file; raise BadInput for one that has none of ours, or that is no UTF-8."""
    version = await ctx.get(Assets).show(ctx, as_prompt(ref))
    _, content = await source(ctx, Ref.parse(str(version.ref)))
    try:
        return version, content.decode()
    except UnicodeDecodeError:
        raise BadInput(
            f"The file of {version.ref} is not UTF-8.", where="ref", todo="Save it as UTF-8 and sync it."
        ) from None


async def newest_of(ctx: Context, name: str) -> int:
    """Return the number of a prompt's newest version, 0 where there is none."""
    try:
        return (await ctx.get(Assets).resolve(ctx, Ref(KIND.name, name, Latest()))).number
    except NotFound:
        return 0


def file_of(edit: Edit) -> PromptFile:
    """Return the file that the form is."""
    return PromptFile(path=f"{edit.name}{SUFFIX}", text=edit.text)


async def check(ctx: Context, edit: Edit, values: str = "") -> Checked:
    """Return what the text would be, with what differs from the newest version, and its messages filled.

    `values` is a JSON object for the preview; what it does not say is filled with samples.
    """
    try:
        (step,) = (await steps_of(ctx, [file_of(edit)])).steps
        (plan,) = (await plan_files(ctx, [file_of(edit)])).prompts
    except GimbalError as problem:
        return Checked(problem=problem, line=_line(problem.where))
    before = ""
    if plan.newest:
        newest = await ctx.get(Assets).resolve(ctx, Ref(KIND.name, edit.name, AtVersion(plan.newest)))
        before = await _text(ctx, newest)
    lines = await asyncio.to_thread(sides, before, edit.text)
    try:
        given = {name: one for name, one in _given(values).items() if name in step.manifest.variables}
        filled = format_messages(step.manifest, _samples(step.manifest) | given)
    except GimbalError as problem:
        return Checked(plan=plan, lines=lines, unfilled=" ".join(filter(None, [problem.message, problem.todo])))
    return Checked(plan=plan, lines=lines, messages=filled)


def _line(where: str) -> int:
    """Return the line of `path:line` or `path:line:column`."""
    number = next((part for part in where.split(":")[1:] if part.isdecimal()), "")
    return int(number[:9]) if number else 0


async def _text(ctx: Context, version: Version) -> str:
    return await text_of(ctx.get(Blobs), source_of(version), decode_manifest(version.manifest))


def _given(text: str) -> dict[str, Any]:
    """Return the values for the preview; raise BadInput where they are no JSON object."""
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        raise BadInput(
            "The values for the preview are no JSON object.", where="values", todo='Write {"question": "…"}.'
        ) from None


def _samples(manifest: PromptManifest) -> dict[str, Any]:
    """Return a value for each variable without a default, so that a preview shows where it stands."""
    declared = declared_of(manifest)
    found: dict[str, Any] = {}
    for name in manifest.variables:
        variable = declared.get(name)
        if variable is None or variable.default is None:
            found[name] = _SAMPLES.get(variable.type if variable else "text", f"⟨{name}⟩")
    return found


async def commit(ctx: Context, edit: Edit) -> SyncedPrompt:
    """Store the text as the next version; raise StaleVersion where the newest is not the one that it stands on.

    A text that a version says already makes none. Raise BadInput naming the line that is wrong.
    """
    (row,) = (await plan_files(ctx, [file_of(edit)])).prompts
    if row.newest != edit.base:
        raise StaleVersion(
            f"The newest version of prompt:{edit.name} is v{row.newest}."
            if not edit.base
            else f"The newest version of prompt:{edit.name} is v{row.newest}, and this text stands on v{edit.base}.",
            where="base",
            kept="nothing; your text stands in the form",
            todo="Look at what was written meanwhile.",
        )
    seen = SeenPrompt(name=edit.name, newest=row.newest, digest=row.digest)
    body = SyncPrompts(files=[file_of(edit)], note=edit.note, seen=[seen])
    report: SyncReport = await invoke(find("prompts.sync"), ctx, {"project": ctx.project, "body": body})
    return report.prompts[0]


async def written_since(ctx: Context, name: str, base: int) -> Written | None:
    """Return what others made of a prompt since `base` was its newest version; None where nobody did."""
    newest = await newest_of(ctx, name)
    if newest <= base:
        return None
    assets = ctx.get(Assets)
    page = await assets.versions(ctx, KIND.name, name, limit=_MOST_WRITTEN)
    versions = [version for version in page.items if version.number > base]
    before = await _text(ctx, await assets.resolve(ctx, Ref(KIND.name, name, AtVersion(base)))) if base else ""
    after = await _text(ctx, versions[0])
    return Written(versions=versions, lines=await asyncio.to_thread(sides, before, after))
