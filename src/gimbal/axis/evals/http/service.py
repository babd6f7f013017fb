"""The verbs of HTTP services: publish a file as a version."""

import msgspec

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.http.files import read_service
from gimbal.axis.evals.http.model import PublishedHttpService, PublishHttpService
from gimbal.axis.evals.http.reach import check
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Forbidden, NotFound
from gimbal.kernel.refs import Ref


async def publish(ctx: Context, body: PublishHttpService) -> PublishedHttpService:
    """Make the file of a service a version; a file that says what a version already says makes none."""
    named, manifest = read_service(body.text, body.path)
    name = body.name or named
    if not name:
        raise BadInput(
            "The service has no name.", where=f"{body.path}:1", todo='Begin the file with name = "help/answer".'
        )
    assets = ctx.get(Assets)
    try:
        number = (await assets.resolve(ctx, Ref("http", name))).number
    except NotFound:
        number = 0
    version = await assets.add_version(
        ctx, kind="http", name=name, manifest=msgspec.to_builtins(manifest), note=body.note
    )
    state = "created" if version.number > number else "unchanged" if version.number == number else "reverted"
    notes: list[str] = []
    try:
        await check(ctx, manifest)
    except Forbidden as problem:
        # No mistake in the file: the operator may list the host later.
        notes.append(f"{problem.message} {problem.todo}")
    return PublishedHttpService(ref=str(version.ref), state=state, notes=notes)
