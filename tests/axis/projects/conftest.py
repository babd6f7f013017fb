"""A new installation: projects and audit over a fresh catalog."""

import pytest

import gimbal.axis.projects.operations  # noqa: F401 - fills the operation table
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.service import Projects
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Services
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.testing.clock import FrozenClock


@pytest.fixture
async def projects(catalog: Catalog, services: Services, clock: FrozenClock) -> Projects:
    """Give the projects of a new installation."""
    found = Projects(catalog, clock)
    await found.ensure_default()
    services.register(Projects, found)
    services.register(ProjectGuard, found)
    return found


@pytest.fixture
async def log(catalog: Catalog, projects: Projects, services: Services) -> AuditLog:
    """Give the audit log of a new installation."""
    found = AuditLog(catalog)
    services.register(AuditTrail, found)
    services.register(AuditLog, found)
    return found
