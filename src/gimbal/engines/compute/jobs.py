"""Declaring, enqueueing and reading jobs. What carries them out is `worker`.

A job is enqueued in a transaction of the catalog and stays there until it has ended. Its worker holds a lease that it
renews; when the worker dies the lease runs out and the job is tried again, from its last checkpoint.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar, get_type_hints

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.engines.compute.model import ENDED, STATUSES, Job, JobError
from gimbal.engines.compute.store import jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.errors import BadInput, Conflict, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor
from gimbal.kernel.plugins import Registry

R = TypeVar("R")


class Standing(Protocol):
    """What somebody who asked for work some time ago may do now; `axis/projects` implements it."""

    async def standing(self, principal: Principal, project: str) -> Principal:
        """Return who it is now; raise NotAuthenticated when the key was revoked since, NotReady in an archived project."""
        ...


class JobContext:
    """What a job gets besides its payload: services, who asked, and ways to tell how far it is."""

    def __init__(
        self,
        services: Services,
        row: Job,
        principal: Principal,
        *,
        tell: Callable[[int, int, str], Awaitable[None]],
        checkpoint: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]],
    ) -> None:
        self.services = services
        self.job_id = row.id
        self.project = row.project
        self.attempt = row.attempt
        self.principal = principal
        self._tell = tell
        self._checkpoint = checkpoint

    def context(self) -> Context:
        """Return a context for calling services as the one who asked."""
        return Context(self.services, self.principal, self.project, origin="job")

    async def progress(self, done: int, total: int, message: str = "") -> None:
        """Tell how far it is; shown in console and CLI."""
        await self._tell(done, total, message)

    async def step(self, name: str, run: Callable[[], Awaitable[R]]) -> R:
        """Run a step once: a later attempt gets the stored result instead. Results must be JSON."""
        return await self._checkpoint(name, run)


Handler = Callable[[JobContext, Any], Awaitable[Any]]


class JobKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of work."""

    name: str
    handler: Handler
    payload: Any
    """Type of the payload."""
    attempts: int
    retry_delay_s: float


KINDS: Registry[JobKind] = Registry("jobs")
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])


def job(name: str, *, retries: int = 0, retry_delay_s: float = 2.0) -> Callable[[H], H]:
    """Declare what a kind of job does; the second parameter's type is that of its payload.

    A failed attempt is repeated up to `retries` times, each time after twice the pause of before. So is one whose
    worker died: what must not happen twice belongs into `JobContext.step`.
    """

    def declare(handler: H) -> H:
        hints = [hint for key, hint in get_type_hints(handler).items() if key != "return"]
        kind = JobKind(name=name, handler=handler, payload=hints[1], attempts=retries + 1, retry_delay_s=retry_delay_s)
        KINDS.add(name, kind)
        return handler

    return declare


