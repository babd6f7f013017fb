"""The console's pages of monitors: the latest verdicts, and one monitor's windows, drift and earlier reports."""

from typing import Any

from gimbal.axis.monitors.model import MonitorReport
from gimbal.axis.monitors.service import Monitors
from gimbal.engines.console import charts
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.kernel.context import Context
from gimbal.kernel.operations import find, invoke


@page("/monitors", title="Monitors", nav="Monitors", order=80, icon="monitors")
async def monitors_page(ctx: Context, request: PageRequest) -> View:
    """Show the monitors with what each found last."""
    monitors = ctx.get(Monitors)
    rows = [{"monitor": m, "report": await monitors.latest(ctx, m.slug)} for m in await monitors.all(ctx)]
    return View("monitors/list.html", {"rows": rows})


@page("/monitors/{slug}", title="Monitor", icon="monitors")
async def monitor_page(ctx: Context, request: PageRequest) -> View:
    """Show one monitor: its newest report, or the one that is asked for."""
    monitors = ctx.get(Monitors)
    monitor = await monitors.get(ctx, request.path["slug"])
    reports = (await monitors.reports(ctx, monitor.slug)).items
    asked = request.query.get("report")
    report = next((r for r in reports if r.id == asked), reports[0] if reports else None)
    data: dict[str, Any] = {"monitor": monitor, "reports": reports, "report": report}
    if report is not None:
        data |= {"auc": _auc(report), "gap": _gap(report), "drift": _drift(report), "names": _names(report)}
    return View("monitors/detail.html", data)


def _auc(report: MonitorReport) -> charts.Spec:
    points = [charts.Point(x=w.start, y=w.auc.value, low=w.auc.low, high=w.auc.high) for w in report.windows]
    base = report.baseline_auc.value
    rules = [charts.Rule(y=base, label="baseline")] if base is not None else []
    return charts.line(points, y_title="AUC", rules=rules)


def _gap(report: MonitorReport) -> charts.Spec:
    points = [
        charts.Point(x=w.start, y=w.calibration.value, low=w.calibration.low, high=w.calibration.high)
        for w in report.windows
    ]
    return charts.line(points, y_title="came true − said", rules=[charts.Rule(y=0, label="calibrated")])


def _names(report: MonitorReport) -> list[str]:
    """Return what people call each window: its month, where all of them begin with one, or its first day."""
    months = all(window.start.day == 1 for window in report.windows)
    return [f"{w.start:%b %Y}" if months else f"{w.start:%d %b %Y}" for w in report.windows]


def _drift(report: MonitorReport) -> list[dict[str, Any]]:
    """Return a row per feature with its drift in each window, the most drifted first."""
    names = {d.feature for w in report.windows for d in w.drift}
    rows = [
        {"feature": name, "cells": [next((d for d in w.drift if d.feature == name), None) for w in report.windows]}
        for name in names
    ]
    return sorted(rows, key=lambda row: (-max((c.distance.value or 0.0) for c in row["cells"] if c), row["feature"]))


@page_action("/monitors/{slug}/run")
async def look(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Let the monitor look now."""
    slug = request.path["slug"]
    report: MonitorReport = await invoke(find("monitors.run"), ctx, {"project": request.project, "slug": slug})
    return Redirect(request.href("/monitors/{slug}", slug=slug), flash=report.text, tone="info")
