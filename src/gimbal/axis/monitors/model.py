"""Records of monitors, labels and reports."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from gimbal.engines.stats.model import Estimate
from gimbal.kernel.errors import BadInput
from gimbal.kernel.events import Event
from gimbal.kernel.refs import ResolvedRef, check_slug

WindowSize = Literal["day", "week", "month"]


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What turned out to be true of one prediction."""

    prediction_id: str
    """Id that the endpoint gave with the prediction."""
    value: float
    """The true class (0 or 1) or number."""
    at: datetime | None = None
    """When it became known; now when left out."""


class AddLabels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch of labels; all are stored or none."""

    endpoint: str
    """Slug of the endpoint that predicted."""
    labels: Annotated[list[Label], msgspec.Meta(min_length=1, max_length=100_000)]
    """1 to 100,000 labels; a second label of a prediction replaces the first."""


class LabelsAdded(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored, durably."""

    labels: int


class CreateMonitor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A monitor to make; one with the same slug is replaced, its reports stay."""

    slug: str
    """Its name in addresses."""
    endpoint: str
    """Slug of the endpoint that it watches."""
    reference: str
    """Reference of the dataset whose features are normal: what the model was trained on."""
    baseline: str
    """Reference of a labelled dataset that the model had not seen: how good it was when it was let in."""
    label: str
    """Column of the baseline that holds the true label."""
    features: list[str] = []
    """Columns to watch; empty means all that the reference has and the endpoint records."""
    window: WindowSize = "month"
    """Length of one window, by the event time of the predictions."""
    level: float = 0.95
    """Coverage of intervals; 1 − level is the chance of any false alarm in one report."""
    least_drift: float = 0.1
    """Distance (of distribution functions or of shares, 0 to 1) from which drift matters."""


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """A question about production."""

    slug: str
    endpoint: str
    reference: ResolvedRef
    baseline: ResolvedRef
    label: str
    features: list[str]
    window: WindowSize
    level: float
    least_drift: float
    created_at: datetime
    created_by: str


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far one feature is from the reference in one window."""

    feature: str
    distance: Estimate
    """Largest difference of the distribution functions, or half the sum of differences of shares."""
    psi: float | None
    """Population stability index over the reference's own quantile bins, its sampling expectation taken off."""
    p_value: float | None
    verdict: str
    """`drifted`, `stable` or `undecided`, at the monitor's least drift."""
    missing_share: float
    """Share of rows without a value."""


class WindowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one window."""

    start: datetime
    end: datetime
    predictions: int
    labelled: int
    """How many of them have a label."""
    positive_share: float | None
    """Share of the labelled that are positive."""
    auc: Estimate
    auc_change: Estimate
    """AUC of the window minus that of the baseline."""
    log_loss: Estimate
    log_loss_change: Estimate
    calibration: Estimate
    """Share that came true minus the mean probability: negative when the model says too much."""
    calibration_change: Estimate
    """By how much it is further off than the baseline was."""
    verdict: str
    """`worse`, `better`, `same` (no difference shown) or `unlabelled`."""
    reasons: list[str]
    """What was shown, in words."""
    drift: list[FeatureDrift]
    text: str
    """The finding in a sentence."""


class MonitorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One look of a monitor."""

    id: str
    monitor: str
    at: datetime
    version: ResolvedRef | None
    """The model version that predicted, when it was one."""
    baseline_auc: Estimate
    baseline_log_loss: Estimate
    baseline_calibration: Estimate
    windows: list[WindowReport]
    worse: list[str]
    """Starts of the windows in which the model got worse."""
    drifted: list[str]
    """Features that drifted in any window."""
    text: str
    """The whole in a sentence or two."""


class GotWorse(Event, frozen=True, kw_only=True):
    """A monitor found a window in which the model is worse than its baseline."""

    monitor: str
    report: MonitorReport


def check_monitor(body: CreateMonitor) -> None:
    """Raise BadInput when a monitor makes no sense."""
    check_slug(body.slug)
    check_slug(body.endpoint, "endpoint")
    if not 0.5 < body.level < 1:
        raise BadInput("The level lies between 0.5 and 1.", where="level", todo="Use 0.95.")
    if not 0 < body.least_drift < 1:
        raise BadInput("The least drift lies between 0 and 1.", where="least_drift", todo="Use 0.1.")
