"""The console's pages of studies in Chromium: every part is drawn, at both widths and in both themes."""

import asyncio
import math
import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from bench.bar import Running
from tests.browser import OpenPage, at_both_widths, browser_page  # noqa: F401 - a fixture

import gimbal

pytestmark = pytest.mark.browser
_DRAWN = "() => [...document.querySelectorAll('[data-chart]')].every(f => f.querySelector('canvas') || f.dataset.away)"


def objective(trial: optuna.Trial) -> float:
    """Search with a scale, names, whole numbers, a parameter that some have, pruning, failing and an infinite value."""
    eta = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    depth = trial.suggest_int("depth", 2, 12)
    kind = trial.suggest_categorical("booster", ["gbtree", "dart", None])
    drop = trial.suggest_float("rate_drop", 0, 0.5) if kind == "dart" else 0.0
    loss = (math.log10(eta) + 3) ** 2 + 0.1 * abs(depth - 6) + drop
    if trial.number == 9:
        return math.inf
    for step in range(6):
        trial.report(loss + 2 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    if trial.number == 7:
        raise ValueError
    return loss


def fill(client: gimbal.Client) -> tuple[int, int, int]:
    """Make a study of one objective, one of two, and one without a trial."""
    storage = gimbal.OptunaStorage(client)
    one = optuna.create_study(
        storage=storage, study_name="Größe <b>&amp; Rate</b>", sampler=optuna.samplers.TPESampler(seed=3),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8),
    )  # fmt: skip
    one.optimize(objective, n_trials=24, catch=ValueError)
    one.enqueue_trial({"depth": 3})
    two = optuna.create_study(storage=storage, study_name="two", directions=["minimize", "maximize"])
    two.set_metric_names(["latency", "accuracy"])

    def both(trial: optuna.Trial) -> tuple[float, float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        return x + y * 0.2, x**0.5 + 0.1 * y

    two.optimize(both, n_trials=14)
    empty = optuna.create_study(storage=storage, study_name="empty")
    return one._study_id, two._study_id, empty._study_id


async def drawn(page: Any) -> None:
    """Wait until every chart that was scrolled to is drawn."""
    for figure in await page.query_selector_all("[data-chart]"):
        await figure.scroll_into_view_if_needed()
    await page.wait_for_function(_DRAWN)


async def test_pages_of_studies(up: Running, own: gimbal.Client, browser_page: OpenPage) -> None:  # noqa: F811
    """Nothing is complained about, nothing is wider than its window, and hostile words stay words."""
    one, two, empty = await asyncio.to_thread(fill, own)
    base = f"{up.url}/p/{own.project}/studies"
    paths = [
        "", f"/{one}", f"/{one}?tab=params&across=depth", f"/{one}?tab=trials&sort=value&state=pruned",
        f"/{two}?objective=accuracy", f"/{two}?tab=params", f"/{empty}",
    ]  # fmt: skip

    async def look(width: int, theme: str) -> None:
        tab = None
        for number, path in enumerate(paths):
            tab = await browser_page(base + path, width=width, theme=theme, tab=tab)
            assert tab.status == 200
            await drawn(tab.page)
            if folder := os.environ.get("GIMBAL_PICTURES"):
                await tab.shoot(Path(folder) / f"{number}-{width}-{theme}.png")
            assert await tab.overflow() == []
            assert tab.complaints == []

    await at_both_widths(look)

    opened = await browser_page(f"{base}/{one}")
    words = await opened.page.inner_text("main")
    best = min(float(t.values[0]) for t in own.studies.trials(str(one)).items if t.state == "complete" and t.values)
    assert "Größe <b>&amp; Rate</b>" in await opened.page.inner_text("h1")
    assert f"{best:.6g}" in words
    assert "1 complete trial has an infinite value" in words
    shown = [await each.inner_text() for each in await opened.page.query_selector_all("figcaption b")]
    assert shown == ["objective", "Importance", "Reported by step"]


async def test_a_study_that_is_not_there(up: Running, own: gimbal.Client, browser_page: OpenPage) -> None:  # noqa: F811
    """It is said, with a way back; an empty list says how to begin."""
    opened = await browser_page(f"{up.url}/p/{own.project}/studies/nobody")
    assert opened.status == 404
    assert "There is no study nobody" in await opened.page.inner_text("main")
    opened = await browser_page(f"{up.url}/p/{own.project}/studies")
    assert "OptunaStorage" in await opened.page.inner_text("main")
