"""Errors in the form that OpenAI's clients read, for all of its wires."""

import msgspec

from gimbal.generative.gateway.conversation import Json
from gimbal.generative.gateway.provider import Refusal
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {"not_authenticated": "invalid_api_key", "busy": "rate_limit_exceeded"}
_PASSED_ON = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id")
_LIMITS = "x-ratelimit-"


def error_body(problem: GimbalError) -> Json:
    """Return an error as OpenAI's clients read it; what was kept and what to do are part of the message."""
    kept = f"Kept: {problem.kept}." if problem.kept else ""
    message = " ".join(part for part in (problem.message, kept, problem.todo) if part)
    kind = _TYPES.get(problem.status, "invalid_request_error" if problem.status < 500 else "api_error")
    code = "model_not_found" if problem.code == "not_found" and problem.where == "model" else problem.code
    return {"message": message, "type": kind, "param": problem.where or None, "code": _CODES.get(code, code)}


def reply(problem: GimbalError, wire: str) -> HttpReply:
    """Return the HTTP answer for an error.

    A provider of the same wire speaks for itself, with its limits, unless its status is not what the caller shall see: a
    key of ours that is refused is no business of the caller's.
    """
    headers: dict[str, str] = {}
    if isinstance(problem, Refusal):
        for name, value in problem.headers:
            known = name.decode("latin-1").lower()
            if known in _PASSED_ON or known.startswith(_LIMITS):
                headers[known] = value.decode("latin-1")
    if problem.retry_after is not None:
        headers["retry-after"] = f"{max(0.0, problem.retry_after):g}"
    forwarded = _forwarded(problem, wire)
    body = forwarded if forwarded is not None else msgspec.json.encode({"error": error_body(problem)})
    return HttpReply(status=problem.status, body=body, headers=headers)


def _forwarded(problem: GimbalError, wire: str) -> bytes | None:
    if not isinstance(problem, Refusal) or problem.wire != wire or problem.status != problem.provider_status:
        return None
    try:
        said = msgspec.json.decode(problem.body_sent)
    except (ValueError, RecursionError):
        return None
    return problem.body_sent if isinstance(said, dict) and said.get("error") else None
