"""Our errors as MLflow's clients read them: `error_code` and `message`, with ours beside them.

Clients branch on the code, and send again by themselves after 408, 429, 500, 502, 503 and 504 for minutes: bad input is
never one of these.
"""

from typing import NamedTuple

import msgspec

from gimbal.kernel import errors
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply


class EndpointNotFound(errors.NotFound):
    """No call of MLflow is at this path; clients try an older one, or none."""

    code = "endpoint_not_found"


class NotServed(GimbalError):
    """A call of MLflow that is known and not answered here."""

    code = "not_served"
    status = 501


class Code(NamedTuple):
    """An error in MLflow's words."""

    status: int
    name: str


_INVALID = Code(400, "INVALID_PARAMETER_VALUE")
_MISSING = Code(404, "RESOURCE_DOES_NOT_EXIST")
_REFUSED = Code(403, "PERMISSION_DENIED")
_LATER = Code(503, "TEMPORARILY_UNAVAILABLE")
_CODES: tuple[tuple[type[GimbalError], Code], ...] = (
    (EndpointNotFound, Code(404, "ENDPOINT_NOT_FOUND")),
    (errors.MethodNotAllowed, Code(404, "ENDPOINT_NOT_FOUND")),
    (errors.NotFound, _MISSING),
    (errors.NameTaken, Code(400, "RESOURCE_ALREADY_EXISTS")),
    (errors.NotAuthenticated, Code(401, "UNAUTHENTICATED")),
    (errors.Forbidden, _REFUSED),
    (errors.GateRefused, _REFUSED),
    (errors.Busy, Code(429, "REQUEST_LIMIT_EXCEEDED")),
    (errors.Unavailable, _LATER),
    (errors.DiskFull, _LATER),
    (errors.DeadlineExceeded, Code(504, "DEADLINE_EXCEEDED")),
    (errors.Upstream, Code(502, "INTERNAL_ERROR")),
    (errors.MissingExtra, Code(501, "NOT_IMPLEMENTED")),
    (NotServed, Code(501, "NOT_IMPLEMENTED")),
    (errors.BadInput, _INVALID),
    (errors.Conflict, _INVALID),
    (errors.Unprocessable, _INVALID),
    (errors.WrongMediaType, _INVALID),
)
# Where the body as a whole is too large, not a value in it.
_WHOLE = frozenset({"", "body", "Content-Length"})


def code_of(error: GimbalError) -> Code:
    """Return an error in MLflow's words."""
    if isinstance(error, errors.TooLarge):
        return Code(413, _INVALID.name) if error.where in _WHOLE else _INVALID
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code(500, "INTERNAL_ERROR"))


def problem(error: GimbalError) -> HttpReply:
    """Write an error as MLflow does, with ours beside it."""
    code = code_of(error)
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after else {}
    if code.status == 401:
        headers["www-authenticate"] = 'Basic realm="mlflow"'
    told = f"{error.message} {error.todo}".strip()
    body = msgspec.json.encode({"error_code": code.name, "message": told, "error": error.body()})
    return HttpReply(status=code.status, body=body, headers=headers)
