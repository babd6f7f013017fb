"""Which executor a worker's settings name, and what the processes of a Ray cluster are told of this installation."""

import msgspec

from gimbal.engines.compute.executor import Executor, LocalExecutor
from gimbal.engines.compute.ray_executor import RayExecutor
from gimbal.engines.compute.ray_wire import RaySetup
from gimbal.faces.server.stores import link_from_environment
from gimbal.faces.server.supervisor import Link
from gimbal.kernel.context import Services
from gimbal.kernel.settings import Settings

ASSEMBLY = "gimbal.faces.server.on_ray:assembled"


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of the cluster needs to open the same stores."""

    settings: Settings
    """The settings in force, with the data folder's whole path."""
    link: Link | None = None
    """How it reaches embedded columns; it then is on the same machine."""


def executor_of(settings: Settings, services: Services) -> Executor:
    """Return where a worker's jobs are carried out."""
    worker = settings.worker
    if worker.executor == "local":
        return LocalExecutor(services)
    # Theirs is another working folder.
    whole = msgspec.structs.replace(settings, data=str(settings.folder))
    elsewhere = settings.catalog.url and settings.columns.url and settings.blobs.url
    setup = RaySetup(
        address=worker.ray_address,
        resources=worker.ray_resources or {"CPU": 1.0},
        most=worker.concurrency,
        here=not elsewhere,
        assembly=ASSEMBLY,
        given=msgspec.json.encode(Installation(settings=whole, link=link_from_environment())).decode(),
    )
    return RayExecutor(setup)
