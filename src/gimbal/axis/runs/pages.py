"""The console's pages of runs: the table, and one run with its charts, files and lineage."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gimbal.axis.runs.charts import previews
from gimbal.axis.runs.charts.columns import OWN, check, value_of
from gimbal.axis.runs.choosing import CHOICES, asked_for
from gimbal.axis.runs.model import Artifact, Run, UpdateRun
from gimbal.axis.runs.service import Runs
from gimbal.axis.runs.views import (
    ACROSS,
    LOGS,
    SMOOTH,
    column_choices,
    default_columns,
    figures,
    groups,
    looks,
    metric_names,
    order_of,
    shown,
)
from gimbal.engines.console.graph import Edge, Node
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import GimbalError, NotFound
from gimbal.kernel.operations import PREFIX, find, invoke
from gimbal.kernel.pages import Page

_STATUSES = ("scheduled", "running", "finished", "failed", "killed", "dead")
_ON_A_PAGE = 50
_MOST_SHOWN_FILES = 500
_MOST_COLUMNS = 30


@page("/runs", title="Runs", nav="Runs", order=20, icon="runs")
async def runs_page(ctx: Context, request: PageRequest) -> View:
    """Show runs, newest first, with the columns that were chosen."""
    found, problem = await _found(ctx, request)
    pinned = await _pinned(ctx, request.values("pin"))
    held = {run.id for run in pinned}
    runs = [*pinned, *(run for run in found.items if run.id not in held)]
    columns = [check(name) for name in request.values("columns")][:_MOST_COLUMNS] or default_columns(runs)
    group = request.query.get("group", "")
    choices = column_choices(runs)
    data = {
        "found": found,
        "rows": runs,
        "held": held,
        "columns": columns,
        "choices": [*OWN[1:], *(name for name in columns if name not in choices and name not in OWN), *choices],
        "groups": groups(runs, check(group), columns, request.values("open")) if group else [],
        "group_choices": [("", "Nothing"), "experiment", "group", "name", "status", *_groupable(choices)],
        "statuses": _STATUSES,
        "filtered": any(request.query.get(name) for name in CHOICES[:3]),
        # The same choice, for the page that compares.
        "choice_of": {name: request.query[name] for name in CHOICES if request.query.get(name)},
        "problem": problem,
        "can_sort": lambda name: bool(order_of(name)),
        "running": any(run.status == "running" for run in runs),
        "cell": lambda run, name: shown(value_of(run, name)),
        "is_number": lambda run, name: (
            isinstance(value := value_of(run, name), float | int) and not isinstance(value, bool)
        ),
    }
    return View("runs/list.html", data)


@page("/runs/{id}", title="Run", icon="runs")
async def run_page(ctx: Context, request: PageRequest) -> View:
    """Show one run."""
    service = ctx.get(Runs)
    run = await service.get(ctx, request.path["id"])
    files = await service.artifacts(ctx, run.id)
    system = metric_names([run], system=True)
    tabs: list[tuple[Any, ...]] = [("overview", "Overview"), ("files", "Files", len(files))]
    if system:
        tabs.append(("system", "System"))
    tab = request.one_of("tab", [name for name, *_ in tabs])
    data: dict[str, Any] = {
        "run": run,
        "tab": tab,
        "tabs": tabs,
        "shown": shown,
        "took": (run.ended_at - run.started_at).total_seconds() if run.ended_at else None,
        "common": {"runs": [run.id], **looks(request)},
        "ask_url": f"{PREFIX}/projects/{quote(request.project, safe='')}/runs/chart",
        "across": ACROSS,
        "logs": LOGS,
        "smooths": SMOOTH,
        "live": run.status == "running",
    }
    if tab == "files":
        return View("runs/files.html", data | await _files(ctx, request, run, files))
    if tab == "system":
        data["charts"] = figures(system)
        return View("runs/system.html", data)
    data["charts"] = figures(metric_names([run]))
    data["nodes"], data["edges"] = _lineage(request, run)
    data["nested"] = await _nested(ctx, run)
    name = request.query.get("values", "")
    listed = {"name": name, "points": await service.curve(ctx, run.id, name)} if name in run.metrics else None
    data["values"] = listed
    return View("runs/detail.html", data)


@page_action("/runs/{id}/note")
async def write_note(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Keep what someone wrote about a run."""
    note = form.get("note", "").replace("\r\n", "\n")
    body = UpdateRun(note=note)
    await invoke(find("runs.update"), ctx, {"project": request.project, "id": request.path["id"], "body": body})
    return Redirect(request.href("/runs/{id}", id=request.path["id"]), flash="Note kept.")


