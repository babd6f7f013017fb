"""Spans of no known convention: kept as they are, with what OpenTelemetry's general conventions say."""

from gimbal.axis.traces.dialects.reading import Reading, first, gimbal_part, json_value, text
from gimbal.axis.traces.model import KINDS
from gimbal.axis.traces.otlp import RawSpan


def claims(raw: RawSpan) -> bool:
    """Take every span."""
    return True


def read(raw: RawSpan) -> Reading:
    """Tell HTTP spans and our own from others."""
    a = raw.attributes
    kind = text(a.get("gimbal.kind"))
    is_http = "http.request.method" in a or "http.method" in a
    return Reading(
        dialect="generic",
        kind=kind if kind in KINDS else "http" if is_http else "other",
        input=json_value(a.get("gimbal.input")),
        output=json_value(a.get("gimbal.output")),
        session_id=text(first(a, "session.id")),
        user_id=text(first(a, "user.id", "enduser.id")),
        **gimbal_part(a),
    )
