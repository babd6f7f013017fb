"""The console pages of access (members and API keys) and of the audit log, with the check whether it is whole."""

from datetime import datetime

from gimbal.axis.projects.model import AddMember, ApiKey, ChangeMember, CreateKey, IssuedKey, Member
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context, Permission, Role
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke


@page("/audit", title="Audit", nav="Audit", order=91, icon="audit", allow=Permission.ADMIN)
async def audit_page(ctx: Context, request: PageRequest) -> View:
    """Show the records of the project or, for its admins, the installation; check the chain when asked."""
    query = request.query
    everywhere = query.get("where") == "everywhere"
    records = await invoke(
        find("audit.list"),
        ctx,
        {
            "project": request.project,
            "action": query.get("q", "").strip() or None,
            "actor": query.get("actor", "").strip() or None,
            "outcome": query.get("outcome") or None,
            "since": parse_time(query["since"], "since") if query.get("since") else None,
            "everywhere": everywhere,
            "cursor": query.get("cursor"),
        },
    )
    check = None
    if query.get("check"):
        anchor = query.get("anchor", "").strip() or None
        check = await invoke(find("audit.verify"), ctx.within(None), {"anchor": anchor})
    filtered = any(query.get(name) for name in ("q", "actor", "outcome", "since"))
    owns = request.principal.may(Permission.ADMIN, None)
    return View(
        "projects/audit.html",
        {"records": records, "check": check, "filtered": filtered, "everywhere": everywhere, "owns": owns},
    )


@page("/access", title="Access", nav="Access", order=92, icon="key", allow=Permission.ADMIN)
async def access_page(ctx: Context, request: PageRequest) -> View:
    """Show who may do what: the members and the API keys of the project, with forms that change them."""
    return await _access(ctx, request)


async def _access(ctx: Context, request: PageRequest, issued: IssuedKey | None = None) -> View:
    here = {"project": request.project}
    members: list[Member] = await invoke(find("members.list"), ctx, here)
    keys: list[ApiKey] = await invoke(find("keys.list"), ctx, here)
    names = {member.id: member.name for member in members}
    keys.sort(key=lambda key: key.created_at, reverse=True)
    rows = [{"key": key, "state": _state(key, ctx.now()), "member": names.get(key.member_id or "")} for key in keys]
    revoked = sum(row["state"] == "revoked" for row in rows)
    if not request.query.get("revoked"):
        rows = [row for row in rows if row["state"] != "revoked"]
    return View(
        "projects/access.html",
        {
            "members": members,
            "keys": rows,
            "revoked": revoked,
            "issued": issued,
            "roles": [role.value for role in Role],
            "people": [("", "A service"), *((member.id, member.name) for member in members)],
            "owns": request.principal.may(Permission.ADMIN, None),
            "alone": request.principal.kind == "owner" and not members,
        },
    )


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


@page_action("/access/keys", allow=Permission.ADMIN)
async def create_key_action(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Make a key and answer with its secret, which no later page shows; it passes through no cookie or address."""
    days = form.get("days", "").strip()
    try:
        if days and not days.isdecimal():
            raise BadInput(f"{days!r} is not a number of days.", where="days", todo="Leave it empty for no end.")
        body = CreateKey(
            name=form.need("name"),
            role=_role(form),
            days=int(days) if days else None,
            member=form.get("member") or None,
            everywhere=form.get("everywhere") == "true",
        )
        issued = await invoke(find("keys.create"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        return _refused(request, error)
    return await _access(ctx, request, issued)


@page_action("/access/keys/{id}/revoke", allow=Permission.ADMIN)
async def revoke_key_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Revoke a key."""
    try:
        key = await invoke(find("keys.revoke"), ctx, {"project": request.project, "id": request.path["id"]})
    except GimbalError as error:
        return _refused(request, error)
    return Redirect(request.href("/access"), flash=f"The key {key.name} is worth nothing any more.")


@page_action("/access/members", allow=Permission.ADMIN)
async def add_member_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Add a member."""
    try:
        body = AddMember(email=form.need("email"), name=form.get("name", "").strip(), role=_role(form))
        member = await invoke(find("members.add"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        return _refused(request, error)
    return Redirect(request.href("/access"), flash=f"{member.name} is {member.role.value} now. Make them a key.")


@page_action("/access/members/{id}", allow=Permission.ADMIN)
async def change_member_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Give a member another role, or take theirs away."""
    asked = {"project": request.project, "id": request.path["id"]}
    try:
        if form.get("remove"):
            await invoke(find("members.remove"), ctx, asked)
            return Redirect(request.href("/access"), flash="The member is removed, and their keys are revoked.")
        member = await invoke(find("members.change"), ctx, asked | {"body": ChangeMember(role=_role(form))})
    except GimbalError as error:
        return _refused(request, error)
    return Redirect(request.href("/access"), flash=f"{member.name} is {member.role.value} now.")


def _role(form: Form) -> Role:
    try:
        return Role(form.need("role"))
    except ValueError:
        raise BadInput(f"There is no role {form['role']!r}.", where="role", todo="Choose one of the list.") from None


def _refused(request: PageRequest, error: GimbalError) -> Redirect:
    """Tell on the page itself what was not done and why."""
    return Redirect(request.href("/access"), flash=" ".join(filter(None, [error.message, error.todo])), tone="bad")