@page_action("/runs/{id}/delete", allow=Permission.DEVELOP)
async def delete(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Take a run out of lists."""
    await invoke(find("runs.delete"), ctx, {"project": request.project, "id": request.path["id"]})
    return Redirect(request.href("/runs/{id}", id=request.path["id"]), flash="Deleted; it can be restored.")


@page_action("/runs/{id}/restore", allow=Permission.DEVELOP)
async def restore(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Put a run back into lists."""
    await invoke(find("runs.restore"), ctx, {"project": request.project, "id": request.path["id"]})
    return Redirect(request.href("/runs/{id}", id=request.path["id"]), flash="Restored.")


async def _found(ctx: Context, request: PageRequest) -> tuple[Page[Run], GimbalError | None]:
    """Return the page of runs that the address asks for, and what is wrong with its filter where that cannot be read."""
    query = request.query
    if not query.get("filter", "").strip() and not order_of(query.get("sort", "")):
        here = {name: query.get(name) for name in ("status", "experiment", "cursor")}
        return await ctx.get(Runs).page(ctx, **here, limit=_ON_A_PAGE), None
    return await asked_for(ctx, request, _ON_A_PAGE)


async def _pinned(ctx: Context, run_ids: Sequence[str]) -> list[Run]:
    found: list[Run] = []
    for run_id in run_ids:
        try:
            found += await ctx.get(Runs).some(ctx, [run_id])
        except NotFound:
            # Pinned in an address that was kept, and gone since.
            continue
    return found


def _groupable(choices: Sequence[str]) -> list[str]:
    return [name for name in choices if not name.startswith("metrics.")]


async def _nested(ctx: Context, run: Run) -> list[Run]:
    return await ctx.get(Runs).children(ctx, run.id)


async def _files(ctx: Context, request: PageRequest, run: Run, files: Sequence[Artifact]) -> dict[str, Any]:
    wanted = request.query.get("file", "")
    chosen = next((file for file in files if file.path == wanted), None) or (files[0] if files and not wanted else None)
    return {
        "files": files[:_MOST_SHOWN_FILES],
        "more": max(0, len(files) - _MOST_SHOWN_FILES),
        "chosen": chosen,
        "missing": wanted if wanted and chosen is None else "",
        "preview": await previews.preview(ctx, run.id, chosen) if chosen else None,
        "media": _address(request, run.id, "media", chosen.path) if chosen else "",
        "download": _address(request, run.id, "artifacts", chosen.path) if chosen else "",
    }


def _address(request: PageRequest, run_id: str, kind: str, path: str) -> str:
    parts = [quote(part, safe="") for part in (request.project, run_id, path)]
    return f"{PREFIX}/projects/{parts[0]}/runs/{parts[1]}/{kind}/{parts[2]}"


def _lineage(request: PageRequest, run: Run) -> tuple[list[Node], list[Edge]]:
    if not run.inputs and not run.outputs:
        return [], []
    nodes = [Node(id=run.id, title=run.name, note=run.status, kind="run", current=True, failed=run.status == "failed")]
    edges: list[Edge] = []
    for refs, used in ((run.inputs, True), (run.outputs, False)):
        for ref in dict.fromkeys(map(str, refs)):
            kind, _, rest = ref.partition(":")
            name, _, version = rest.rpartition("@")
            href = request.href("/assets/{ref}", ref=ref)
            nodes.append(Node(id=ref, title=name, note=f"{kind} {version}", kind=kind, href=href))
            edges.append(Edge(source=ref, target=run.id) if used else Edge(source=run.id, target=ref))
    unique = {node.id: node for node in nodes}
    return list(unique.values()), edges
