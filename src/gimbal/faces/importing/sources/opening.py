"""Which source the words of a command mean."""

import urllib.parse
from collections.abc import Collection
from pathlib import Path

from gimbal.faces.importing.reading import shown
from gimbal.faces.importing.records import Source
from gimbal.faces.importing.sources.mlflow_files import MlflowFiles
from gimbal.faces.importing.sources.mlflow_rest import MlflowRest
from gimbal.faces.importing.sources.mlflow_sql import MlflowSql
from gimbal.kernel.errors import BadInput


def open_mlflow(text: str, chosen: Collection[str], *, artifacts: bool = True) -> Source:
    """Return MLflow's store that a text means; raise BadInput or NotFound where there is none."""
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError as problem:
        raise BadInput(f"{shown(text)!r} is no address: {problem}.", where="source") from None
    scheme = parts.scheme.lower()
    if scheme in {"", "file"}:
        return MlflowFiles(
            Path(urllib.parse.unquote(parts.path)) if scheme else Path(text), chosen, artifacts=artifacts
        )
    if scheme in {"http", "https"}:
        return MlflowRest(text, chosen, artifacts=artifacts)
    if scheme.partition("+")[0] in {"sqlite", "postgresql", "postgres", "mysql", "mssql"}:
        return MlflowSql(text.replace("postgres://", "postgresql://", 1), chosen, artifacts=artifacts)
    raise BadInput(
        f"{shown(text)!r} is no store of MLflow.",
        where="source",
        todo="Give http(s)://…, a folder mlruns, sqlite:///mlflow.db or postgresql://….",
    )
