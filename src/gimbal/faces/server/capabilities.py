"""Which rooms there are: the one list from which operations, dialect routes and pages are loaded.

A room that is not named here does not reach any face; the contract tests compare the list with the folders.
"""

import importlib
import importlib.util

ROOMS = (
    "gimbal.axis.projects",
    "gimbal.axis.assets",
    "gimbal.axis.assets.registry",
    "gimbal.axis.datasets",
    "gimbal.axis.pricing",
    "gimbal.axis.runs",
    "gimbal.axis.runs.candidates",
    "gimbal.axis.runs.experiments",
    "gimbal.axis.runs.charts",
    "gimbal.axis.runs.studies",
    "gimbal.axis.runs.imports",
    "gimbal.axis.traces",
    "gimbal.axis.traces.redaction",
    "gimbal.axis.scores",
    "gimbal.axis.sql",
    "gimbal.axis.ledger",
    "gimbal.axis.retention",
    "gimbal.axis.evals",
    "gimbal.axis.evals.http",
    "gimbal.axis.evals.building",
    "gimbal.axis.evals.contaminating",
    "gimbal.axis.evals.synthesis",
    "gimbal.axis.gates",
    "gimbal.axis.endpoints",
    "gimbal.axis.monitors",
    "gimbal.axis.jobs",
    "gimbal.predictive.flavors",
    "gimbal.predictive.serving",
    "gimbal.generative.prompts",
    "gimbal.generative.guards",
    "gimbal.generative.knowledge",
    "gimbal.generative.gateway",
    "gimbal.generative.gateway.replaying",
    "gimbal.generative.gateway.routes",
    "gimbal.generative.gateway.providers",
    "gimbal.generative.gateway.optimising",
)


def _load(part: str) -> list[str]:
    """Import `part` of each room that has one; a room that is not there raises ModuleNotFoundError."""
    found = [name for room in ROOMS if importlib.util.find_spec(name := f"{room}.{part}")]
    for name in found:
        importlib.import_module(name)
    return found


def load_operations() -> list[str]:
    """Import every room's `operations`, so that the table is complete; return the modules."""
    return [*_load("operations"), importlib.import_module("gimbal.faces.server.safekeeping").__name__]


def load_dialects() -> list[str]:
    """Import every room's `dialect`, so that the foreign routes are complete; return the modules."""
    others = ("gimbal.faces.mlflow.dialect", "gimbal.faces.server.mcp")
    return [*_load("dialect"), *(importlib.import_module(name).__name__ for name in others)]


def load_pages() -> list[str]:
    """Import every room's `pages`; return the modules."""
    return [*_load("pages"), importlib.import_module("gimbal.faces.server.pages").__name__]


def load_work() -> list[str]:
    """Import every room's `work` and `retained`, where its jobs and data classes are declared; return the modules."""
    return [*_load("work"), *_load("retained")]
