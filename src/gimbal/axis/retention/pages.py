"""The console page of retention: terms by class, legal hold, erasure with a count before it, and the proofs."""

from typing import Any

from gimbal.axis.retention.model import EraseUser, Erasure, Proof, SetRetention
from gimbal.axis.retention.service import Retaining
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.operations import find, invoke

_PATH = "/retention"


@page(_PATH, title="Retention", nav="Retention", order=93, icon="clock", allow=Permission.ADMIN)
async def retention_page(ctx: Context, request: PageRequest) -> View:
    """Show what is kept for how long, what was erased, and the proofs."""
    return await _shown(ctx, request)


async def _shown(ctx: Context, request: PageRequest, counted: Erasure | None = None, user: str = "") -> View:
    retaining = ctx.get(Retaining)
    proofs = await retaining.proofs.page(ctx, cursor=request.query.get("cursor"), limit=20)
    return View(
        "retention/retention.html",
        {
            "retention": await retaining.get(ctx),
            "erasures": (await retaining.erasures(ctx, limit=20)).items,
            "proofs": proofs,
            "rows": [_row(proof) for proof in proofs.items],
            "counted": counted,
            "user": user,
        },
    )


def _row(proof: Proof) -> dict[str, Any]:
    """Return what the list says of a proof."""
    tables = [one for one in proof.tables if one.rows_before]
    return {
        "proof": proof,
        "deleted": sum(one.rows_before for one in tables) + sum(sum(one.rows.values()) for one in proof.backups),
        "blobs": proof.blobs.deleted + sum(one.blobs for one in proof.backups),
        "gone": all(one.gone_at for one in tables),
    }


@page("/retention/proofs/{id}", title="Proof", allow=Permission.ADMIN)
async def proof_page(ctx: Context, request: PageRequest) -> View:
    """Show one proof; look again whether it holds when asked."""
    proofs = ctx.get(Retaining).proofs
    proof = await proofs.get(ctx, request.path["id"])
    check = await proofs.verify(ctx, proof.id) if request.query.get("check") else None
    return View("retention/proof.html", {"proof": proof, "check": check, "row": _row(proof)})


@page_action("/retention/terms", allow=Permission.ADMIN)
async def set_terms_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Set the terms of all classes, an empty field for ever, and the hold."""
    try:
        days = {name.removeprefix("days-"): _days(value) for name, value in form.items() if name.startswith("days-")}
        body = SetRetention(keep_days=days, hold=form.get("hold") == "true", hold_reason=form.get("hold_reason", ""))
        await invoke(find("retention.set"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        return _refused(request, error)
    return Redirect(request.href(_PATH), flash="The terms are set.")


@page_action("/retention/run", allow=Permission.ADMIN)
async def run_action(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Start a run."""
    job = await invoke(find("retention.run"), ctx, {"project": request.project})
    return Redirect(request.href(_PATH), flash=f"The run is under way as the job {job.id}.")


@page_action("/retention/erase", allow=Permission.ADMIN)
async def erase_action(ctx: Context, request: PageRequest, form: Form) -> Redirect | View:
    """Count first; erase once the id is typed again. The id passes through no address or cookie."""
    confirmed = "again" in form
    try:
        user = form.need("user")
        body = EraseUser(
            user=user,
            reason=form.need("reason"),
            sessions=form.get("sessions") == "true",
            keep_costs=form.get("keep_costs") == "true",
            dry_run=not confirmed,
        )
        if confirmed and form["again"].strip() != user:
            raise BadInput("The two ids are not the same.", where="again", todo="Nothing was erased: begin again.")
        found = await invoke(find("retention.erase"), ctx, {"project": request.project, "body": body})
    except GimbalError as error:
        return _refused(request, error)
    if not confirmed:
        return await _shown(ctx, request, found, user)
    return Redirect(
        request.href(_PATH), flash="The erasure is under way. Its certificate appears below once it is done."
    )


def _days(text: str) -> int | None:
    given = text.strip()
    if not given:
        return None
    if not given.isdecimal():
        raise BadInput(f"{given!r} is not a number of days.", where="keep_days", todo="Leave it empty for ever.")
    return int(given)


def _refused(request: PageRequest, error: GimbalError) -> Redirect:
    """Tell on the page itself what was not done and why."""
    return Redirect(request.href(_PATH), flash=" ".join(filter(None, [error.message, error.todo])), tone="bad")
