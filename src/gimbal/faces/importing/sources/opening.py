"""Which source the words of a command mean."""

import urllib.parse
from collections.abc import Collection
from pathlib import Path

from gimbal.faces.importing.records import Source
from gimbal.faces.importing.sources.mlflow_files import MlflowFiles
from gimbal.faces.importing.sources.mlflow_rest import MlflowRest
from gimbal.faces.importing.sources.mlflow_sql import MlflowSql
from gimbal.kernel.errors import BadInput


def open_mlflow(text: str, chosen: Collection[str]) -> Source:
    """Return MLflow's store that a text means; raise BadInput or NotFound where there is none."""
    scheme = urllib.parse.urlsplit(text).scheme.lower()
    if scheme in {"", "file"}:
        return MlflowFiles(
            Path(urllib.parse.unquote(urllib.parse.urlsplit(text).path)) if scheme else Path(text), chosen
        )
    if scheme in {"http", "https"}:
        return MlflowRest(text, chosen)
    if scheme.partition("+")[0] in {"sqlite", "postgresql", "postgres", "mysql", "mssql"}:
        return MlflowSql(text.replace("postgres://", "postgresql://", 1), chosen)
    raise BadInput(
        f"{text!r} is no store of MLflow.",
        where="source",
        todo="Give http(s)://…, a folder mlruns, sqlite:///mlflow.db or postgresql://….",
    )
