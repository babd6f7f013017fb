"""What a monitor sees in its windows: pure arithmetic on arrays, no stores.

The model got worse in a window when its AUC is lower than the baseline's, or when it is further off in calibration
than it was then; drift of features is told beside, for it is mostly harmless by itself. Everything that is asked of one
report shares one alarm budget: AUC and calibration over all windows by Holm, drift by intervals at a level that is
divided by the number of features and windows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa

from gimbal.axis.endpoints.predictions import Recorded
from gimbal.axis.gates.evidence import LabelledScores
from gimbal.axis.monitors.model import FeatureDrift, Monitor, MonitorReport, WindowReport
from gimbal.engines.stats import drift, estimates, multiplicity, ranking
from gimbal.engines.stats.model import Estimate

Window = tuple[datetime, datetime, Recorded, Mapping[str, float]]


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """How good the model was on the labelled data that let it in."""

    auc: Estimate
    log_loss: Estimate
    calibration: Estimate

    @classmethod
    def of(cls, scored: LabelledScores, level: float) -> "Baseline":
        """Return the baseline of probabilities and labels."""
        y, p = scored.labels, scored.probabilities
        return cls(
            auc=ranking.auc(y, p, level=level),
            log_loss=estimates.mean(ranking.log_losses(y, p), level=level),
            calibration=ranking.calibration_gap(y, p, level=level),
        )


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What the features were like when they were normal."""

    numbers: dict[str, np.ndarray]
    texts: dict[str, Counter[str]]

    @property
    def names(self) -> list[str]:
        """The features, by name."""
        return sorted([*self.numbers, *self.texts])

    @classmethod
    def of(cls, table: pa.Table) -> "Reference":
        """Return the reference of a table: numbers as arrays with NaN, text as counts with "" for missing."""
        numbers: dict[str, np.ndarray] = {}
        texts: dict[str, Counter[str]] = {}
        for name in table.column_names:
            column = table[name]
            if (
                pa.types.is_floating(column.type)
                or pa.types.is_integer(column.type)
                or pa.types.is_boolean(column.type)
            ):
                numbers[name] = column.cast(pa.float64(), safe=False).to_numpy()
            elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                texts[name] = _counts(column.to_pylist())
        return cls(numbers=numbers, texts=texts)


def _counts(values: Sequence[str | None]) -> Counter[str]:
    return Counter("" if value is None else value for value in values)


def look(
    monitor: Monitor,
    baseline: Baseline,
    reference: Reference,
    windows: Sequence[Window],
    *,
    report_id: str,
    at: datetime,
) -> MonitorReport:
    """Return what is to be seen in the windows, oldest first."""
    questions = max(1, len(windows) * len(reference.names))
    drift_level = 1 - (1 - monitor.level) / questions
    # Three questions of each window (AUC, log loss, calibration) share the level over all windows.
    shared = 1 - (1 - monitor.level) / max(1, 3 * len(windows))
    drafts = [_draft(monitor, baseline, reference, window, shared, drift_level) for window in windows]
    reports = _with_verdicts(monitor, drafts)
    worse = [row.start.date().isoformat() for row in reports if row.verdict == "worse"]
    drifted = sorted({d.feature for row in reports for d in row.drift if d.verdict == "drifted"})
    return MonitorReport(
        id=report_id,
        monitor=monitor.slug,
        at=at,
        version=None,
        baseline_auc=baseline.auc,
        baseline_log_loss=baseline.log_loss,
        baseline_calibration=baseline.calibration,
        windows=reports,
        worse=worse,
        drifted=drifted,
        text=_summary(reports, drifted),
    )


def _draft(
    monitor: Monitor, baseline: Baseline, reference: Reference, window: Window, shared: float, drift_level: float
) -> WindowReport:
    start, end, recorded, labels = window
    place = [i for i, id_ in enumerate(recorded.ids) if id_ in labels]
    y = np.array([labels[recorded.ids[i]] > 0.5 for i in place], dtype=bool)
    p = recorded.scores[place]
    known = np.isfinite(p)
    y, p = y[known], p[known]
    auc = ranking.auc(y, p, level=monitor.level)
    log_loss = estimates.mean(ranking.log_losses(y, p), level=monitor.level)
    gap = ranking.calibration_gap(y, p, level=monitor.level)
    return WindowReport(
        start=start,
        end=end,
        predictions=len(recorded.ids),
        labelled=int(y.size),
        positive_share=float(y.mean()) if y.size else None,
        auc=auc,
        auc_change=ranking.independent_difference(baseline.auc, auc, level=shared),
        log_loss=log_loss,
        log_loss_change=ranking.independent_difference(baseline.log_loss, log_loss, level=shared),
        calibration=gap,
        calibration_change=_further_off(baseline.calibration, gap, shared),
        verdict="unlabelled",
        reasons=[],
        drift=_drift(monitor, reference, recorded, drift_level),
        text="",
    )


