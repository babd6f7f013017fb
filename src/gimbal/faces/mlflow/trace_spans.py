"""Spans in the form in which MLflow's clients read them: OTLP as JSON of protobuf, with MLflow's attributes.

Spans that came from its clients go out as they came; those of others get inputs, outputs and a type beside what they have.
What was too long for a span comes back from the blobs.
"""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from gimbal.axis.traces.facts.roots import SHOWN
from gimbal.axis.traces.facts.search import KINDS
from gimbal.axis.traces.fitting import LINKS, MARK
from gimbal.axis.traces.model import Span
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context

_TYPE, _INPUTS, _OUTPUTS, _ID = (
    "mlflow.spanType",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.traceRequestId",
)
_CODES = {"ok": "STATUS_CODE_OK", "error": "STATUS_CODE_ERROR", "cancelled": "STATUS_CODE_ERROR"}
_LARGEST = 2**63
# What stands in the place of a long value.
_MOVED = {"blob", "size", "start"}


async def shown_spans(ctx: Context, spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Return the spans of a trace."""
    return [_shown(span, await _whole(ctx, span)) for span in spans]


async def _whole(ctx: Context, span: Span) -> dict[str, Any]:
    """Return the attributes of a span with the long values that went to the blobs."""
    mark = span.attributes.get(MARK)
    payloads: dict[str, Any] = mark.get("payloads", {}) if isinstance(mark, dict) else {}
    found = dict(span.attributes)
    for name, value in span.attributes.items():
        # Only what was marked when it came: whoever merely writes a digest into a span learns nothing.
        digest = str(value["blob"]) if isinstance(value, dict) and value.keys() == _MOVED else ""
        if digest in payloads:
            content = await ctx.get(Blobs).get(digest)
            is_text = payloads[digest] == "text/plain"
            found[name] = content.decode() if is_text else msgspec.json.decode(content)
    rest = mark.get("rest") if isinstance(mark, dict) else None
    if isinstance(rest, dict) and rest.get("blob") in payloads:
        more = msgspec.json.decode(await ctx.get(Blobs).get(rest["blob"])).get("attributes")
        if isinstance(more, dict):
            found |= more
    return found


def _shown(span: Span, attributes: dict[str, Any]) -> dict[str, Any]:
    links = attributes.pop(LINKS, None)
    for name in [name for name in attributes if name in SHOWN or name.startswith("gimbal.")]:
        del attributes[name]
    if _TYPE not in attributes:
        attributes[_TYPE] = KINDS.get(span.kind, "UNKNOWN")
        for name, value in ((_INPUTS, span.input), (_OUTPUTS, span.output)):
            if value:
                attributes.setdefault(name, msgspec.json.decode(value))
    attributes[_ID] = f"tr-{span.trace_id}"
    return {
        "trace_id": base64_of(span.trace_id),
        "span_id": base64_of(span.span_id),
        "parent_span_id": base64_of(span.parent_id),
        "name": span.name,
        "start_time_unix_nano": span.start_us * 1000,
        "end_time_unix_nano": span.end_us * 1000,
        "attributes": attributes_of(attributes),
        "events": [
            {
                "time_unix_nano": event["at_us"] * 1000,
                "name": event["name"],
                "attributes": attributes_of(event["attributes"]),
            }
            for event in span.events
        ],
        "links": [_link(one) for one in links] if isinstance(links, list) else [],
        "status": {"code": _CODES.get(span.status, "STATUS_CODE_UNSET"), "message": span.status_message},
    }


def _link(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace_id": base64_of(str(one.get("trace_id", ""))),
        "span_id": base64_of(str(one.get("span_id", ""))),
        "attributes": attributes_of(one.get("attributes", {})),
    }


def base64_of(text: str) -> str:
    """Return an id in hex digits as protobuf's JSON has bytes."""
    return base64.b64encode(bytes.fromhex(text)).decode()


def attributes_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as protobuf's JSON has them."""
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"string_value": value}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int):
        return {"int_value": value} if -_LARGEST <= value < _LARGEST else {"string_value": str(value)}
    if isinstance(value, float):
        return {"double_value": value}
    if isinstance(value, list):
        return {"array_value": {"values": [_value(one) for one in value]}}
    if isinstance(value, dict):
        return {"kvlist_value": {"values": attributes_of(value)}}
    return {}
