"""What can be done with prompts from outside: sync files, show a version, fill it."""

from gimbal.generative.prompts import service
from gimbal.generative.prompts.model import PromptView, RenderedPrompt, RenderPrompt, SyncPrompts, SyncReport
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.refs import Ref

describe("prompts", "Messages with placeholders, as versions, synced from files.")


@operation(
    "POST",
    "/projects/{project}/prompts/sync",
    name="prompts.sync",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal prompts sync FOLDER` of the room's own commands reads the files and calls it"},
)
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
