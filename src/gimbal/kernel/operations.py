"""One operation, many faces: the table from which HTTP, OpenAPI, SDK, CLI, MCP, permissions, audit and reference come.

An operation is an async function declared once beside its noun with `@operation`. Its name is `group.verb`; `project`
and other names in the path template come from the path, `body` is a Struct, the rest are query parameters.
`invoke` is the only way in: it checks the permission and sees to the audit.
"""

import difflib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, Forbidden, GateRefused, NotFound, UnknownField
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.refs import Ref

PREFIX = "/api/v1"
# How msgspec names a field that is unknown or missing; its place is then that of the object around it.
_NAMED_FIELD = re.compile(r"(?:unknown|missing required) field `(.+)`")
B = TypeVar("B")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

# What these parameters mean is the same everywhere, so that no operation has to say it again.
COMMON_PARAMETERS = {
    "project": "Slug of the project.",
    "cursor": "`next` of the page before; leave out for the first page.",
    "limit": "How many items at most, 1 to 1000.",
    "ref": "Reference such as model:flights/delay@production.",
    "id": "Its id.",
}


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of an operation."""

    name: str
    place: str
    """`path`, `query` or `body`."""
    type: Any
    required: bool
    default: Any
    doc: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    """`group.verb`: SDK method, CLI command, MCP tool, operationId and anchor in the reference."""
    method: str
    path: str
    """Template below `/api/v1`."""
    allow: Permission
    audited: bool
    handler: Callable[..., Awaitable[Any]]
    parameters: tuple[Parameter, ...]
    returns: Any
    summary: str
    description: str
    absent: dict[str, str]
    """Faces that it does not have (`sdk`, `cli`, `mcp`), each with the reason."""

    @property
    def group(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        """The part of the name after the dot."""
        return self.name.partition(".")[2]

    @property
    def status(self) -> int:
        """HTTP status of success: 204 without a result, else 200."""
        return 204 if self.returns is type(None) else 200

    @property
    def body(self) -> Parameter | None:
        """The body parameter, when it has one."""
        return next((p for p in self.parameters if p.place == "body"), None)

    @property
    def streams(self) -> bool:
        """Whether raw bytes go in or out, so that only HTTP and the SDK can carry it."""
        body = self.body
        return self.returns is Download or (body is not None and body.type is Upload)


_table: dict[str, Operation] = {}
_groups: dict[str, str] = {}


def operations() -> list[Operation]:
    """Return every operation that has been declared so far, by name."""
    return [_table[name] for name in sorted(_table)]


def find(name: str) -> Operation:
    """Return one operation by name; raise NotFound otherwise."""
    try:
        return _table[name]
    except KeyError:
        raise NotFound(
            f"There is no operation {name!r}.", todo="See the reference for the operations that there are."
        ) from None


def describe(group: str, meaning: str) -> None:
    """Say in a line what a group of operations is about; its room does so beside its operations."""
    _groups[group] = meaning


def meaning(group: str) -> str:
    """Return what a group is about; raise NotFound for one that nobody described."""
    try:
        return _groups[group]
    except KeyError:
        raise NotFound(
            f"No room says what {group!r} is about.", todo="Call describe() beside its operations."
        ) from None


def operation(
    method: str,
    path: str,
    *,
    name: str,
    allow: Permission,
    audited: bool = False,
    absent: dict[str, str] | None = None,
) -> Callable[[F], F]:
    """Declare an operation; the function stays callable as it is. A clash of names or routes raises at import."""

    def declare(handler: F) -> F:
        docs = inspect.cleandoc(handler.__doc__ or "")
        summary, _, description = docs.partition("\n")
        hints = get_type_hints(handler, include_extras=True)
        row = Operation(
            name=name,
            method=method,
            path=path,
            allow=allow,
            audited=audited,
            handler=handler,
            parameters=_parameters(handler, hints, path),
            returns=hints.get("return", type(None)),
            summary=summary.strip(),
            description=description.strip(),
            absent=absent or {},
        )
        for other in _table.values():
            same_route = (other.method, _shape(other.path)) == (method, _shape(path))
            if (other.name == name or same_route) and _place(other.handler) != _place(handler):
                message = f"operation {name} ({method} {path}) clashes with {other.name}"
                raise RuntimeError(message)
        _table[name] = row
        return handler

    return declare


def _place(handler: Callable[..., Any]) -> tuple[str, str]:
    return handler.__module__, handler.__qualname__


def _shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _parameters(handler: Callable[..., Any], hints: dict[str, Any], path: str) -> tuple[Parameter, ...]:
    in_path = {part[1:-1] for part in path.split("/") if part.startswith("{")}
    rows: list[Parameter] = []
    for name, parameter in list(inspect.signature(handler).parameters.items())[1:]:
        kind, doc = hints[name], COMMON_PARAMETERS.get(name, "")
        if get_origin(kind) is Annotated:
            kind, doc = get_args(kind)[:2]
        required = parameter.default is inspect.Parameter.empty
        place = "path" if name in in_path else "body" if name == "body" else "query"
        default = None if required else parameter.default
        rows.append(Parameter(name=name, place=place, type=kind, required=required, default=default, doc=doc))
    missing = in_path - {row.name for row in rows}
    if missing:
        message = f"{handler.__qualname__} does not take {sorted(missing)} of its path {path}"
        raise RuntimeError(message)
    return tuple(rows)


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log records of one operation."""

    at: datetime
    project: str | None
    actor_kind: str
    actor_id: str
    actor_name: str
    action: str
    """Name of the operation."""
    outcome: str
    """`done` or `denied`."""
    origin: str
    client: str
    details: dict[str, Any]
    """Path and query arguments, and what the operation added by `ctx.audit`."""


