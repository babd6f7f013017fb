"""Models from a script: register a fitted estimator with its signature, and ask an endpoint for predictions."""

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from gimbal.axis.assets.model import FileEntry, Version
from gimbal.faces.client.client import Client, default_client
from gimbal.faces.client.runs import current_run
from gimbal.kernel.clock import iso
from gimbal.kernel.errors import BadInput, MissingExtra

# By name, as the loader of flavors has it: importing the room itself would need pyarrow.
SKLEARN = "gimbal.predictive.flavors.sklearn"


class Predictions(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint answered, one entry per row."""

    predict: list[Any]
    """Class names, or numbers."""
    probability: dict[str, list[float]]
    """Probability by class; empty for a regression."""
    ids: list[str]
    """Prediction ids, by which labels are given later."""
    version: str
    """The version that predicted, resolved."""
    trace_id: str


def log_model(
    name: str,
    model: Any,
    *,
    example: Any,
    inputs: Sequence[str] = (),
    note: str = "",
    client: Client | None = None,
) -> Version:
    """Register a fitted scikit-learn estimator as a version of `model:name`, saved without pickle.

    `example` is a DataFrame like those that it predicts on; the signature is read off it. Inside a run the version
    notes the run. Raise BadInput for what could not be served, MissingExtra without scikit-learn and skops.
    """
    try:
        # Needs scikit-learn, which few importers of the SDK have; the loader imports it here.
        sklearn = importlib.import_module(SKLEARN)
    except ImportError as problem:
        raise MissingExtra(
            f"Saving models needs {problem.name}.", todo="pip install 'gimbal-ops[server,sklearn]'"
        ) from None
    if not (hasattr(model, "fit") and hasattr(model, "predict")):
        raise BadInput(
            f"A {type(model).__name__} is no scikit-learn estimator.",
            where="model",
            kept="nothing",
            todo="Give a fitted estimator: something with fit and predict.",
        )
    client = client or default_client()
    content, manifest = sklearn.save(model, example)
    blob = client.blobs.put(content)
    run = current_run()
    return client.assets.add(
        f"model:{name}",
        manifest=msgspec.to_builtins(manifest),
        files=[FileEntry(path=sklearn.FILE, digest=blob.digest, size=blob.size)],
        inputs=list(inputs),
        run_id=run.id if run else None,
        note=note,
    )


def _column(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return one input tensor; the type is read off the values, None and NaN are missing."""
    plain = [None if v is None or (isinstance(v, float) and math.isnan(v)) else v for v in values]
    known = [v for v in plain if v is not None]
    if all(isinstance(v, bool) for v in known) and known:
        datatype = "BOOL"
    elif all(isinstance(v, int) for v in known) and known:
        datatype = "INT64"
    elif all(isinstance(v, int | float) for v in known):
        datatype = "FP64" if known else "BYTES"
    else:
        datatype, plain = "BYTES", [None if v is None else str(v) for v in plain]
    return {"name": name, "shape": [len(plain)], "datatype": datatype, "data": plain}


def _columns(rows: Any) -> dict[str, list[Any]]:
    """Return columns of a DataFrame, a mapping of columns, or an iterable of records."""
    if hasattr(rows, "columns") and hasattr(rows, "to_dict"):
        return {str(name): rows[name].tolist() for name in rows.columns}
    if isinstance(rows, Mapping):
        return {str(name): list(values) for name, values in rows.items()}
    if isinstance(rows, Iterable):
        records = [dict(row) for row in rows]
        if records:
            return {str(name): [record.get(name) for record in records] for name in records[0]}
    raise BadInput("There are no rows.", where="rows", todo="Give a DataFrame, columns, or records.")


def predict(
    endpoint: str,
    rows: Any,
    *,
    event_time: Sequence[datetime] | None = None,
    entity: Sequence[str] | None = None,
    client: Client | None = None,
) -> Predictions:
    """Ask an endpoint for predictions of a DataFrame, of columns, or of records.

    `event_time` says when each row's event was (now otherwise), `entity` what it is about; both are recorded.
    """
    client = client or default_client()
    columns = _columns(rows)
    specs = client.transport.dialect("GET", f"/v2/models/{endpoint}", None)["inputs"]
    kinds = {spec["name"]: spec["datatype"] for spec in specs}
    tensors = [_column(name, values) for name, values in columns.items()]
    for tensor in tensors:
        # A column of whole or of no numbers looks like another type than the signature's; it fits all the same.
        if kinds.get(tensor["name"]) in {"FP64", "BYTES"} and not any(v is not None for v in tensor["data"]):
            tensor["datatype"] = kinds[tensor["name"]]
    parameters: dict[str, Any] = {}
    if event_time is not None:
        parameters["event_time"] = [iso(moment) for moment in event_time]
    if entity is not None:
        parameters["entity"] = [str(item) for item in entity]
    answer = client.transport.dialect(
        "POST", f"/v2/models/{endpoint}/infer", {"inputs": tensors, "parameters": parameters}
    )
    outputs = {output["name"]: output for output in answer["outputs"]}
    probability: dict[str, list[float]] = {}
    if "probability" in outputs:
        classes = outputs["probability"]["parameters"]["classes"]
        flat = outputs["probability"]["data"]
        probability = {str(name): flat[i :: len(classes)] for i, name in enumerate(classes)}
    told = answer["parameters"]
    return Predictions(
        predict=outputs["predict"]["data"],
        probability=probability,
        ids=told["prediction_ids"],
        version=told["version"],
        trace_id=told["trace_id"],
    )
