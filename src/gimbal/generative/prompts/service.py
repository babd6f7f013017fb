"""The verbs of prompts: sync a folder of files into versions, look one up, fill it.

Versions, aliases and lineage are `axis/assets`' business; this room only knows what a prompt is.
"""

from collections.abc import Mapping, Sequence

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.generative.prompts.files import SUFFIX, read_prompt
from gimbal.generative.prompts.model import (
    PromptFile,
    PromptManifest,
    RenderedPrompt,
    SyncedPrompt,
    SyncReport,
    decode_manifest,
    format_messages,
)
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import Ref, ResolvedRef, check_name


def name_of(path: str) -> str:
    """Return the asset name of a prompt file; raise BadInput when the path cannot be one."""
    if not path.endswith(SUFFIX):
        raise BadInput(f"{path!r} is not a prompt file.", where=path, todo=f"Prompt files end in {SUFFIX}.")
    try:
        return check_name(path.removesuffix(SUFFIX).removeprefix("./"))
    except BadInput as problem:
        raise BadInput(problem.message, where=path, todo=problem.todo) from None


async def sync_files(ctx: Context, files: Sequence[PromptFile], note: str = "") -> SyncReport:
    """Make each file the content of a version; all files are read before the first version is written.

    Idempotent: a file that says what a version already says makes none. Raise BadInput with `path:line`.
    """
    manifests: dict[str, tuple[str, PromptManifest]] = {}
    for file in sorted(files, key=lambda file: file.path):
        name = name_of(file.path)
        if name in manifests:
            raise BadInput(
                f"Two files are the prompt {name!r}.", where=file.path, kept="nothing", todo="Send each file once."
            )
        manifests[name] = (file.path, read_prompt(file.text, file.path))
    assets = ctx.get(Assets)
    rows: list[SyncedPrompt] = []
    for name, (path, manifest) in manifests.items():
        newest = await _newest(ctx, name)
        version = await assets.add_version(
            ctx, kind="prompt", name=name, manifest=msgspec.to_builtins(manifest), note=note
        )
        before = newest.number if newest else 0
        state = "created" if version.number > before else "unchanged" if version.number == before else "reverted"
        rows.append(SyncedPrompt(path=path, ref=f"prompt:{name}@v{version.number}", state=state))
    created = sum(row.state == "created" for row in rows)
    return SyncReport(prompts=rows, created=created, unchanged=len(rows) - created)


async def _newest(ctx: Context, name: str) -> Version | None:
    try:
        return await ctx.get(Assets).resolve(ctx, Ref("prompt", name))
    except NotFound:
        return None


def as_prompt(ref: Ref) -> Ref:
    """Return `ref` when it is a prompt's; raise BadInput otherwise."""
    if ref.kind != "prompt":
        raise BadInput(f"{ref} is not a prompt.", where="ref", todo="Write it like prompt:help/answer@production.")
    return ref


async def load_prompt(ctx: Context, ref: Ref) -> tuple[ResolvedRef, PromptManifest]:
    """Resolve a prompt and read its manifest; raise NotFound, or BadInput when `ref` is of another kind."""
    version = await ctx.get(Assets).resolve(ctx, as_prompt(ref))
    return version.ref, decode_manifest(version.manifest)


def render(ref: ResolvedRef, manifest: PromptManifest, variables: Mapping[str, str]) -> RenderedPrompt:
    """Fill the placeholders of one version; raise BadInput for a missing or unknown variable."""
    return RenderedPrompt(
        ref=str(ref),
        model=manifest.model,
        messages=format_messages(manifest, variables),
        params=msgspec.to_builtins(manifest.params),
    )
