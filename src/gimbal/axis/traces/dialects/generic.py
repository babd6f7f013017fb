"""Spans of no known convention: kept as they are, with what OpenTelemetry's general conventions say."""

from gimbal.axis.traces.dialects.reading import Reading, gimbal_part, json_value, session_of, text, user_of
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
        session_id=session_of(a),
        user_id=user_of(a),
        **gimbal_part(a),
    )
