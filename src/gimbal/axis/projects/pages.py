"""The console page of the audit log: who did what, and whether the record of it is whole."""

from gimbal.engines.console.pages import PageRequest, View, page
from gimbal.kernel.clock import parse_time
from gimbal.kernel.context import Context, Permission
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
