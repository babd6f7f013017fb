"""Gimbal operates predictive models and LLM applications together; this is its lazy face.

    import gimbal

    with gimbal.run("first") as run:
        run.log(params={"depth": 3})
        run.log({"auc": 0.81}, step=1)

Names are loaded on first use, so that importing costs a training job nothing. Everything here talks to the server at
GIMBAL_URL with GIMBAL_API_KEY; `Client` has every operation as a typed method.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gimbal.faces.client.autolog.turning_on import autolog
    from gimbal.faces.client.client import Client
    from gimbal.faces.client.instrument import instrument
    from gimbal.faces.client.models import log_model, predict
    from gimbal.faces.client.plots import plot
    from gimbal.faces.client.run_start import run
    from gimbal.faces.client.runs import log
    from gimbal.faces.client.session import drift, evaluate, promote, prompt, score
    from gimbal.faces.client.studies.callback import OptunaCallback
    from gimbal.faces.client.studies.storage import OptunaStorage
    from gimbal.faces.client.tracing import carry, current_span, flush, span, trace
    from gimbal.faces.client.waiting import wait
    from gimbal.kernel.errors import GimbalError

__all__ = [
    "Client",
    "GimbalError",
    "OptunaCallback",
    "OptunaStorage",
    "autolog",
    "carry",
    "current_span",
    "drift",
    "evaluate",
    "flush",
    "instrument",
    "log",
    "log_model",
    "plot",
    "predict",
    "promote",
    "prompt",
    "run",
    "score",
    "span",
    "trace",
    "wait",
]

_HOMES = {
    "Client": "gimbal.faces.client.client",
    "GimbalError": "gimbal.kernel.errors",
    "OptunaCallback": "gimbal.faces.client.studies.callback",
    "OptunaStorage": "gimbal.faces.client.studies.storage",
    "autolog": "gimbal.faces.client.autolog.turning_on",
    "carry": "gimbal.faces.client.tracing",
    "current_span": "gimbal.faces.client.tracing",
    "drift": "gimbal.faces.client.session",
    "evaluate": "gimbal.faces.client.session",
    "flush": "gimbal.faces.client.tracing",
    "instrument": "gimbal.faces.client.instrument",
    "log": "gimbal.faces.client.runs",
    "log_model": "gimbal.faces.client.models",
    "plot": "gimbal.faces.client.plots",
    "predict": "gimbal.faces.client.models",
    "promote": "gimbal.faces.client.session",
    "prompt": "gimbal.faces.client.session",
    "run": "gimbal.faces.client.run_start",
    "score": "gimbal.faces.client.session",
    "span": "gimbal.faces.client.tracing",
    "trace": "gimbal.faces.client.tracing",
    "wait": "gimbal.faces.client.waiting",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name not in _HOMES:
        message = f"module 'gimbal' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