class AuditTrail(Protocol):
    """The append-only log; `axis/projects` implements it."""

    async def append(self, tx: Any, entry: AuditEntry) -> None:
        """Append within the open catalog transaction `tx`."""
        ...

    async def record(self, entry: AuditEntry) -> None:
        """Append in a transaction of its own."""
        ...


class ProjectGuard(Protocol):
    """Whether an operation may run in the project as it stands; `axis/projects` implements it."""

    async def admit(self, ctx: Context, op: Operation) -> None:
        """Raise NotReady when the project is archived and the operation would change it."""
        ...


def decode_value(text: Any, kind: Any, where: str) -> Any:
    """Turn a path or query value (text, or JSON values from MCP) into `kind`; raise BadInput naming the place."""
    if kind is Ref or Ref in get_args(kind):
        if text is None and kind is not Ref:
            return None
        if not isinstance(text, str):
            raise BadInput("A reference is a text.", where=where, todo="Write it like model:flights/delay@production.")
        return Ref.parse(text)
    try:
        return msgspec.convert(text, kind, strict=False, str_keys=True)
    except RecursionError:
        raise BadInput("The value is nested too deeply.", where=where, todo="Send a flatter structure.") from None
    except msgspec.ValidationError as problem:
        raise BadInput(f"{_lower(problem)}.", where=where, todo="See the reference for what it takes.") from None


def decode_body(raw: bytes, kind: type[B]) -> B:
    """Decode a JSON body into its Struct; raise UnknownField or BadInput that names the field."""
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        todo = "See the reference for the fields of this body."
        field = _NAMED_FIELD.search(text) if "unknown field" in text else None
        raise (UnknownField if field else BadInput)(
            f"{text[:1].upper()}{text[1:]}.",
            where=_body_place(text, place.strip("`")),
            todo=(nearest(field[1], _field_names(kind)) if field else "") or todo,
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise BadInput(f"The body is not valid JSON: {problem}.", where="body", todo="Send UTF-8 JSON.") from None
    except RecursionError:
        raise BadInput("The body is nested too deeply.", where="body", todo="Send a flatter structure.") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question for the known name that a misspelt one is most like, or an empty text."""
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {found[0]!r}?" if found else ""


def _field_names(kind: Any) -> set[str]:
    """Return the names of the fields of a Struct and of those inside it."""
    names: set[str] = set()
    seen: set[Any] = set()
    todo = [kind]
    while todo:
        part = todo.pop()
        todo.extend(get_args(part))
        if isinstance(part, type) and issubclass(part, msgspec.Struct) and part not in seen:
            seen.add(part)
            fields = msgspec.structs.fields(part)
            names |= {field.encode_name for field in fields}
            todo.extend(field.type for field in fields)
    return names


def _body_place(text: str, place: str) -> str:
    """Return the path of the field that a validation message is about: `files[0].size`, or `body` for the whole."""
    path = place.removeprefix("$").removeprefix(".")
    if field := _NAMED_FIELD.search(text):
        path = f"{path}.{field[1]}" if path else field[1]
    return path if path and not path.startswith("[") else f"body{path}"


def _lower(problem: Exception) -> str:
    return str(problem).partition(" - at ")[0]


async def invoke(op: Operation, ctx: Context, arguments: dict[str, Any]) -> Any:
    """Run one operation for `ctx`: permission, handler, audit in the same transaction, events after the commit.

    What is audited and refused, by permission or by a gate, is recorded as denied; other failures changed nothing and
    leave no record.
    """
    try:
        ctx.require(op.allow)
    except Forbidden:
        if op.audited:
            await ctx.get(AuditTrail).record(_entry(op, ctx, arguments, "denied"))
        raise
    if ctx.services.has(ProjectGuard):
        await ctx.get(ProjectGuard).admit(ctx, op)
    written = False

    async def append(tx: Any) -> None:
        nonlocal written
        await ctx.get(AuditTrail).append(tx, _entry(op, ctx, arguments, "done"))
        written = True

    ctx.audit_details = {}
    hooks = len(ctx.after_commit)
    if op.audited:
        ctx.before_commit.append(append)
    try:
        result = await op.handler(ctx, **arguments)
    except BaseException as problem:
        # What did not happen is neither told nor recorded by whatever this context does next.
        del ctx.after_commit[hooks:]
        if op.audited and isinstance(problem, Forbidden | GateRefused):
            # Its transaction is rolled back, so the record that it was tried has one of its own.
            ctx.audit(refused=problem.message)
            await ctx.get(AuditTrail).record(_entry(op, ctx, arguments, "denied"))
        raise
    finally:
        if append in ctx.before_commit:
            ctx.before_commit.remove(append)
    if op.audited and not written:
        await ctx.get(AuditTrail).record(_entry(op, ctx, arguments, "done"))
    await ctx.settle()
    return result


def _entry(op: Operation, ctx: Context, arguments: dict[str, Any], outcome: str) -> AuditEntry:
    given = {
        p.name: str(arguments[p.name])
        for p in op.parameters
        if p.place != "body" and p.name != "project" and arguments.get(p.name) is not None
    }
    if ctx.principal.kind == "member" and ctx.principal.key_id:
        given["actor_key"] = ctx.principal.key_id
    return AuditEntry(
        at=ctx.now(),
        project=ctx.project,
        actor_kind=ctx.principal.kind,
        actor_id=ctx.principal.id,
        actor_name=ctx.principal.name,
        action=op.name,
        outcome=outcome,
        origin=ctx.origin,
        client=ctx.client,
        details=given | ctx.audit_details,
    )
