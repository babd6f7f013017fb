"""The console's pages of studies: their list, and one study with what its trials tell."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gimbal.axis.runs.studies.model import ENDED, STATES, Study, Trial
from gimbal.axis.runs.studies.service import Studies
from gimbal.axis.runs.studies.telling import best, complete, importances, objective_names, params_of
from gimbal.axis.runs.views import shown
from gimbal.engines.console import study_charts
from gimbal.engines.console.charts import Spec
from gimbal.engines.console.importance import LEAST
from gimbal.engines.console.pages import Form, PageRequest, Redirect, View, page, page_action
from gimbal.engines.console.parallel import MOST_AXES, Line, parallel
from gimbal.engines.console.run_charts import Curve, Dot, Log, contour, lines, reaches_far, scatter
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput
from gimbal.kernel.operations import find, invoke

MOST_DRAWN = 1000
"""So many trials, of the highest numbers, are drawn and counted for importance."""
_CURVES = 60
_LAID = 200
"""So many complete trials are laid beside each other by their parameters."""
_ON_A_PAGE = 50
_SLICES = 12
_OTHERS = (("pruned", "pruned"), ("fail", "failed"))
_TABS = (("overview", "Overview"), ("params", "Parameters"), ("trials", "Trials"))


@page("/studies", title="Studies", nav="Studies", order=21, icon="runs")
async def studies_page(ctx: Context, request: PageRequest) -> View:
    """Show studies, newest first, with how their trials stand."""
    service = ctx.get(Studies)
    found = await service.page(ctx, cursor=request.query.get("cursor"))
    counts = await service.counts([study.number for study in found.items])
    rows: list[dict[str, Any]] = [
        {"study": study, "objectives": _objectives(study), "counts": counts.get(study.number, {})}
        for study in found.items
    ]
    running = any(one.get("running") for one in counts.values())
    return View("studies/list.html", {"found": found, "rows": rows, "states": STATES, "running": running})


@page("/studies/{study}", title="Study", icon="runs")
async def study_page(ctx: Context, request: PageRequest) -> View:
    """Show one study."""
    service = ctx.get(Studies)
    study = await service.get(ctx, request.path["study"])
    trials = await service.newest(ctx, str(study.number), MOST_DRAWN)
    counts = (await service.counts([study.number])).get(study.number, {})
    names = objective_names(study)
    tab = request.one_of("tab", dict(_TABS))
    place = _place(request, names)
    data: dict[str, Any] = {
        "study": study,
        "title": study.name or f"Study {study.number}",
        "tab": tab,
        "tabs": [(*one, study.trials) if one[0] == "trials" else one for one in _TABS],
        "names": names,
        "objectives": _objectives(study),
        "place": place,
        "counts": counts,
        "others": ", ".join(f"{counts[state]:,} {word}" for state, word in _OTHERS if counts.get(state)),
        "best": best(trials, study.directions),
        "shown": shown,
        "params": list(dict.fromkeys(name for trial in trials for name in trial.params)),
        "left_out": max(0, study.trials - len(trials)),
        "live": bool(counts.get("running")),
        "undrawn": sum(trial.state == "complete" for trial in trials) - len(complete(trials)),
    }
    fill = {"params": _parameters, "trials": _table}.get(tab, _overview)
    return View("studies/study.html", data | fill(request, study, trials, names, place))


@page_action("/studies/{study}/delete", allow=Permission.DEVELOP)
async def delete(ctx: Context, request: PageRequest, form: Form) -> Redirect:
    """Delete a study; its runs go out of lists."""
    await invoke(find("studies.delete"), ctx, {"project": request.project, "study": request.path["study"]})
    return Redirect(request.href("/studies"), flash="Deleted; its runs can be restored one by one.")


def _objectives(study: Study) -> list[str]:
    words = {"minimize": "small is good", "maximize": "large is good"}
    names = objective_names(study)
    return [f"{name}: {words[direction]}" for name, direction in zip(names, study.directions, strict=True)]


def _place(request: PageRequest, names: Sequence[str]) -> int:
    asked = request.query.get("objective", "")
    return names.index(asked) if asked in names else 0


def _overview(
    request: PageRequest, study: Study, trials: Sequence[Trial], names: Sequence[str], place: int
) -> dict[str, Any]:
    known = complete(trials)
    tried = [study_charts.Tried(number=trial.number, value=values[place]) for trial, values in known]
    bars = importances([params_of(trial) for trial, _ in known], [values[place] for _, values in known])
    charts: dict[str, Any] = {
        "history": _drawn(lambda: study_charts.history(tried, direction=study.directions[place], title=names[place])),
        "curves": _drawn(lambda: _curves(trials)),
        "importance": _drawn(lambda: study_charts.explained(bars, title=names[place])) if bars else None,
        "front": None,
        "least": LEAST,
        "unclear": [bar.name for bar in bars if bar.share <= bar.chance],
    }
    if len(names) > 1:
        other = place + 1 if place + 1 < len(names) else 0
        front = {trial.number for trial in best([trial for trial, _ in known], study.directions)}
        dots = [(trial.number, values[place], values[other], trial.number in front) for trial, values in known]
        charts["front"] = _drawn(lambda: study_charts.front(dots, x_title=names[place], y_title=names[other]))
    return charts


def _curves(trials: Sequence[Trial]) -> Spec:
    reporting = [trial for trial in trials if trial.reports][-_CURVES:]
    curves = [
        Curve(
            name=f"trial {trial.number}",
            xs=[float(one.step) for one in trial.reports],
            ys=[value if math.isfinite(value := float(one.value)) else None for one in trial.reports],
        )
        for trial in reporting
    ]
    if not curves:
        raise BadInput("Nothing was reported.", where="trials", todo="Report intermediate values.")
    return lines(curves, y_title="reported", named=len(curves) <= 6, height=280)


def _parameters(
    request: PageRequest, study: Study, trials: Sequence[Trial], names: Sequence[str], place: int
) -> dict[str, Any]:
    known = complete(trials)
    given = [(trial, params_of(trial), values[place]) for trial, values in known]
    bars = importances([params for _, params, _ in given], [value for _, _, value in given])
    told = [bar.name for bar in bars]
    without, given = max(0, len(given) - _LAID), given[-_LAID:]
    params = told + [name for name in dict.fromkeys(name for _, one, _ in given for name in one) if name not in told]
    numbers = [name for name in params if all(_is_number(one[name]) for _, one, _ in given if name in one)]
    across = request.query.get("across", "") if request.query.get("across") in numbers else (numbers or [""])[0]
    rest = [name for name in numbers if name != across]
    up = request.query.get("up", "") if request.query.get("up") in rest else (rest or [""])[0]
    target = names[place]
    rows = [
        Line(
            name=f"trial {trial.number}",
            values={f"params.{name}": _flat(one[name]) if name in one else None for name in params} | {target: value},
        )
        for trial, one, value in given
    ]
    axes = [*(f"params.{name}" for name in params[: MOST_AXES - 1]), target]
    slices = [(name, _drawn(lambda name=name: _slice(given, name, target))) for name in params[:_SLICES]]
    surface = [
        Dot(name=f"trial {trial.number}", x=one[across], y=one[up], colour=value)
        for trial, one, value in given
        if across in one and up in one
    ]
    log = _log(surface)
    return {
        "parallel": _drawn(lambda: parallel(rows, axes)),
        "slices": [(name, spec) for name, spec in slices if spec],
        "contour": _drawn(lambda: contour(surface, x_title=across, y_title=up, value_title=target, log=log))
        if up
        else None,
        "numbers": numbers,
        "laid": len(given) if without else 0,
        "across": across,
        "up": up,
    }


def _slice(given: Sequence[tuple[Trial, dict[str, Any], float]], name: str, target: str) -> Spec:
    dots = [
        Dot(name=f"trial {trial.number}", x=_flat(one[name]), y=value, colour=float(trial.number))
        for trial, one, value in given
        if name in one and _flat(one[name]) is not None
    ]
    log: Log = "x" if reaches_far([dot.x for dot in dots]) else ""
    return scatter(dots, x_title=name, y_title=target, colour_title="trial", log=log, height=220)


def _log(dots: Sequence[Dot]) -> Log:
    far = reaches_far([dot.x for dot in dots]), reaches_far([dot.y for dot in dots])
    return "xy" if all(far) else "x" if far[0] else "y" if far[1] else ""


def _flat(value: Any) -> Any:
    """Return a value as charts take it: what is neither number nor text becomes text."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _drawn(draw: Callable[[], Spec]) -> Spec | None:
    """Return a chart, or None where there is nothing to draw."""
    try:
        return draw()
    except BadInput:
        return None


