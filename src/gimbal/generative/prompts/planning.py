"""What a sync would do: files read, what they include looked up, each compared with the newest version of its prompt.

One read of what is there serves all files. A plan writes nothing; a sync carries it out.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from gimbal.axis.assets import content
from gimbal.axis.assets.model import FileEntry
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.generative.prompts.changes import changes, text_diff
from gimbal.generative.prompts.files import SUFFIX, read_prompt, write_prompt
from gimbal.generative.prompts.including import Draft, Meaning, drafted, in_order, included, meanings, names_of, refs_of
from gimbal.generative.prompts.model import (
    SOURCE,
    PlannedPrompt,
    PromptFile,
    PromptManifest,
    SyncPlan,
    check_manifest,
    decode_manifest,
    variables_of,
)
from gimbal.generative.prompts.stored import StoredPrompt, StoredPrompts, stored_prompts, text_of
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.refs import AtVersion, Ref, ResolvedRef, check_name

_LOOKUPS = 16


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with one file."""

    draft: Draft
    manifest: PromptManifest
    """With what it includes."""
    file: FileEntry
    inputs: Sequence[ResolvedRef]
    state: str
    number: int
    """Number of the version that the file would be, or is."""
    newest: int
    digest: str

    @property
    def ref(self) -> ResolvedRef:
        """The version that the file would be, or is."""
        return ResolvedRef(kind="prompt", name=self.draft.name, number=self.number, digest=self.digest)

    @property
    def writes(self) -> bool:
        """Whether there would be a new version."""
        return self.state in {"created", "changed"}


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync would do; what is included stands before what includes it."""

    steps: Sequence[Step]
    stored: StoredPrompts


def name_of(path: str) -> str:
    """Return the asset name of a prompt file; raise BadInput when the path cannot be one."""
    if not path.endswith(SUFFIX):
        raise BadInput(f"{path!r} is not a prompt file.", where=path, todo=f"Prompt files end in {SUFFIX}.")
    try:
        return check_name(path.removesuffix(SUFFIX).removeprefix("./"))
    except BadInput as problem:
        raise BadInput(problem.message, where=path, todo=problem.todo) from None


async def steps_of(ctx: Context, files: Sequence[PromptFile]) -> Steps:
    """Return what is to be done with each file; raise BadInput with `path:line` for the first that cannot be."""
    drafts = await asyncio.to_thread(_drafts, files)
    stored = await stored_prompts(ctx, list(drafts))
    given = await meanings(ctx, drafts, stored)
    return Steps(steps=await asyncio.to_thread(_steps, drafts, stored, given), stored=stored)


def _drafts(files: Sequence[PromptFile]) -> dict[str, Draft]:
    drafts: dict[str, Draft] = {}
    for file in sorted(files, key=lambda file: file.path):
        name = name_of(file.path)
        if name in drafts:
            raise BadInput(
                f"Two files are the prompt {name!r}.", where=file.path, kept="nothing", todo="Send each file once."
            )
        try:
            encoded = file.text.encode()
        except UnicodeEncodeError as problem:
            line = file.text.count("\n", 0, problem.start) + 1
            raise BadInput(
                "The file holds half a character.", where=f"{file.path}:{line}", todo="Save it as UTF-8."
            ) from None
        manifest = read_prompt(file.text, file.path)
        drafts[name] = Draft(
            path=file.path,
            name=name,
            text=file.text,
            content=encoded,
            manifest=manifest,
            includes=names_of(manifest),
        )
    return drafts


def _steps(drafts: Mapping[str, Draft], stored: StoredPrompts, given: Mapping[str, Meaning]) -> list[Step]:
    done: dict[str, Step] = {}
    for draft in in_order(drafts, stored):
        known = dict(given)
        for written in draft.includes:
            name = drafted(written, drafts, stored)
            if name is not None:
                known[written] = _new(draft, written, done[name])
        done[draft.name] = _step(draft, known, stored.prompts.get(draft.name))
    return list(done.values())


def _new(draft: Draft, written: str, step: Step) -> Meaning:
    """Return another file of the sync as what is included; raise BadInput where it will not be the version that is named."""
    selector = Ref.parse(written, kind="prompt").selector
    if isinstance(selector, AtVersion) and selector.number != step.number:
        raise draft.problem(
            written, f"prompt:{step.draft.name} has no version {selector.number}.", f"The file will be v{step.number}."
        )
    return Meaning(ref=step.ref, manifest=step.manifest)


def _step(draft: Draft, given: Mapping[str, Meaning], stored: StoredPrompt | None) -> Step:
    manifest = draft.manifest
    file = FileEntry(path=SOURCE, digest=digest_of(draft.content), size=len(draft.content), media_type="text/markdown")
    try:
        if draft.includes:
            pinned = tuple(included(draft, given))
            names = variables_of(manifest.messages, pinned)
            manifest = check_manifest(msgspec.structs.replace(manifest, includes=pinned, variables=names))
        plain = content.plain(msgspec.to_builtins(manifest))
    except GimbalError as problem:
        if problem.where.startswith(draft.path):
            raise
        where = f"{draft.path}: {problem.where}" if problem.where else draft.path
        raise type(problem)(problem.message, where=where, kept="nothing", todo=problem.todo) from None
    digest = content.digest("prompt", plain, [file])
    state, number = "created", 1
    if stored is not None:
        # A version that was made without a file is the file that would be written for it.
        written = draft.text == write_prompt(manifest)
        bare = content.digest("prompt", plain, []) if written else ""
        same = next((one for one in (digest, bare) if one in stored.digests), "")
        if _is_newest(draft, manifest, digest, stored):
            state, number, digest = "unchanged", stored.number, stored.digest
        elif same:
            state, number, digest = "reverted", stored.digests[same], same
        else:
            state, number = "changed", stored.number + 1
    return Step(
        draft=draft,
        manifest=manifest,
        file=file,
        inputs=refs_of(draft, given),
        state=state,
        number=number,
        newest=stored.number if stored else 0,
        digest=digest,
    )


def _is_newest(draft: Draft, manifest: PromptManifest, digest: str, stored: StoredPrompt) -> bool:
    if digest == stored.digest:
        return True
    if stored.source is not None:
        return False
    before = decode_manifest(stored.manifest)
    return before.foreign is None and before.includes == manifest.includes and write_prompt(before) == draft.text


async def plan_files(ctx: Context, files: Sequence[PromptFile]) -> SyncPlan:
    """Return what a sync of these files would do, with what differs; nothing is written. Raise BadInput as a sync would."""
    found = await steps_of(ctx, files)
    gate = asyncio.Semaphore(_LOOKUPS)
    rows = await asyncio.gather(*(_planned(ctx, step, found.stored, gate) for step in found.steps))
    rows = sorted(rows, key=lambda row: row.path)
    counts = {
        state: sum(row.state == state for row in rows) for state in ("created", "changed", "unchanged", "reverted")
    }
    ours = {row.name for row in rows}
    elsewhere = [f"prompt:{name}" for name in found.stored.names if name not in ours]
    return SyncPlan(prompts=rows, elsewhere=elsewhere, **counts)


async def _planned(ctx: Context, step: Step, stored: StoredPrompts, gate: asyncio.Semaphore) -> PlannedPrompt:
    row = PlannedPrompt(
        path=step.draft.path,
        name=step.draft.name,
        ref=str(step.ref),
        state=step.state,
        newest=step.newest,
        digest=step.digest,
    )
    newest = stored.prompts.get(step.draft.name)
    if step.state == "unchanged":
        return row
    if newest is None:
        text = text_diff("", step.draft.text, step.draft.path)
        return msgspec.structs.replace(row, text=text)
    async with gate:
        before = decode_manifest(newest.manifest)
        old = await text_of(ctx.get(Blobs), newest.source, before)
        text = await asyncio.to_thread(text_diff, old, step.draft.text, step.draft.path)
    return msgspec.structs.replace(row, text=text, changes=changes(before, step.manifest))
