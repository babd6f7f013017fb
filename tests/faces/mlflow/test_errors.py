"""Errors in the words of MLflow: the code for each of ours, and nothing that clients would send again in vain."""

import msgspec
import pytest

from gimbal.faces.mlflow.errors import EndpointNotFound, NotServed, code_of, problem
from gimbal.kernel import errors
from gimbal.kernel.errors import GimbalError, error_kinds

CODES: list[tuple[GimbalError, int, str]] = [
    (errors.NotFound("x"), 404, "RESOURCE_DOES_NOT_EXIST"),
    (EndpointNotFound("x"), 404, "ENDPOINT_NOT_FOUND"),
    (errors.NameTaken("x"), 400, "RESOURCE_ALREADY_EXISTS"),
    (errors.BadInput("x"), 400, "INVALID_PARAMETER_VALUE"),
    (errors.UnknownField("x"), 400, "INVALID_PARAMETER_VALUE"),
    (errors.CorruptUpload("x"), 400, "INVALID_PARAMETER_VALUE"),
    (errors.Conflict("x"), 400, "INVALID_PARAMETER_VALUE"),
    (errors.NotReady("x"), 400, "INVALID_PARAMETER_VALUE"),
    (errors.TooLarge("x", where="params.p"), 400, "INVALID_PARAMETER_VALUE"),
    (errors.TooLarge("x"), 413, "INVALID_PARAMETER_VALUE"),
    (errors.TooLarge("x", where="Content-Length"), 413, "INVALID_PARAMETER_VALUE"),
    (errors.NotAuthenticated("x"), 401, "UNAUTHENTICATED"),
    (errors.Forbidden("x"), 403, "PERMISSION_DENIED"),
    (errors.GateRefused("x"), 403, "PERMISSION_DENIED"),
    (errors.Busy("x", retry_after=2.4), 429, "REQUEST_LIMIT_EXCEEDED"),
    (errors.Unavailable("x"), 503, "TEMPORARILY_UNAVAILABLE"),
    (errors.DiskFull("x"), 503, "TEMPORARILY_UNAVAILABLE"),
    (errors.MissingExtra("x"), 501, "NOT_IMPLEMENTED"),
    (NotServed("x"), 501, "NOT_IMPLEMENTED"),
]


@pytest.mark.parametrize(("error", "status", "name"), CODES, ids=lambda part: str(getattr(part, "code", part)))
def test_an_error_has_the_code_that_clients_know(error: GimbalError, status: int, name: str) -> None:
    """Status and code are MLflow's, and ours is beside them."""
    reply = problem(error)
    told = msgspec.json.decode(reply.body)
    assert (reply.status, told["error_code"]) == (status, name)
    assert told["message"].startswith(error.message)
    assert told["error"]["code"] == error.code


def test_busy_says_when_to_come_again() -> None:
    """Clients wait for so many seconds."""
    assert problem(errors.Busy("x", retry_after=2.4)).headers == {"retry-after": "2"}
    assert problem(errors.Busy("x", retry_after=0.01)).headers == {"retry-after": "1"}


def test_only_what_passes_by_itself_is_sent_again() -> None:
    """Clients repeat 408, 429, 500, 502, 503 and 504 for minutes: no mistake of theirs has one of these."""
    theirs = [kind for kind in error_kinds().values() if 400 <= kind.status < 500 and kind is not errors.Busy]
    assert len(theirs) > 12
    assert {code_of(kind("x")).status for kind in theirs} <= {400, 401, 403, 404, 413}
