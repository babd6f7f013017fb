"""Rows in and out of the Open Inference Protocol's JSON: one named input per column, checked against the signature."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.kernel.clock import parse_time, to_us
from gimbal.kernel.errors import BadInput, TooLarge
from gimbal.predictive.flavors.model import ModelManifest, TensorSpec
from gimbal.predictive.flavors.rows import ARROW

# What a caller may call a column that we hold in one of four types.
_FITS = {
    "FP64": {"FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32"},
    "INT64": {"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"},
    "BOOL": {"BOOL"},
    "BYTES": {"BYTES"},
}


_PLAIN: dict[str, set[type]] = {"FP64": {float, int}, "INT64": {int}, "BOOL": {bool}, "BYTES": {str}}


class InferInput(msgspec.Struct, frozen=True, kw_only=True):
    """One input tensor."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class InferOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an inference request."""

    inputs: list[InferInput]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[InferOutput] = []
    """Those to answer with; none named means all."""


def parse(body: bytes) -> InferRequest:
    """Read a request; raise BadInput that names the field."""
    try:
        return msgspec.json.decode(body, type=InferRequest)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at ")
        raise BadInput(f"{text}.", where=place.strip("`") or "body", todo="See the protocol's request form.") from None
    except msgspec.DecodeError as problem:
        raise BadInput(f"The body is not valid JSON: {problem}.", where="body", todo="Send UTF-8 JSON.") from None


def rows_of(request: InferRequest, manifest: ModelManifest, most: int) -> pa.Table:
    """Return the rows of a request in the order of the signature; raise BadInput or TooLarge naming the input."""
    given = {tensor.name: tensor for tensor in request.inputs}
    specs = {spec.name: spec for spec in manifest.signature.inputs}
    if len(given) < len(request.inputs):
        raise BadInput("An input is there twice.", where="inputs", todo="Send each column once.")
    unknown, missing = sorted(given.keys() - specs.keys()), [name for name in specs if name not in given]
    if unknown or missing:
        parts = [f"unknown: {', '.join(unknown)}"] if unknown else []
        parts += [f"missing: {', '.join(missing)}"] if missing else []
        raise BadInput(
            f"The inputs do not fit the signature ({'; '.join(parts)}).",
            where="inputs",
            todo=f"Send one input per column: {', '.join(specs)}.",
        )
    count = len(request.inputs[0].data) if request.inputs else 0
    if count > most:
        raise TooLarge(f"{count} rows are too many; {most} is the most.", where="inputs", todo="Send several requests.")
    if not count:
        raise BadInput("There are no rows.", where="inputs", todo="Send at least one.")
    return pa.table({name: _column(given[name], spec, count) for name, spec in specs.items()})


def _column(tensor: InferInput, spec: TensorSpec, count: int) -> pa.Array:
    where = f"inputs[{tensor.name}]"
    if tensor.datatype not in _FITS[spec.datatype]:
        raise BadInput(
            f"{tensor.name!r} is {tensor.datatype}; the signature has {spec.datatype}.", where=where, todo="Convert it."
        )
    if tensor.shape not in ([count], [count, 1]) or len(tensor.data) != count:
        raise BadInput(
            f"{tensor.name!r} has the shape {tensor.shape} and {len(tensor.data)} values; {count} rows were sent.",
            where=where,
            todo="Every column has one value per row.",
        )
    values = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in tensor.data]
    if not spec.optional and None in values:
        raise BadInput(
            f"{tensor.name!r} has no value in row {values.index(None)}.",
            where=where,
            todo="The model knows no missing here.",
        )
    # Arrow would cut 1.5 down to 1 and take numbers for truth values.
    foreign = set(map(type, values)) - _PLAIN[spec.datatype] - {type(None)}
    if foreign:
        names = ", ".join(sorted(kind.__name__ for kind in foreign))
        raise BadInput(f"{tensor.name!r} has values of {names}.", where=where, todo=f"Send {spec.datatype} values.")
    try:
        return pa.array(values, ARROW[spec.datatype])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as problem:
        raise BadInput(f"{tensor.name!r}: {problem}.", where=where, todo=f"Send {spec.datatype} values.") from None


def check_outputs(request: InferRequest, manifest: ModelManifest) -> None:
    """Raise BadInput for an output that the model does not have."""
    known = [spec.name for spec in manifest.signature.outputs]
    for index, output in enumerate(request.outputs):
        if output.name not in known:
            raise BadInput(
                f"There is no output {output.name!r}.",
                where=f"outputs[{index}].name",
                todo=f"There are: {', '.join(known)}.",
            )


def event_times(parameters: Mapping[str, Any], count: int, now: datetime) -> list[int]:
    """Return when each row's event was, from the parameter `event_time` (one per row), else now."""
    given = parameters.get("event_time")
    if given is None:
        return [to_us(now)] * count
    return [to_us(parse_time(str(text))) for text in _per_row(given, count, "event_time")]


def entities(parameters: Mapping[str, Any], count: int) -> list[str]:
    """Return what each row is about, from the parameter `entity` (one per row), else nothing."""
    given = parameters.get("entity")
    return [""] * count if given is None else [str(text) for text in _per_row(given, count, "entity")]


def _per_row(given: Any, count: int, name: str) -> list[Any]:
    if not isinstance(given, list) or len(given) != count:
        raise BadInput(
            f"{name} has not one value per row.", where=f"parameters.{name}", todo=f"Send a list of {count}."
        )
    return given


def outputs_of(
    predictions: pa.Table, manifest: ModelManifest, asked: Sequence[InferOutput] = ()
) -> list[dict[str, Any]]:
    """Return the output tensors of an answer: those asked for, or all."""
    n = predictions.num_rows
    kind = "BYTES" if manifest.task == "classification" else "FP64"
    found: list[dict[str, Any]] = [
        {"name": "predict", "datatype": kind, "shape": [n], "data": predictions["predict"].to_pylist()}
    ]
    if manifest.classes:
        columns = [predictions[f"probability.{name}"].to_numpy() for name in manifest.classes]
        flat = [float(value) for row in zip(*columns, strict=True) for value in row]
        found.append(
            {
                "name": "probability",
                "datatype": "FP64",
                "shape": [n, len(columns)],
                "data": flat,
                "parameters": {"classes": manifest.classes},
            }
        )
    names = {output.name for output in asked}
    return [tensor for tensor in found if not names or tensor["name"] in names]


def scores_of(predictions: pa.Table, manifest: ModelManifest) -> list[float | None]:
    """Return the score by which a prediction is judged: of two classes the last one's probability, or the number."""
    if manifest.task == "regression":
        return predictions["predict"].to_pylist()
    if len(manifest.classes) != 2:
        return [None] * predictions.num_rows
    return predictions[f"probability.{manifest.classes[-1]}"].to_pylist()
