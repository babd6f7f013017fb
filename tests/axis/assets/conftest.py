"""Assets over a fresh catalog and a folder of blobs, with kinds to try them on."""

import pytest

import gimbal.axis.assets.operations  # noqa: F401 - fills the operation table
from gimbal.axis.assets.lineage import LineageQuery
from gimbal.axis.assets.model import AssetKind, FileEntry, register_kind
from gimbal.axis.assets.service import Assets
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.testing.clock import FrozenClock


def _no_secrets(manifest: dict[str, object], files: list[FileEntry]) -> None:
    if "secret" in manifest:
        raise BadInput("A note holds no secret.", where="manifest.secret", todo="Take it out.")


register_kind(AssetKind(name="note", title="Notes", ring="axis", check=_no_secrets))
register_kind(AssetKind(name="draft", title="Drafts", ring="axis"))


@pytest.fixture
async def assets(catalog: Catalog, blobs: Blobs, services: Services, clock: FrozenClock, ctx: Context) -> Assets:
    """Give the assets of an installation with the projects `default` and `flights`."""
    projects = Projects(catalog, clock)
    await projects.ensure_default()
    await projects.create(ctx, CreateProject(slug="flights"))
    audit = AuditLog(catalog)
    found = Assets(catalog, blobs)
    services.register(Projects, projects)
    services.register(ProjectGuard, projects)
    services.register(AuditTrail, audit)
    services.register(AuditLog, audit)
    services.register(Blobs, blobs)
    services.register(Assets, found)
    services.register(LineageQuery, LineageQuery(catalog, found))
    return found
