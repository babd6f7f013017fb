"""How the server is: whether each store answers (`/readyz`), and how far work is behind (`/healthz`).

`/healthz` answers 200 as long as the process can, so that nothing restarts a server that is only busy; what lags is in
its body.
"""

import asyncio
from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from gimbal.axis.endpoints.service import Endpoints
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.kernel.context import Services
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.events import EventBus

# Later than this is worth a word: a commit takes milliseconds, a free worker looks every half second.
_SLOW_COMMIT_S = 5.0
_SLOW_START_S = 30.0
_PATIENCE_S = 1.0


_STORES: dict[str, type[Catalog] | type[Columns] | type[Blobs]] = {
    "catalog": Catalog,
    "columns": Columns,
    "blobs": Blobs,
}
STORES = tuple(_STORES)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One part that must answer."""

    part: str
    ok: bool
    message: str = ""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One sort of work that goes on behind the requests."""

    part: str
    """`writer` (telemetry on its way to the columns), `jobs`, `endpoints` (what they resolve to), `providers` or `events`."""
    ok: bool
    waiting: int | None = None
    """Rows or jobs that wait; null where nothing waits or it cannot be told."""
    behind_s: float | None = None
    """How long the oldest of them has been due, or how old the oldest answer from memory is; null: cannot be told."""
    message: str = ""
    """What is wrong and what to do, when something is."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What /healthz and /readyz answer."""

    status: str
    """`ok`; `failing` when a store does not answer; `behind` when work waits for too long."""
    version: str
    checks: list[Check] = []
    """The stores, for /readyz."""
    work: list[Work] = []
    """The work behind the requests, for /healthz."""


async def readiness(services: Services, stores: Sequence[str] = STORES) -> Health:
    """Ask each of those stores whether it answers."""
    checks: list[Check] = []
    for part in stores:
        try:
            await services.get(_STORES[part]).ping()
        except GimbalError as error:
            checks.append(Check(part=part, ok=False, message=str(error)))
        else:
            checks.append(Check(part=part, ok=True))
    status = "ok" if all(c.ok for c in checks) else "failing"
    return Health(status=status, version=version("gimbal-ops"), checks=checks)


async def liveness(services: Services) -> Health:
    """Tell how far the work behind the requests is."""
    work = [_writer(services), await _jobs(services), _endpoints(services), _providers(services), _events(services)]
    shown = [row for row in work if row is not None]
    status = "ok" if all(row.ok for row in shown) else "behind"
    return Health(status=status, version=version("gimbal-ops"), work=shown)


def _writer(services: Services) -> Work | None:
    if not services.has(Writer):
        return None
    state = services.get(Writer).state()
    behind = round(state.oldest_wait_ms / 1000, 3)
    late = behind > _SLOW_COMMIT_S
    message = "The columns take long to commit; look at the disk, or at /metrics." if late else ""
    return Work(part="writer", ok=not late, waiting=state.queued_rows, behind_s=behind, message=message)


async def _jobs(services: Services) -> Work | None:
    if not services.has(Jobs):
        return None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            waiting, behind = await services.get(Jobs).backlog()
    except (GimbalError, TimeoutError):
        return Work(part="jobs", ok=False, message="The catalog does not answer; /readyz tells more.")
    late = behind > _SLOW_START_S
    message = "No worker is free, or none is up: see the running jobs, and the log of the worker." if late else ""
    return Work(part="jobs", ok=not late, waiting=waiting, behind_s=round(behind, 3), message=message)


def _endpoints(services: Services) -> Work | None:
    if not services.has(Endpoints):
        return None
    return Work(part="endpoints", ok=True, behind_s=round(services.get(Endpoints).behind_s(), 3))


def _providers(services: Services) -> Work | None:
    if not services.has(Providers):
        return None
    known = services.get(Providers)
    return Work(part="providers", ok=not known.problem, behind_s=round(known.behind_s(), 3), message=known.problem)


def _events(services: Services) -> Work | None:
    if not services.has(EventBus):
        return None
    failures = services.get(EventBus).failures
    message = f"{failures} event handlers failed since the start; the log says which." if failures else ""
    return Work(part="events", ok=not failures, message=message)
