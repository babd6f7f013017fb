"""Gates over assets and evaluations; each module says on which engines."""

from tests.axis.evaluating import answers, evaluations, gates

import gimbal.axis.assets.operations
import gimbal.axis.gates.operations  # noqa: F401 - fills the operation table

__all__ = ["answers", "evaluations", "gates"]
