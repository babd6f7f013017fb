"""The server's answers as errors: our own form, that of a dialect, or a page of something that is not Gimbal."""

import httpx
import msgspec

from gimbal.kernel.errors import (
    BadInput,
    ConfigurationError,
    DeadlineExceeded,
    ErrorReply,
    Forbidden,
    GimbalError,
    NotAuthenticated,
    NotFound,
    TooLarge,
    Unavailable,
    Upstream,
    error_kinds,
)

_SHOWN = 200


class _DialectReply(msgspec.Struct, frozen=True, kw_only=True):
    """An error as the Open Inference Protocol has it, with our code beside it."""

    error: str
    code: str


_BY_STATUS: dict[int, type[GimbalError]] = {
    400: BadInput,
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    413: TooLarge,
    502: Upstream,
    503: Unavailable,
    504: DeadlineExceeded,
}


def to_error(response: httpx.Response) -> GimbalError:
    """Return the error that an answer holds, as the class that the server raised.

    An answer in no form that we know (a proxy's page) becomes the class of its status.
    """
    after = retry_after(response)
    try:
        body = msgspec.json.decode(response.content, type=ErrorReply).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _foreign_error(response)
    kind = error_kinds().get(body.code, GimbalError)
    return kind(body.message, where=body.where, kept=body.kept, todo=body.todo, retry_after=after)


def _foreign_error(response: httpx.Response) -> GimbalError:
    try:
        body = msgspec.json.decode(response.content, type=_DialectReply)
        return error_kinds().get(body.code, GimbalError)(body.error, retry_after=retry_after(response))
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    if response.is_redirect:
        return stranger(response, f"it sends elsewhere, to {response.headers.get('location', 'nowhere')}.")
    kind = _BY_STATUS.get(response.status_code, GimbalError)
    return kind(
        f"{response.request.url} answered {response.status_code}: {response.text[:_SHOWN]}",
        todo="Check GIMBAL_URL: this is not how Gimbal answers; a proxy before it may.",
        retry_after=retry_after(response),
    )


def retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After; the header may also be a date, which is rare enough to ignore."""
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def stranger(response: httpx.Response, why: str) -> ConfigurationError:
    """Return what to raise when something answered that is not Gimbal, or another version of it."""
    return ConfigurationError(
        f"What answers at {response.request.url.copy_with(query=None)} is not the Gimbal that this client knows: {why}",
        where="GIMBAL_URL",
        todo="Check the address, and that client and server have the same version.",
    )