def _table(
    request: PageRequest, study: Study, trials: Sequence[Trial], names: Sequence[str], place: int
) -> dict[str, Any]:
    state = request.query.get("state", "")
    chosen = [trial for trial in trials if not state or trial.state == state][::-1]
    sort = request.query.get("sort", "")
    if sort == "value":
        worst = math.inf if study.directions[place] == "minimize" else -math.inf

        def key(trial: Trial) -> float:
            return float(trial.values[place]) if trial.values and trial.state == "complete" else worst

        chosen.sort(key=key, reverse=study.directions[place] == "maximize")
    number = max(1, request.number("page", 1))
    pages = max(1, math.ceil(len(chosen) / _ON_A_PAGE))
    some = chosen[(number - 1) * _ON_A_PAGE : number * _ON_A_PAGE]
    return {
        "rows": [_Row(trial=one, took=_took(one), params=params_of(one)) for one in some],
        "state": state,
        "states": STATES,
        "sort": sort,
        "page": number,
        "pages": pages,
        "found": len(chosen),
    }


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    trial: Trial
    took: float | None
    params: dict[str, Any]


def _took(trial: Trial) -> float | None:
    if trial.state not in ENDED or trial.started_at is None or trial.ended_at is None:
        return None
    return (trial.ended_at - trial.started_at).total_seconds()
