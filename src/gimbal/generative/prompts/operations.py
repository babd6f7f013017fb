"""What can be done with prompts from outside: plan and sync files, show a version, its file, differences, users, fill it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from gimbal.generative.prompts import service
from gimbal.generative.prompts.files import SUFFIX
from gimbal.generative.prompts.model import (
    PromptDiff,
    PromptView,
    RenderedPrompt,
    RenderPrompt,
    SyncPlan,
    SyncPrompts,
    SyncReport,
)
from gimbal.generative.prompts.model.usage import PromptUsage
from gimbal.generative.prompts.planning import plan_files
from gimbal.generative.prompts.using import usage
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import Download
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.refs import Ref

describe("prompts", "Messages with placeholders, as versions, synced from files.")


@operation(
    "POST",
    "/projects/{project}/prompts/plan",
    name="prompts.plan",
    allow=Permission.VIEW,
    absent={"cli": "`gimbal sync FOLDER` reads the files, shows the plan and applies it"},
)
async def plan_prompts(ctx: Context, project: str, body: SyncPrompts) -> SyncPlan:
    """Say what a sync of prompt files would do, file by file, and what would differ. Nothing is written.

    Prompts that are on the server and not among the files are listed and left alone.
    """
    return await plan_files(ctx, body.files)


@operation(
    "POST",
    "/projects/{project}/prompts/sync",
    name="prompts.sync",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal sync FOLDER` and `gimbal prompts sync FOLDER` read the files and call it"},
)
async def sync_prompts(ctx: Context, project: str, body: SyncPrompts) -> SyncReport:
    """Turn prompt files into versions.

    All files are checked before anything is written; a mistake is named as `path:line`. Files that say what a version
    already says make no new one, so syncing twice changes nothing. What a prompt includes is looked up and pinned.
    """
    report = await service.sync_files(ctx, body.files, body.note, body.seen)
    ctx.audit(created=[row.ref for row in report.prompts if row.state == "created"], unchanged=report.unchanged)
    return report


@operation("GET", "/projects/{project}/prompts/{ref}", name="prompts.show", allow=Permission.VIEW)
async def show_prompt(ctx: Context, project: str, ref: Ref) -> PromptView:
    """Show one version of a prompt: messages, model, parameters, variables, tools, retrieval."""
    resolved, manifest = await service.load_prompt(ctx, ref)
    return PromptView(ref=str(resolved), digest=resolved.digest, manifest=manifest)


@operation("GET", "/projects/{project}/prompts/{ref}/source", name="prompts.source", allow=Permission.VIEW)
async def prompt_source(ctx: Context, project: str, ref: Ref) -> Download:
    """Download the file that a version was made of, byte for byte; for one that was made without a file it is written."""
    resolved, content = await service.source(ctx, ref)
    return Download(
        chunks=_once(content),
        media_type="text/markdown; charset=utf-8",
        filename=resolved.name.rpartition("/")[2] + SUFFIX,
        size=len(content),
    )


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@operation(
    "GET",
    "/projects/{project}/prompts/{ref}/diff",
    name="prompts.diff",
    allow=Permission.VIEW,
    absent={"cli": "`gimbal prompts diff A B` shows both differences in colour"},
)
async def diff_prompts(
    ctx: Context, project: str, ref: Ref, to: Annotated[str, "Reference of the other version."]
) -> PromptDiff:
    """Compare two versions: line by line in their files, and in what they mean.

    The second says what changed in the model, parameters, variables, tools, schema, messages and inclusions.
    """
    return await service.compare(ctx, ref, Ref.parse(to, kind="prompt"))


@operation("POST", "/projects/{project}/prompts/{ref}/render", name="prompts.render", allow=Permission.VIEW)
async def render_prompt(ctx: Context, project: str, ref: Ref, body: RenderPrompt) -> RenderedPrompt:
    """Fill a prompt's placeholders and return the messages that would be sent.

    Strict: a variable that is missing, unknown or of another type is an error. Values are inserted as they are and never
    expanded; lists and objects are for loops and paths, and are inserted as JSON.
    """
    resolved, manifest = await service.load_prompt(ctx, ref)
    return service.render(resolved, manifest, body.variables)


@operation("GET", "/projects/{project}/prompts/{ref}/usage", name="prompts.usage", allow=Permission.VIEW)
async def prompt_usage(
    ctx: Context,
    project: str,
    ref: Ref,
    since: Annotated[datetime | None, "Used at or after this; 30 days ago unless told."] = None,
    by: Annotated[
        list[str] | None, "Callers are told apart by these: key, feature, service (unless told, these three) and user."
    ] = None,
    limit: Annotated[int, "How many at most, 1 to 1000; the latest use comes first."] = 50,
) -> PromptUsage:
    """Tell who used a prompt, in which version, when, how often and for how much, by the stored traces.

    Without a version in the reference all versions are told, each by itself.
    """
    return await usage(ctx, ref, since=since, by=by, limit=limit)
