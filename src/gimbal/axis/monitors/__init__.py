"""Monitors: questions about production asked of windows of predictions, with labels when they arrive.

Reads what `endpoints` recorded and the label ledger; says with intervals what drifted and in which windows the model
got worse than its baseline, with the alarm level held over all windows and features that it looks at.
"""

from gimbal.axis.monitors.model import (
    AddLabels,
    CreateMonitor,
    FeatureDrift,
    Label,
    LabelsAdded,
    Monitor,
    MonitorReport,
    WindowReport,
)

__all__ = [
    "AddLabels",
    "CreateMonitor",
    "FeatureDrift",
    "Label",
    "LabelsAdded",
    "Monitor",
    "MonitorReport",
    "WindowReport",
]
