"""The operations on imports."""

from gimbal.axis.runs.imports import service
from gimbal.axis.runs.imports.fingerprints import fingerprints
from gimbal.axis.runs.imports.model import AskFingerprints, Fingerprint, Imported, ImportRuns
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation

_NO_CLI = "`gimbal import` reads other trackers and calls it"
_NO_TOOL = "its requests are megabytes of points; `gimbal import` makes them"


@operation(
    "POST",
    "/projects/{project}/runs/import",
    name="runs.import-many",
    allow=Permission.DEVELOP,
    absent={"cli": _NO_CLI, "mcp": _NO_TOOL},
)
async def import_runs(ctx: Context, project: str, body: ImportRuns) -> list[Imported]:
    """Bring whole runs over from another tracker, with their ids, times and states; the same again changes nothing."""
    return await service.import_runs(ctx, body)


@operation(
    "POST",
    "/projects/{project}/runs/fingerprints",
    name="runs.fingerprints",
    allow=Permission.VIEW,
    absent={"cli": "`gimbal import --verify` asks for them and compares"},
)
async def ask_fingerprints(ctx: Context, project: str, body: AskFingerprints) -> list[Fingerprint]:
    """Show what imported runs are known by, to compare them with where they came from."""
    return await fingerprints(ctx, body)