def _further_off(before: Estimate, after: Estimate, level: float) -> Estimate:
    """Return by how much |gap| grew: positive when the model is further off than it was."""
    if before.value is None or after.value is None or before.se is None or after.se is None:
        return estimates.undefined(after.undefined or before.undefined or "no standard error", after.n, level=level)
    se = float(np.hypot(before.se, after.se))
    return estimates.normal(abs(after.value) - abs(before.value), se, after.n, level=level, method="independent z")


def _drift(monitor: Monitor, reference: Reference, recorded: Recorded, level: float) -> list[FeatureDrift]:
    found: list[FeatureDrift] = []
    for name in reference.names:
        if name in reference.numbers:
            values = recorded.numbers.get(name)
            if values is None:
                continue
            seen = drift.numeric(reference.numbers[name], values, least=monitor.least_drift, level=level)
        else:
            texts = recorded.texts.get(name)
            if texts is None:
                continue
            seen = drift.categorical(reference.texts[name], _counts(texts), least=monitor.least_drift, level=level)
        found.append(
            FeatureDrift(
                feature=name,
                distance=seen.distance,
                psi=None if seen.psi is None else float(seen.psi),
                p_value=seen.p_value,
                verdict=seen.verdict,
                missing_share=seen.missing_share,
            )
        )
    return sorted(found, key=lambda row: -(row.distance.value or 0.0))


def _with_verdicts(monitor: Monitor, drafts: Sequence[WindowReport]) -> list[WindowReport]:
    """Decide each window, with Holm's correction over all windows and both questions."""
    asked: list[tuple[int, str, float, float]] = []
    for at, row in enumerate(drafts):
        for name, change, sign in (("auc", row.auc_change, 1), ("calibration", row.calibration_change, -1)):
            p_value = ranking.two_sided_p(change)
            if p_value is not None and change.value is not None:
                asked.append((at, name, p_value, sign * change.value))
    adjusted = multiplicity.holm([p for _, _, p, _ in asked]) if asked else np.array([])
    shown: dict[int, list[tuple[str, float]]] = {}
    for (at, name, _, direction), p_value in zip(asked, adjusted, strict=True):
        if p_value <= 1 - monitor.level:
            shown.setdefault(at, []).append((name, direction))
    return [_decided(row, shown.get(at, [])) for at, row in enumerate(drafts)]


_WORSE = {"auc": "it ranks worse", "calibration": "its probabilities are further off"}
_BETTER = {"auc": "it ranks better", "calibration": "its probabilities are nearer"}


def _decided(row: WindowReport, shown: Sequence[tuple[str, float]]) -> WindowReport:
    if row.auc.value is None:
        return msgspec.structs.replace(row, text=f"{row.predictions} predictions, no verdict: {row.auc.undefined}.")
    worse = [_WORSE[name] for name, direction in shown if direction < 0]
    better = [_BETTER[name] for name, direction in shown if direction > 0]
    verdict = "worse" if worse else "better" if better else "same"
    told = "; ".join([*worse, *better]) or "no difference from the baseline is shown"
    low, high = row.auc.low or 0.0, row.auc.high or 0.0
    text = f"AUC {row.auc.value:.3f} [{low:.3f}, {high:.3f}] on {row.labelled} labelled predictions: {told}."
    return msgspec.structs.replace(row, verdict=verdict, reasons=[*worse, *better], text=text)


def _summary(reports: Sequence[WindowReport], drifted: Sequence[str]) -> str:
    judged = [row for row in reports if row.verdict != "unlabelled"]
    worse = [
        f"{row.start:%Y-%m}" if row.start.day == 1 else f"{row.start:%Y-%m-%d}"
        for row in reports
        if row.verdict == "worse"
    ]
    parts = [
        f"Of {len(judged)} labelled windows the model is worse than its baseline in {len(worse)}"
        + (f": {', '.join(worse)}." if worse else "."),
    ]
    waiting = len(reports) - len(judged)
    if waiting:
        parts.append(f"{waiting} windows wait for labels.")
    parts.append(f"Drifted: {', '.join(drifted)}." if drifted else "No feature drifted.")
    return " ".join(parts)
