"""The verbs of prompts: sync a folder of files into versions, look one up, compare two, fill one.

Versions, aliases and lineage are `axis/assets`' business; this room only knows what a prompt is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.model import VersionDraft
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.prompts.changes import changes, text_diff
from gimbal.generative.prompts.files import SUFFIX
from gimbal.generative.prompts.model import (
    PromptDiff,
    PromptFile,
    PromptManifest,
    RenderedPrompt,
    SeenPrompt,
    SyncedPrompt,
    SyncReport,
    decode_manifest,
    format_messages,
)
from gimbal.generative.prompts.planning import Step, steps_of
from gimbal.generative.prompts.stored import content_of, source_of, text_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, StaleVersion
from gimbal.kernel.refs import Ref, ResolvedRef

_ATTEMPTS = 5


async def sync_files(
    ctx: Context, files: Sequence[PromptFile], note: str = "", seen: Sequence[SeenPrompt] = ()
) -> SyncReport:
    """Make each file the content of a version; all files are read before the first version is written.

    Idempotent: a file that says what a version already says makes none. Raise BadInput with `path:line`, and StaleVersion
    where the server is not what a plan has `seen`. Without a plan, what changed meanwhile is read again.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        steps = (await steps_of(ctx, files)).steps
        if seen:
            _check_seen(steps, seen)
        try:
            await _write(ctx, steps, note)
        except StaleVersion:
            if seen or attempt == _ATTEMPTS:
                raise
        else:
            return _report(steps)
    raise AssertionError


def _check_seen(steps: Sequence[Step], seen: Sequence[SeenPrompt]) -> None:
    """Raise StaleVersion for the first prompt of which the plan said another thing."""
    known = {one.name: one for one in seen}
    for step in steps:
        one = known.get(step.draft.name)
        if one is not None and (one.newest, one.digest) == (step.newest, step.digest):
            continue
        asset = f"prompt:{step.draft.name}"
        if one is None:
            what = f"The plan does not say anything of {asset}."
        elif one.newest != step.newest:
            what = f"The newest version of {asset} is v{step.newest}, not v{one.newest} as the plan saw it."
        else:
            what = f"{asset} would be another version than the plan said: the file, or what it includes, has changed."
        raise StaleVersion(what, where=step.draft.path, kept="nothing", todo="Plan again, and look at what differs.")


async def _write(ctx: Context, steps: Sequence[Step], note: str) -> None:
    """Write the versions that are new, what is included first; all of them or none."""
    new = [step for step in steps if step.writes]
    # Said now: the record of the audit is written with the versions.
    ctx.audit(created=[str(step.ref) for step in new], unchanged=len(steps) - len(new))
    if not new:
        return
    versions = [
        VersionDraft(
            name=step.draft.name,
            manifest=msgspec.to_builtins(step.manifest),
            files=[step.file],
            inputs=step.inputs,
            note=note,
            after=step.newest,
        )
        for step in new
    ]
    stored = await ctx.get(Blobs).put_many([step.draft.content for step in new])
    await ctx.get(Assets).add_versions(ctx, kind="prompt", new=versions, stored=stored)


def _report(steps: Sequence[Step]) -> SyncReport:
    rows = [
        SyncedPrompt(path=step.draft.path, ref=str(step.ref), state="created" if step.writes else step.state)
        for step in sorted(steps, key=lambda step: step.draft.path)
    ]
    created = sum(row.state == "created" for row in rows)
    return SyncReport(prompts=rows, created=created, unchanged=len(rows) - created)


def as_prompt(ref: Ref) -> Ref:
    """Return `ref` when it is a prompt's; raise BadInput otherwise."""
    if ref.kind != "prompt":
        raise BadInput(f"{ref} is not a prompt.", where="ref", todo="Write it like prompt:help/answer@production.")
    return ref


async def load_prompt(ctx: Context, ref: Ref) -> tuple[ResolvedRef, PromptManifest]:
    """Resolve a prompt and read its manifest; raise NotFound, or BadInput when `ref` is of another kind."""
    version = await ctx.get(Assets).resolve(ctx, as_prompt(ref))
    return version.ref, decode_manifest(version.manifest)


async def source(ctx: Context, ref: Ref) -> tuple[ResolvedRef, bytes]:
    """Return the file of a version, byte for byte; one that was made without a file is written.

    Raise NotFound, and BadInput for a prompt that another tool's client registered: its template is not ours.
    """
    version = await ctx.get(Assets).resolve(ctx, as_prompt(ref))
    entry, manifest = source_of(version), decode_manifest(version.manifest)
    if manifest.foreign is not None:
        raise BadInput(
            f"{version.ref} was registered by {manifest.foreign.format}'s client and has no file.",
            where="ref",
            todo="Load it with that client.",
        )
    return version.ref, await content_of(ctx.get(Blobs), entry, manifest)


async def compare(ctx: Context, before: Ref, after: Ref) -> PromptDiff:
    """Return what differs between two versions, of one prompt or of two; raise NotFound, or BadInput for another kind."""
    assets, blobs = ctx.get(Assets), ctx.get(Blobs)
    left, right = [await assets.resolve(ctx, as_prompt(ref)) for ref in (before, after)]
    manifests = decode_manifest(left.manifest), decode_manifest(right.manifest)
    texts = [
        await text_of(blobs, source_of(version), manifest)
        for version, manifest in zip((left, right), manifests, strict=True)
    ]
    text = await asyncio.to_thread(text_diff, texts[0], texts[1], right.name + SUFFIX)
    same = text == "" and left.manifest == right.manifest
    return PromptDiff(
        before=str(left.ref), after=str(right.ref), text=text, changes=[] if same else changes(*manifests)
    )


def render(ref: ResolvedRef, manifest: PromptManifest, variables: Mapping[str, Any]) -> RenderedPrompt:
    """Fill one version; raise BadInput for a variable that is missing, unknown or of another type."""
    return RenderedPrompt(
        ref=str(ref),
        model=manifest.model,
        messages=format_messages(manifest, variables),
        params=msgspec.to_builtins(manifest.params),
        tools=manifest.tools,
        response=manifest.response,
    )