class Jobs:
    """The queue in the catalog."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    async def enqueue(self, ctx: Context, name: str, payload: Any, *, key: str | None = None) -> Job:
        """Enqueue a job; with a `key` that was used before, return the job of then."""
        async with self._catalog.write(ctx) as tx:
            return await self.enqueue_in(tx, ctx.project or "default", ctx.principal, name, payload, key=key)

    async def enqueue_in(
        self,
        tx: AsyncConnection,
        project: str,
        principal: Principal,
        name: str,
        payload: Any,
        *,
        key: str | None = None,
    ) -> Job:
        """Enqueue within an open transaction, so that the job is there exactly when what it is about is."""
        kind = KINDS.get(name)
        now = self._clock.now()
        values: dict[str, Any] = {
            "id": new_id(), "project": project, "name": name, "key": key, "status": "queued", "done": 0, "total": 0,
            "message": "", "attempt": 0, "attempts": kind.attempts, "created_at": now, "created_by": principal.name,
            "principal": principal, "run_after": now, "cancelling": False, "payload": msgspec.to_builtins(payload),
        }  # fmt: skip
        if await insert_missing(tx, jobs, values):
            return to_job(values)
        same = (jobs.c.project == project, jobs.c.name == name, jobs.c.key == key)
        return to_job((await tx.execute(sa.select(jobs).where(*same))).mappings().one())

    async def get(self, ctx: Context, job_id: str) -> Job:
        """Return a job of the project; raise NotFound."""
        async with self._catalog.read() as tx:
            return await self._one(tx, _job_of(ctx, job_id), job_id)

    async def _one(self, tx: AsyncConnection, query: sa.Select[Any], job_id: str) -> Job:
        row = (await tx.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"There is no job {job_id}.", where="id", todo="`gimbal jobs list` shows them.")
        return to_job(row)

    async def page(
        self,
        ctx: Context,
        *,
        status: str | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Job]:
        """Return jobs, newest first; raise BadInput for a status that jobs do not have, or a foreign cursor."""
        if status and status not in STATUSES:
            raise BadInput(
                f"{status!r} is not a status of jobs.", where="status", todo=f"Give one of: {', '.join(STATUSES)}."
            )
        query = sa.select(jobs).where(jobs.c.project == ctx.project)
        if status:
            query = query.where(jobs.c.status == status)
        if name:
            query = query.where(jobs.c.name == name)
        if cursor:
            query = query.where(jobs.c.id < cursor_text(cursor, "id"))
        query = query.order_by(jobs.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            found = [to_job(row) for row in (await tx.execute(query)).mappings()]
        items = found[:limit]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if len(found) > limit else None)

    async def cancel(self, ctx: Context, job_id: str) -> Job:
        """Stop a job: at once when it waits, within a second or so when it runs. Raise Conflict when it has ended."""
        async with self._catalog.write(ctx) as tx:
            job = await self._one(tx, _job_of(ctx, job_id).with_for_update(), job_id)
            if job.status in ENDED:
                raise Conflict(f"The job has {job.status} already.", where="id", todo="Nothing to do.")
            values: dict[str, Any] = {"cancelling": True}
            if job.status != "running":
                values |= {"status": "cancelled", "finished_at": self._clock.now()}
            await tx.execute(jobs.update().where(jobs.c.id == job_id).values(values))
            return await self._one(tx, _job_of(ctx, job_id), job_id)

    async def retry(self, ctx: Context, job_id: str) -> Job:
        """Enqueue a failed or cancelled job again, from its last checkpoint; raise Conflict otherwise."""
        async with self._catalog.write(ctx) as tx:
            job = await self._one(tx, _job_of(ctx, job_id).with_for_update(), job_id)
            if job.status not in {"failed", "cancelled"}:
                raise Conflict(
                    f"The job is {job.status}.", where="id", todo="Only failed or cancelled jobs are retried."
                )
            values: dict[str, Any] = {
                "status": "queued", "attempt": 0, "cancelling": False, "error": None, "finished_at": None,
                "run_after": self._clock.now(), "message": "",
            }  # fmt: skip
            await tx.execute(jobs.update().where(jobs.c.id == job_id).values(values))
            return await self._one(tx, _job_of(ctx, job_id), job_id)

    async def backlog(self) -> tuple[int, float]:
        """Return how many jobs are due and not begun, in all projects, and for how many seconds the first has been."""
        now = self._clock.now()
        due = sa.and_(jobs.c.status.in_(("queued", "parked")), jobs.c.run_after <= now)
        query = sa.select(sa.func.count(), sa.func.min(jobs.c.run_after)).where(due)
        async with self._catalog.read() as tx:
            count, first = (await tx.execute(query)).one()
        return count, (now - first).total_seconds() if count else 0.0


def _job_of(ctx: Context, job_id: str) -> sa.Select[Any]:
    return sa.select(jobs).where(jobs.c.id == job_id, jobs.c.project == ctx.project)


def to_job(row: Mapping[Any, Any]) -> Job:
    """Return the record of a row."""
    names = {field.name for field in msgspec.structs.fields(Job)}
    values: dict[str, Any] = {str(k): v for k, v in row.items() if k in names}
    if values.get("error") is not None:
        values["error"] = msgspec.convert(values["error"], JobError)
    return Job(**values)
