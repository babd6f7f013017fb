"""Every error that Gimbal raises on purpose; faces turn them into HTTP answers, exit codes and pages.

    GimbalError
    ├── BadInput 400 ── UnknownField, CorruptUpload
    ├── NotAuthenticated 401
    ├── Forbidden 403
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── Conflict 409 ── NameTaken, StaleVersion, NotReady
    ├── TooLarge 413
    ├── WrongMediaType 415
    ├── Unprocessable 422 ── GateRefused, GuardRefused, Unpriced, ContradictoryUsage
    ├── Busy 429
    ├── Upstream 502
    ├── Unavailable 503 ── GuardUnavailable
    ├── DeadlineExceeded 504
    ├── ConfigurationError ── CorruptSettings, DataFolderLocked, PortInUse, DiskFull
    └── MissingExtra

Each tells what happened (`message`), where (`where`), what was kept (`kept`) and what to do next (`todo`).
"""

from typing import ClassVar

import msgspec


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every face shows of an error."""

    code: str
    """Stable name of the kind of error; programs branch on it."""
    message: str
    """What happened, in one sentence."""
    where: str = ""
    """The field, path, line or row that it is about."""
    kept: str = ""
    """What was stored in spite of the error; empty means nothing was."""
    todo: str = ""
    """What to do next."""


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON body of an error answer: `{"error": {...}}`."""

    error: ErrorBody


class GimbalError(Exception):
    """Base of all errors that are raised on purpose.

    `code` is the stable name that programs branch on, `status` the HTTP status that it becomes. `retry_after` is in
    seconds, for errors that pass by themselves.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, where: str = "", kept: str = "", todo: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.kept = kept
        self.todo = todo
        self.retry_after = retry_after

    def body(self) -> ErrorBody:
        """Return the record that faces show."""
        return ErrorBody(code=self.code, message=self.message, where=self.where, kept=self.kept, todo=self.todo)

    def as_json(self) -> bytes:
        """Return the JSON body of an error answer."""
        return msgspec.json.encode(ErrorReply(error=self.body()))

    def __str__(self) -> str:
        """Say what happened, where, and what to do, on one line."""
        parts = [self.message]
        if self.where:
            parts.append(f"(at {self.where})")
        if self.kept:
            parts.append(f"Kept: {self.kept}")
        if self.todo:
            parts.append(f"To do: {self.todo}")
        return " ".join(parts)


class BadInput(GimbalError):
    """The request is not well formed or a value is out of range."""

    code = "bad_input"
    status = 400


class UnknownField(BadInput):
    """The request has a field that the operation does not know."""

    code = "unknown_field"


class CorruptUpload(BadInput):
    """An upload cannot be decoded, or its digest is not what was announced."""

    code = "corrupt_upload"


class NotAuthenticated(GimbalError):
    """No credential came with the request, or an unknown, expired or revoked one."""

    code = "not_authenticated"
    status = 401


class Forbidden(GimbalError):
    """The credential is good but does not allow this."""

    code = "forbidden"
    status = 403


class NotFound(GimbalError):
    """The thing that was asked for does not exist, or not in this project."""

    code = "not_found"
    status = 404


class MethodNotAllowed(GimbalError):
    """The path exists but not with this HTTP method."""

    code = "method_not_allowed"
    status = 405


class Conflict(GimbalError):
    """The request does not fit the present state."""

    code = "conflict"
    status = 409


class NameTaken(Conflict):
    """Something else has this name already."""

    code = "name_taken"


class StaleVersion(Conflict):
    """The thing was changed since it was read."""

    code = "stale_version"


class NotReady(Conflict):
    """The thing exists but is not in the state that this needs."""

    code = "not_ready"


class TooLarge(GimbalError):
    """The request is larger than the limit in the settings."""

    code = "too_large"
    status = 413


class WrongMediaType(GimbalError):
    """The content type or encoding of the body is not one that this route reads."""

    code = "wrong_media_type"
    status = 415


class Unprocessable(GimbalError):
    """The request is well formed but cannot be carried out."""

    code = "unprocessable"
    status = 422


class GateRefused(Unprocessable):
    """A gate did not let an alias move; the Decision says why."""

    code = "gate_refused"


class GuardRefused(Unprocessable):
    """A guard of the project's policy found what it does not let through."""

    code = "guard_refused"


class Unpriced(Unprocessable):
    """A model without a known price was called where a price is needed."""

    code = "unpriced"


class ContradictoryUsage(Unprocessable):
    """A provider's usage has a part that is larger than its whole, a count that is none, or a total that is another."""

    code = "contradictory_usage"


class Busy(GimbalError):
    """Too much is waiting; come again after `retry_after` seconds."""

    code = "busy"
    status = 429


class Upstream(GimbalError):
    """A provider or a model process that we called answered with an error."""

    code = "upstream"
    status = 502


class Unavailable(GimbalError):
    """A part that this needs is not up, or not yet."""

    code = "unavailable"
    status = 503


class GuardUnavailable(Unavailable):
    """A guard that is required took too long or failed, so that the call was not let through."""

    code = "guard_unavailable"


class DeadlineExceeded(GimbalError):
    """It took longer than the deadline allows."""

    code = "deadline_exceeded"
    status = 504


class ConfigurationError(GimbalError):
    """Gimbal cannot start, or not go on, as it is set up."""

    code = "configuration"


class CorruptSettings(ConfigurationError):
    """A settings file or variable cannot be read, or names something unknown."""

    code = "corrupt_settings"


class DataFolderLocked(ConfigurationError):
    """Another Gimbal holds the data folder."""

    code = "data_folder_locked"


class PortInUse(ConfigurationError):
    """Another program listens on the port."""

    code = "port_in_use"


class DiskFull(ConfigurationError):
    """There is not enough room where the data folder is."""

    code = "disk_full"


class MissingExtra(GimbalError):
    """An optional part is not installed; the message says which extra brings it."""

    code = "missing_extra"
    status = 501


def _tree(root: type[GimbalError]) -> list[type[GimbalError]]:
    found = [root]
    for child in root.__subclasses__():
        found.extend(_tree(child))
    return found


def error_kinds() -> dict[str, type[GimbalError]]:
    """Return every error class by its code; the client uses it to raise what the server raised."""
    return {kind.code: kind for kind in _tree(GimbalError)}
