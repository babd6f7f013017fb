"""What MLflow has and Gimbal does not serve by MLflow's calls: each answers with its name and what there is instead.

Every other path under MLflow's prefixes is one that no MLflow knows.
"""

from typing import NamedTuple

from gimbal.faces.mlflow.errors import EndpointNotFound, NotServed
from gimbal.faces.mlflow.table import PREFIXES, bare, raw
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import HttpReply, HttpRequest

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Unserved(NamedTuple):
    """A feature whose calls are refused."""

    version: int
    path: str
    """All calls at this path and under it."""
    feature: str
    instead: str


UNSERVED = (
    Unserved(3, "/mlflow/traces/metrics", "metrics of traces", "`gimbal traces aggregate` counts, sums and measures."),
    Unserved(
        3,
        "/mlflow/traces/calculate-filter-correlation",
        "correlations of filters",
        "`gimbal traces aggregate` groups by what traces have.",
    ),
    Unserved(2, "/mlflow/unified-traces", "unified traces", "`gimbal traces` shows traces."),
    Unserved(2, "/mlflow/get-online-trace-details", "online traces", "`gimbal traces` shows traces."),
    Unserved(
        2,
        "/mlflow/artifacts/presigned-upload-url",
        "presigned uploads",
        "Files go by way of the server: /api/2.0/mlflow-artifacts.",
    ),
    Unserved(
        2,
        "/mlflow/artifacts/presigned-download-url",
        "presigned downloads",
        "Files go by way of the server: /api/2.0/mlflow-artifacts.",
    ),
    Unserved(3, "/mlflow/datasets", "evaluation datasets", "Datasets of Gimbal hold the records: `gimbal datasets`."),
    Unserved(3, "/mlflow/scorers", "registered scorers", "Suites of Gimbal judge versions: `gimbal evaluations`."),
    Unserved(3, "/mlflow/label-schemas", "label schemas", "Scores of Gimbal need no schema: `gimbal scores`."),
    Unserved(3, "/mlflow/review-queues", "review queues", "Scores can be given on the page of each trace."),
    Unserved(3, "/mlflow/issues", "issues", "Monitors of Gimbal watch traces: `gimbal monitors`."),
    Unserved(3, "/mlflow/prompt-optimization", "prompt optimization", "Evaluations compare versions of a prompt."),
    Unserved(3, "/mlflow/gateway", "MLflow's gateway", "Gimbal's own gateway answers at /v1: `gimbal providers`."),
    Unserved(
        2, "/mlflow/gateway-proxy", "MLflow's gateway", "Gimbal's own gateway answers at /v1: `gimbal providers`."
    ),
    Unserved(
        3, "/mlflow/users", "users and permissions", "Members and keys of Gimbal: `gimbal members`, `gimbal keys`."
    ),
    Unserved(
        2, "/mlflow/users", "users and permissions", "Members and keys of Gimbal: `gimbal members`, `gimbal keys`."
    ),
    Unserved(
        3, "/mlflow/roles", "users and permissions", "Members and keys of Gimbal: `gimbal members`, `gimbal keys`."
    ),
    Unserved(3, "/mlflow/jobs", "jobs of MLflow", "Jobs of Gimbal: `gimbal jobs`."),
    Unserved(3, "/mlflow/mcp-servers", "registered MCP servers", "Gimbal is an MCP server itself, at /mcp."),
    Unserved(3, "/mlflow/skills", "registered skills", "Nothing here is like them."),
    Unserved(2, "/mlflow/webhooks", "webhooks", "`gimbal audit` lists what changed."),
    Unserved(2, "/mlflow/graphql", "GraphQL", "The calls under /api/2.0/mlflow answer the same questions."),
)
"""Every feature that is known and refused."""


def _refuse(row: Unserved) -> None:
    async def refuse(ctx: Context, request: HttpRequest) -> HttpReply:
        raise NotServed(
            f"{request.method} {request.path} (feature: {row.feature}) is not served by Gimbal.",
            where=row.path,
            kept="nothing",
            todo=row.instead,
        )

    for method in METHODS:
        raw(method, row.path, allow=Permission.VIEW, version=row.version)(refuse)
        raw(method, row.path + "/{rest*}", allow=Permission.VIEW, version=row.version)(refuse)


for _row in UNSERVED:
    _refuse(_row)


async def unknown(ctx: Context, request: HttpRequest) -> HttpReply:
    """Refuse a path of no MLflow."""
    raise EndpointNotFound(f"There is no {request.method} {request.path} in MLflow's interface.", where="path")


for _method in METHODS:
    bare(
        _method,
        *[f"{prefix}/{{rest*}}" for prefixes in PREFIXES.values() for prefix in prefixes],
        allow=Permission.VIEW,
    )(unknown)
