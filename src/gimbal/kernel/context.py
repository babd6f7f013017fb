"""Who is asking, in which project, and with what at hand: the first argument of every operation, page and job.

Services are looked up by type, so that a room names what it needs and `faces/server/wiring.py` decides which one it is.
"""

import enum
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Self, TypeVar

import msgspec

from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.counters import Counters
from gimbal.kernel.errors import Forbidden, NotAuthenticated, Unavailable
from gimbal.kernel.events import Event, EventBus

T = TypeVar("T")


class Permission(enum.IntEnum):
    """What an operation needs; a role holds its own and all lower ones."""

    OPEN = 0
    """No credential at all: a short named list (health, the reference page)."""
    VIEW = 1
    DEVELOP = 2
    RELEASE = 3
    ADMIN = 4


class Role(enum.StrEnum):
    """What a member or key is in a project: viewer < developer < releaser < admin."""

    permission: Permission
    """The highest permission that the role holds."""

    VIEWER = "viewer", Permission.VIEW
    DEVELOPER = "developer", Permission.DEVELOP
    RELEASER = "releaser", Permission.RELEASE
    ADMIN = "admin", Permission.ADMIN

    def __new__(cls, value: str, permission: Permission) -> Self:
        """Make a member that is its text."""
        made = str.__new__(cls, value)
        made._value_ = value
        made.permission = permission
        return made


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking."""

    kind: str
    """`owner` (local-owner mode), `key`, `member`, `process` (one of our own) or `nobody`."""
    id: str
    """Stable id: of the key or member, or the kind itself."""
    name: str
    """What people call it."""
    everywhere: Role | None = None
    """Role in every project, also ones that do not exist yet."""
    roles: dict[str, Role] = {}
    """Role by project slug."""
    attribution: dict[str, Any] = {}
    """What model calls are for where the caller does not say: `feature`, `user`, `tags`, as the key has them."""
    key_id: str = ""
    """Id of the API key that was shown, also where it is a member's; empty without one."""
    key_name: str = ""
    """Name of that key."""

    def may(self, permission: Permission, project: str | None) -> bool:
        """Tell whether this principal holds `permission` in `project` (None: in the installation as a whole)."""
        if permission is Permission.OPEN:
            return True
        if project is None and permission is Permission.VIEW:
            return bool(self.everywhere or self.roles)
        here = self.roles.get(project) if project is not None else None
        everywhere = self.everywhere
        return (here is not None and here.permission >= permission) or (
            everywhere is not None and everywhere.permission >= permission
        )


NOBODY = Principal(kind="nobody", id="nobody", name="nobody")


class Services:
    """What is at hand, by type; filled once by the wiring."""

    def __init__(self) -> None:
        self._by_kind: dict[type, Any] = {}

    def register(self, kind: type[T], instance: T) -> None:
        """Put `instance` at hand as `kind`; the last one registered stays."""
        self._by_kind[kind] = instance

    def get(self, kind: type[T]) -> T:
        """Return the instance of `kind`; raise Unavailable when this process has none."""
        try:
            return self._by_kind[kind]
        except KeyError:
            raise Unavailable(
                f"This process has no {kind.__name__}.", todo="Send the request to a process with the role that has it."
            ) from None

    def having(self, kind: type[T], instance: T) -> "Services":
        """Return the same with another instance of one kind; what is registered later is in one of the two only."""
        made = Services()
        made._by_kind = {**self._by_kind, kind: instance}
        return made

    def has(self, kind: type) -> bool:
        """Tell whether this process has a `kind`."""
        return kind in self._by_kind


Hook = Callable[[], Awaitable[None]]
TransactionHook = Callable[[Any], Awaitable[None]]


class Context:
    """One request, job step or command: principal, project and services."""

    def __init__(
        self,
        services: Services,
        principal: Principal,
        project: str | None = None,
        *,
        origin: str = "http",
        client: str = "",
    ) -> None:
        self.services = services
        self.principal = principal
        self.project = project
        self.origin = origin
        """Face through which it came: http, mcp, console, job …; for the audit."""
        self.client = client
        """Address of the caller, for the audit; empty inside a process."""
        self.before_commit: list[TransactionHook] = []
        """Called with the open transaction before the catalog commits it."""
        self.after_commit: list[Hook] = []
        """Called once the transaction is durable."""
        self.audit_details: dict[str, Any] = {}

    def get(self, kind: type[T]) -> T:
        """Return the service of this type; raise Unavailable when this process has none."""
        return self.services.get(kind)

    def now(self) -> datetime:
        """Return the present moment by the clock at hand."""
        return (self.services.get(Clock) if self.services.has(Clock) else SystemClock()).now()

    def require(self, permission: Permission) -> None:
        """Raise NotAuthenticated or Forbidden when the principal does not hold `permission` here."""
        if self.principal.may(permission, self.project):
            return
        if self.principal.kind == "nobody":
            raise NotAuthenticated(
                "This needs a key.",
                todo="Send it as `Authorization: Bearer gk_…`; an admin makes one with `gimbal keys create`.",
            )
        place = f"project {self.project!r}" if self.project else "the installation"
        raise Forbidden(
            f"{self.principal.name} may not do this in {place}: it needs the permission {permission.name.lower()}.",
            todo="Ask an admin of the project for a role or key that holds it.",
        )

    def audit(self, **details: Any) -> None:
        """Add details to the audit record of the audited operation that runs."""
        self.audit_details.update(details)

    def emit(self, event: Event) -> None:
        """Publish `event` after the commit of the transaction that is open, or at the end of the operation."""

        async def publish() -> None:
            if self.services.has(EventBus):
                await self.services.get(EventBus).publish(event)

        self.after_commit.append(publish)

    def count(self, name: str, help_: str, by: float = 1.0, **labels: str) -> None:
        """Count `by` more of a metric that /metrics shows under `name`, where this process has `Counters`."""
        if self.services.has(Counters):
            self.services.get(Counters).add(name, help_, by, **labels)

    def time(self, name: str, help_: str, seconds: float) -> None:
        """Note how long something took for a histogram of /metrics, where this process has `Counters`."""
        if self.services.has(Counters):
            self.services.get(Counters).time(name, help_, seconds)

    async def settle(self) -> None:
        """Run what was left for after the commit; faces call it when an operation has succeeded."""
        hooks, self.after_commit = self.after_commit, []
        for hook in hooks:
            await hook()

    def having(self, kind: type[T], instance: T) -> "Context":
        """Return a context of the same principal and project with another instance of one service."""
        services = self.services.having(kind, instance)
        return Context(services, self.principal, self.project, origin=self.origin, client=self.client)

    def within(self, project: str | None) -> "Context":
        """Return a context of the same principal and services in another project (None: the installation)."""
        return Context(self.services, self.principal, project, origin=self.origin, client=self.client)
