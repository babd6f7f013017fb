"""What can be done with prompts from outside: sync files, show a version, fill it."""

import msgspec

from gimbal.generative.prompts import service
from gimbal.generative.prompts.service import PromptFile, PromptView, RenderedPrompt, SyncReport
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation
from gimbal.kernel.refs import Ref


class SyncPrompts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files to sync."""

    files: list[PromptFile]
    """Prompt files with their paths below the synced folder."""
    note: str = ""
    """Why, for the history of the versions; a commit id is a good note."""


class RenderPrompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values for the placeholders."""

    variables: dict[str, str] = {}
    """Value by name; exactly the prompt's variables."""


@operation("POST", "/projects/{project}/prompts/sync", name="prompts.sync", allow=Permission.DEVELOP, audited=True)
async def sync_prompts(ctx: Context, project: str, body: SyncPrompts) -> SyncReport:
    """Turn prompt files into versions.

    All files are checked before anything is written; a mistake is named as `path:line`. Files that say what a version
    already says make no new one, so syncing twice changes nothing.
    """
    report = await service.sync_files(ctx, body.files, body.note)
    ctx.audit(created=[row.ref for row in report.prompts if row.state == "created"], unchanged=report.unchanged)
    return report


@operation("GET", "/projects/{project}/prompts/{ref}", name="prompts.show", allow=Permission.VIEW)
async def show_prompt(ctx: Context, project: str, ref: Ref) -> PromptView:
    """Show one version of a prompt: messages, model, parameters, variables, retrieval."""
    resolved, manifest = await service.load_prompt(ctx, ref)
    return PromptView(ref=str(resolved), digest=resolved.digest, manifest=manifest)


@operation("POST", "/projects/{project}/prompts/{ref}/render", name="prompts.render", allow=Permission.VIEW)
async def render_prompt(ctx: Context, project: str, ref: Ref, body: RenderPrompt) -> RenderedPrompt:
    """Fill a prompt's placeholders and return the messages that would be sent.

    Strict: a variable that is missing or unknown is an error. Values are inserted as they are and never expanded.
    """
    resolved, manifest = await service.load_prompt(ctx, ref)
    return service.render(resolved, manifest, body.variables)
